/** `--once` as a program: AWS, signals, standard output. */
import { lazyAws } from '../calls/aws.ts';
import type { OnceRequest } from '../config/command-line.ts';
import type { Configured } from '../config/config.ts';
import type { Log } from '../log.ts';
import { once } from './once.ts';

/** @returns the exit code */
export async function runOnce(request: OnceRequest, { config, warnings }: Configured, log: Log): Promise<number> {
  for (const warning of warnings) log.warn(warning);
  const aws = lazyAws({});
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
  try {
    return await once(request, {
      config,
      log,
      openEngine: async () =>
        (await import('../tickets/assemble.ts')).createEngine(config, log, { readSecret: aws.secret }),
      signal: stop.signal,
      print: (path) => process.stdout.write(`${path}\n`),
    });
  } finally {
    aws.close();
  }
}
