/** Walks the way of a lease, step by step, and says which step fails and what to do about it. */
import { abortable } from '../../async.ts';
import { isAdError, messageOf } from '../../errors.ts';
import { UsageError } from '../../flags.ts';
import { type Command, text } from '../command.ts';
import { domainOf, readerFlags, realmOf } from '../kerberos/directory.ts';
import { withSession } from '../kerberos/session.ts';
import { adviceFor } from './advice.ts';
import { type Check, type Finding, fail, type Mark, type Patient, skip } from './check.ts';
import { clock } from './checks/clock.ts';
import { config } from './checks/config.ts';
import { bind, managedPasswords } from './checks/directory.ts';
import { addresses, controllerRecords, kdcRecords } from './checks/dns.ts';
import { keytabFile, leases, ticketCache } from './checks/files.ts';
import { ports } from './checks/ports.ts';
import { encryption, tgt } from './checks/reader.ts';

/** In the order they are run and shown; each builds on those before. */
export const checks: readonly Check[] = [
  config,
  kdcRecords,
  controllerRecords,
  addresses,
  ports,
  clock,
  tgt,
  encryption,
  bind,
  managedPasswords,
  ticketCache,
  keytabFile,
  leases,
];

export const doctor: Command = {
  name: 'doctor',
  summary: 'check all that a lease needs, and say what to do',
  description: `Walks DNS, ports, clock, ticket, encryption, directory, rights on the managed passwords, and the modes of
files. A line for each: \u2713 well, ! could be better, \u2717 broken, - not looked at; with what to do. The reader
is a principal with its password or keytab, or whoever the ticket cache is of. Exits with 1 when a line is \u2717.`,
  flags: {
    ...readerFlags,
    gmsa: { type: 'string', value: 'NAMES', help: 'gMSAs to look at, with commas between' },
    json: { type: 'boolean', help: 'machine-readable output' },
  },
  examples: ['credentials-fetcher doctor -d corp.example -p svc-fetch --gmsa WebApp01'],
  async run(parsed, terminal) {
    return withSession(terminal, async (session) => {
      const domain = domainOf(parsed, session);
      const patient: Patient = {
        session,
        parsed,
        terminal,
        domain,
        realm: realmOf(domain, session),
        gmsas: (text(parsed, 'gmsa') ?? '').split(/[\s,]+/).filter(Boolean),
        kdcs: [],
        controllers: [],
      };
      const results: Result[] = [];
      try {
        for (const check of checks) {
          const result = await examine(check, patient, results);
          results.push(result);
          if (!parsed.flags.json) terminal.out(formatResult(result));
        }
      } finally {
        patient.connection?.close();
        patient.client?.close();
      }
      const healthy = results.every((result) => result.findings.every(({ mark }) => mark !== 'fail'));
      if (parsed.flags.json) terminal.out(`${JSON.stringify({ healthy, checks: results })}\n`);
      return healthy ? 0 : 1;
    });
  },
};

interface Result {
  readonly id: string;
  readonly title: string;
  readonly findings: readonly Finding[];
}

async function examine(check: Check, patient: Patient, before: readonly Result[]): Promise<Result> {
  const { id, title } = check;
  const missing = check.needs.find((need) =>
    before.find((r) => r.id === need)?.findings.some((f) => f.mark !== 'ok' && f.mark !== 'warn'),
  );
  if (missing !== undefined) return { id, title, findings: [skip(`needs ${titleOf(missing)}`)] };
  const deadline = AbortSignal.timeout(check.seconds * 1000);
  // AbortSignal's own timer does not keep the process alive.
  const hold = setTimeout(() => undefined, check.seconds * 1000 + 1000);
  try {
    return {
      id,
      title,
      findings: await abortable(Promise.resolve(check.run(patient, deadline)), deadline, `checking ${title}`),
    };
  } catch (e) {
    if (e instanceof UsageError) throw e;
    const todo = isAdError(e) ? adviceFor(e) : 'report this as a fault of the program';
    return { id, title, findings: [fail(messageOf(e), todo)] };
  } finally {
    clearTimeout(hold);
  }
}

const titleOf = (id: string): string => checks.find((check) => check.id === id)!.title;

const signs: Readonly<Record<Mark, string>> = { ok: '\u2713', warn: '!', fail: '\u2717', skip: '-' };

function formatResult({ title, findings }: Result): string {
  return findings
    .map(
      ({ mark, text: words, todo }) => `${signs[mark]} ${title.padEnd(15)}${words}${todo ? ` \u2014 ${todo}` : ''}\n`,
    )
    .join('');
}
