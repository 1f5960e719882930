/** The program `credentials-fetcher`: picks the command, turns errors into words and exit codes. */
import { nearest, UsageError } from '../flags.ts';
import type { Command } from './command.ts';
import type { Terminal } from './terminal.ts';

/** Each command is loaded when it is the one: gRPC is not needed to list a ticket cache. */
const commands: Record<string, () => Promise<Command>> = {
  health: async () => (await import('./health.ts')).health,
  add: async () => (await import('./add.ts')).add,
  renew: async () => (await import('./renew.ts')).renew,
  delete: async () => (await import('./delete.ts')).deleteLease,
  status: async () => (await import('./status.ts')).status,
  klist: async () => (await import('./klist.ts')).klist,
};

/** Exit codes; scripts may rely on them. */
export const exitCode = { OK: 0, FAILED: 1, USAGE: 2, TEMPORARY: 3 } as const;

async function overview(): Promise<string> {
  const loaded = await Promise.all(Object.values(commands).map((load) => load()));
  const rows = loaded.map((command) => `  ${command.name.padEnd(8)}${command.summary}`);
  return `Usage: credentials-fetcher COMMAND [options]

The client of credentials-fetcherd.

Commands:
${rows.join('\n')}

credentials-fetcher COMMAND --help says more. --version prints the version.

Exit codes: 0 done, 1 refused or failed, 2 the command line makes no sense,
3 not now: nobody answers or a server cannot be reached, the same may work later.
`;
}

/** Runs one command; the result is the exit code. */
export async function main(argv: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = argv;
  try {
    if (name === undefined) {
      terminal.err(await overview());
      return exitCode.USAGE;
    }
    if (['-h', '--help', 'help'].includes(name)) {
      terminal.out(await overview());
      return exitCode.OK;
    }
    if (['-n', '--version'].includes(name)) {
      const { version } = await import('../version.ts');
      terminal.out(`credentials-fetcher ${version()}\n`);
      return exitCode.OK;
    }
    const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (!load) {
      const near = nearest(name, Object.keys(commands));
      throw new UsageError(`unknown command ${name}${near ? `, did you mean ${near}?` : ''}`);
    }
    const command = await load();
    if (rest.includes('-h') || rest.includes('--help')) terminal.out(command.usage);
    else await command.run(rest, terminal);
    return exitCode.OK;
  } catch (e) {
    return explain(e, terminal);
  }
}

function explain(e: unknown, terminal: Terminal): number {
  if (e instanceof UsageError) {
    terminal.err(`credentials-fetcher: ${e.message}\nRun with --help to see options\n`);
    return exitCode.USAGE;
  }
  const { message, code, temporary } = e as { message?: string; code?: string; temporary?: boolean };
  terminal.err(`credentials-fetcher: ${message ?? String(e)}${code ? ` (${code})` : ''}\n`);
  return temporary ? exitCode.TEMPORARY : exitCode.FAILED;
}
