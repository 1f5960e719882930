/** `--check-config`: every setting with its source, and whether the daemon could run with them. */
import { messageOf } from '../../errors.ts';
import { createLog, type Log } from '../log.ts';
import type { LeaseEngine } from '../tickets/engine.ts';
import type { Configured, DaemonConfig } from './config.ts';
import { type SettingName, settingNames, settings } from './settings.ts';

/**
 * Prints NAME = VALUE lines, each with the place it comes from; then tries what only the parts that use a setting can
 * judge: krb5.conf, the credspec file, the metrics' address. Nobody is asked over the network.
 * @param openEngine loads the engine with this configuration, or fails
 * @returns the exit code: 0, or 2 after every problem was told
 */
export async function checkConfig(
  { config, found, warnings }: Configured,
  print: (text: string) => void,
  complain: (text: string) => void,
  openEngine: (config: DaemonConfig, log: Log) => Promise<LeaseEngine>,
): Promise<number> {
  for (const name of settingNames) {
    const { text, source } = found[name];
    print(`${`${settings[name].env} = ${text}`.padEnd(64)} (${source})\n`);
  }
  for (const warning of warnings) complain(`warning: ${warning}`);

  let problems = 0;
  const attempt = async (label: string, work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (e) {
      problems++;
      complain(`${label}: ${messageOf(e)}`);
    }
  };
  const labelOf = (name: SettingName): string => found[name].label;
  const log = createLog({ level: 'warn', sinks: [{ format: 'human', write: (line) => complain(line.trimEnd()) }] });
  await attempt(labelOf('krb5-config'), async () => (await openEngine(config, log)).close());
  await attempt(labelOf('cred-spec-file'), async () =>
    (await import('../leases/standing-lease.ts')).checkCredspecFile(config),
  );
  if (config.metrics !== undefined) {
    const { metrics } = config;
    await attempt(labelOf('metrics'), async () => (await import('../metrics/server.ts')).parseMetricsAddress(metrics));
  }
  return problems > 0 ? 2 : 0;
}
