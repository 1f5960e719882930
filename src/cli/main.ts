/** The program `credentials-fetcher`: picks the command, turns errors into words and exit codes. */
import { nearest, UsageError } from '../flags.ts';
import { asksForHelp, type Command, parseCommand, usage } from './command.ts';
import type { Terminal } from './terminal.ts';

type Loader = () => Promise<Command>;

/** All that speaks Kerberos itself is one part of the program, compiled when the first of it is asked for. */
const tools = () => import('./tools.ts');

/** Each command is loaded when it is the one: gRPC is not needed to list a ticket cache, nor Kerberos to ask for health. */
export const commands: Readonly<Record<string, Loader>> = {
  health: async () => (await import('./health.ts')).health,
  add: async () => (await import('./add.ts')).add,
  renew: async () => (await import('./renew.ts')).renew,
  delete: async () => (await import('./delete.ts')).deleteLease,
  status: async () => (await import('./status.ts')).status,
  kinit: async () => (await tools()).kinit,
  klist: async () => (await tools()).klist,
  kpasswd: async () => (await tools()).kpasswd,
  kvno: async () => (await tools()).kvno,
  kdestroy: async () => (await tools()).kdestroy,
  kswitch: async () => (await tools()).kswitch,
  keytab: async () => (await tools()).keytab,
  krun: async () => (await tools()).krun,
  gmsa: async () => (await tools()).gmsa,
  // gRPC stays out of the tools: the one that asks the daemon is handed in.
  doctor: async () =>
    (await tools()).doctorOf(async (path, timeoutMs) => (await import('./health.ts')).askHealth(path, timeoutMs)),
  completion: async () => (await import('./completion.ts')).completionOf(allCommands),
};

/** Every command, in the order of the table. */
export function allCommands(): Promise<Command[]> {
  return Promise.all(Object.values(commands).map((load) => load()));
}

/** Exit codes; scripts may rely on them. */
export const exitCode = { OK: 0, FAILED: 1, USAGE: 2, TEMPORARY: 3 } as const;

async function overview(): Promise<string> {
  const rows = (await allCommands()).map((command) => `  ${command.name.padEnd(12)}${command.summary}`);
  return `Usage: credentials-fetcher COMMAND [options]

The client of credentials-fetcherd, and the Kerberos commands that a minimal image lacks.

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
    if (asksForHelp(command, rest)) terminal.out(usage(command));
    else return (await command.run(parseCommand(command, rest), terminal)) ?? exitCode.OK;
    return exitCode.OK;
  } catch (e) {
    return explain(e, terminal);
  }
}

function explain(e: unknown, terminal: Terminal): number {
  const { message, code, temporary } = e as { message?: string; code?: string; temporary?: boolean };
  // By name: the part that is compiled late has a class of its own.
  if ((e as Error).name === 'UsageError') {
    terminal.err(`credentials-fetcher: ${message}\nRun with --help to see options\n`);
    return exitCode.USAGE;
  }
  terminal.err(`credentials-fetcher: ${message ?? String(e)}${code ? ` (${code})` : ''}\n`);
  return temporary || ['UNREACHABLE', 'TIMEOUT'].includes(code ?? '') ? exitCode.TEMPORARY : exitCode.FAILED;
}
