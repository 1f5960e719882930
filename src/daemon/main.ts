/** The program `credentials-fetcherd`: command line, log, signals, exit codes. */
import { join } from 'node:path';
import { messageOf } from '../errors.ts';
import { UsageError } from '../flags.ts';
import { version } from '../version.ts';
import { lazyAws } from './aws.ts';
import { type DaemonConfig, parseCommand, usage } from './config.ts';
import { SOCKET_NAME, startDaemon } from './daemon.ts';
import type { LeaseEngine } from './engine.ts';
import { createLog, fileSink, isJournal, type Log, type LogFormat, type LogSink, stderrSink } from './log.ts';
import { daemonMetrics } from './metrics.ts';
import { passedSocket } from './socket.ts';

/** Runs the program; the result is its exit code. Tests and other programs use `startDaemon` instead. */
export async function main(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  try {
    const command = parseCommand(argv, env);
    if (command.action === 'help') process.stdout.write(usage());
    else if (command.action === 'version') process.stdout.write(`credentials-fetcherd ${version()}\n`);
    else if (command.action === 'healthcheck') return await healthCheck(command.config);
    else return await run(command.config, command.warnings);
    return 0;
  } catch (e) {
    if (!(e instanceof UsageError)) throw e;
    process.stderr.write(`credentials-fetcherd: ${e.message}\nRun with --help to see options\n`);
    return 2;
  }
}

async function run(config: DaemonConfig, warnings: readonly string[]): Promise<number> {
  const log = openLog(config);
  for (const warning of warnings) log.warn(warning);
  const stopped = nextSignal();
  process.on('uncaughtException', (error) => {
    log.error('a fault in the daemon', { error: error instanceof Error ? (error.stack ?? error) : error });
    process.exit(1);
  });
  // The instance's role; the ARN calls have keys of their own.
  const aws = lazyAws({});
  const metrics = daemonMetrics();
  const engine = lazyEngine(
    async () => (await import('./assemble.ts')).createEngine(config, log, { readSecret: aws.secret, metrics }),
    log,
  );
  try {
    const socketFd = passedSocket(process.env, process.pid);
    const daemon = await startDaemon({ config, socketFd, engine, log, metrics, renewal: {} });
    log.info('listening', { address: daemon.address, path: config.krbDir, version: version(), pid: process.pid });
    // The rest of the code is loaded a moment later: it must not delay the first answers, nor the first lease.
    setTimeout(() => engine.preload(), 200).unref();
    log.info(`stopping on ${await stopped}`);
    nextSignal().then(() => process.exit(1));
    await daemon.close();
    aws.close();
    log.info('stopped');
    return 0;
  } catch (error) {
    log.error('cannot run', { error });
    return 1;
  }
}

/** v1's protocol for scripts: 0 on standard output and as exit code when the daemon is well, 1 otherwise. */
async function healthCheck(config: DaemonConfig): Promise<number> {
  const { createClient } = await import('../client/index.ts');
  const client = createClient({ address: `unix:${join(config.socketDir, SOCKET_NAME)}`, timeoutMs: 5000 });
  let code = 1;
  try {
    const { status } = await client.health({ service: 'test' });
    if (status === 'OK') code = 0;
  } catch (e) {
    process.stderr.write(`credentials-fetcherd: ${messageOf(e)}\n`);
  } finally {
    client.close();
  }
  process.stdout.write(`${code}\n`);
  return code;
}

function openLog(config: DaemonConfig): Log {
  const auto: LogFormat = process.stderr.isTTY ? 'human' : 'json';
  const inFile: LogFormat = config.logFormat === 'auto' ? auto : config.logFormat;
  const journal = config.logFormat === 'auto' && isJournal(process.env.JOURNAL_STREAM);
  const stderr: { write: LogSink; format: LogFormat } = { write: stderrSink(), format: journal ? 'journal' : inFile };
  const console = createLog({ level: config.logLevel, sinks: [stderr] });
  const file = fileSink(config.loggingDir, (error) =>
    console.warn('no log file is written', { path: config.loggingDir, error }),
  );
  return createLog({ level: config.logLevel, sinks: [stderr, { write: file, format: inFile }] });
}

function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, resolve);
  });
}

/** An engine loaded when it is first needed, or told to. A load that failed is tried again at the next request. */
function lazyEngine(load: () => Promise<LeaseEngine>, log: Log): LeaseEngine & { preload(): void } {
  let loading: Promise<LeaseEngine> | undefined;
  const get = (): Promise<LeaseEngine> => {
    loading ??= load().catch((e: unknown) => {
      loading = undefined;
      throw e;
    });
    return loading;
  };
  return {
    fetch: async (request) => (await get()).fetch(request),
    renew: async (ccache, signal) => (await get()).renew(ccache, signal),
    preload: () => void get().catch((error: unknown) => log.error('the configuration cannot be used', { error })),
    close: async () => {
      const engine = await loading?.catch(() => undefined);
      await engine?.close();
    },
  };
}
