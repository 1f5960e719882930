/** The program `credentials-fetcherd`: command line, log, signals, exit codes. */
import { join } from 'node:path';
import { inTurns } from '../async.ts';
import { messageOf } from '../errors.ts';
import { UsageError } from '../flags.ts';
import { version } from '../version.ts';
import { lazyAws } from './calls/aws.ts';
import { ConfigError, type Configured, type DaemonConfig, parseCommand, usage } from './config/config.ts';
import { type Daemon, SOCKET_NAME, startDaemon } from './daemon.ts';
import { passedSocket } from './grpc/socket.ts';
import { changeable, liveConfig, liveLog, ReplaceableEngine } from './live.ts';
import { createLog, fileSink, isJournal, type Log, type LogFormat, type LogSink, stderrSink } from './log.ts';
import { daemonMetrics } from './metrics/metrics.ts';

/** Runs the program; the result is its exit code. Tests and other programs use `startDaemon` instead. */
export async function main(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  try {
    const command = parseCommand(argv, env);
    switch (command.action) {
      case 'help':
        process.stdout.write(usage());
        return 0;
      case 'version':
        process.stdout.write(`credentials-fetcherd ${version()}\n`);
        return 0;
      case 'healthcheck':
        return await healthCheck(command.config);
      case 'check-config': {
        const { checkConfig } = await import('./config/check.ts');
        const open = async (config: DaemonConfig, log: Log) =>
          (await import('./tickets/assemble.ts')).createEngine(config, log);
        return await checkConfig(command, (text) => process.stdout.write(text), complain, open);
      }
      case 'once': {
        const { runOnce } = await import('./once/program.ts');
        return await runOnce(
          command.once,
          command,
          createLog({ level: command.config.logLevel, sinks: [errors(command.config)] }),
        );
      }
      case 'run':
        return await run(command, argv, env);
    }
  } catch (e) {
    if (!(e instanceof UsageError)) throw e;
    if (e instanceof ConfigError) for (const warning of e.warnings) complain(`warning: ${warning}`);
    for (const problem of e.message.split('\n')) complain(problem);
    process.stderr.write('Run with --help to see options\n');
    return 2;
  }
}

const complain = (text: string): void => void process.stderr.write(`credentials-fetcherd: ${text}\n`);

async function run(configured: Configured, argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const live = liveConfig(configured.config);
  let opened = openLog(configured.config);
  const current = liveLog(opened.log);
  const log = current.view;
  for (const warning of configured.warnings) log.warn(warning);
  const stopped = nextSignal();
  process.on('uncaughtException', (error) => {
    log.error('a fault in the daemon', { error: error instanceof Error ? (error.stack ?? error) : error });
    process.exit(1);
  });
  // The instance's role; the ARN calls have keys of their own.
  const aws = lazyAws({});
  const metrics = daemonMetrics();
  const load = (config: DaemonConfig) => async () =>
    (await import('./tickets/assemble.ts')).createEngine(config, log, { readSecret: aws.secret, metrics });
  const engine = new ReplaceableEngine(load(configured.config));
  let daemon: Daemon | undefined;

  /** Reads flags, environment and files again. What makes no sense is refused as a whole. */
  const reload = inTurns(async () => {
    try {
      const next = parseCommand(argv, env) as Configured;
      for (const warning of next.warnings) log.warn(warning);
      const { config, waiting } = changeable(live.current, next.config);
      await engine.replace(load(config));
      live.current = config;
      const old = opened;
      opened = openLog(config);
      current.current = opened.log;
      old.close();
      for (const flag of waiting) log.warn(`a new --${flag} waits for the next start of the daemon`);
      log.info('the configuration was read again');
      daemon?.reloaded();
    } catch (error) {
      for (const problem of error instanceof ConfigError ? error.problems : [messageOf(error)]) log.error(problem);
      log.error('the new configuration is refused, the old one stays');
    }
  });
  process.on('SIGHUP', () => void reload());
  // Node would open a debugger's port, to which any user of this host may connect.
  process.on('SIGUSR1', () => log.info('SIGUSR1 does nothing here'));

  try {
    if (live.current.credspecFile) await (await import('./leases/standing-lease.ts')).checkCredspecFile(live.current);
    const socketFd = passedSocket(process.env, process.pid);
    daemon = await startDaemon({ config: live.view, socketFd, engine, log, metrics, renewal: {} });
    log.info('listening', { address: daemon.address, path: live.view.krbDir, version: version(), pid: process.pid });
    // The rest of the code is loaded a moment later: it must not delay the first answers, nor the first lease.
    const unusable = (error: unknown) => log.error('the configuration cannot be used', { error });
    setTimeout(() => void engine.preload().catch(unusable), 200).unref();
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
async function healthCheck({ socketPath, socketDir }: DaemonConfig): Promise<number> {
  const { createClient } = await import('../client/index.ts');
  const client = createClient({ address: `unix:${socketPath ?? join(socketDir, SOCKET_NAME)}`, timeoutMs: 5000 });
  let code = 1;
  try {
    const { status } = await client.health({ service: 'test' });
    if (status === 'OK') code = 0;
  } catch (e) {
    complain(messageOf(e));
  } finally {
    client.close();
  }
  process.stdout.write(`${code}\n`);
  return code;
}

type Sink = { readonly write: LogSink; readonly format: LogFormat };

const formatOf = ({ logFormat }: DaemonConfig): LogFormat =>
  logFormat === 'auto' ? (process.stderr.isTTY ? 'human' : 'json') : logFormat;

function errors(config: DaemonConfig): Sink {
  const journal = config.logFormat === 'auto' && isJournal(process.env.JOURNAL_STREAM);
  return { write: stderrSink(), format: journal ? 'journal' : formatOf(config) };
}

/** Standard error and the file. */
function openLog(config: DaemonConfig): { log: Log; close(): void } {
  const stderr = errors(config);
  const console = createLog({ level: config.logLevel, sinks: [stderr] });
  const file = fileSink(config.loggingDir, (error) =>
    console.warn('no log file is written', { path: config.loggingDir, error }),
  );
  const log = createLog({ level: config.logLevel, sinks: [stderr, { write: file, format: formatOf(config) }] });
  return { log, close: file.close };
}

function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve);
  });
}
