/** Walks the way of a lease, step by step, and says which step fails and what to do about it. */
import { abortable } from '../../async.ts';
import { messageOf } from '../../errors.ts';
import { type ParsedFlags, UsageError } from '../../flags.ts';
import { parseKrb5Conf } from '../../krb5/config.ts';
import { type Command, text } from '../command.ts';
import { domainOf, namedController, readerClient, readerFlags, realmOf } from '../kerberos/directory.ts';
import { openSession, type Session } from '../kerberos/session.ts';
import { socketFlag, socketPath } from '../socket.ts';
import type { Terminal } from '../terminal.ts';
import { adviceFor } from './advice.ts';
import { type AskDaemon, type Check, type Finding, fail, type Mark, type Patient, skip } from './check.ts';
import { clock } from './checks/clock.ts';
import { config } from './checks/config.ts';
import { daemon } from './checks/daemon.ts';
import { bind, managedPasswords } from './checks/directory.ts';
import { addresses, controllerRecords, kdcRecords } from './checks/dns.ts';
import { keytabFile, leases, ticketCache } from './checks/files.ts';
import { ports } from './checks/ports.ts';
import { encryption, tgt } from './checks/reader.ts';
import { site } from './checks/site.ts';

/** In the order they are run and shown; each builds on those before. */
export const checks: readonly Check[] = [
  config,
  kdcRecords,
  controllerRecords,
  addresses,
  site,
  ports,
  clock,
  tgt,
  encryption,
  bind,
  managedPasswords,
  ticketCache,
  keytabFile,
  leases,
  daemon,
];

/** @param askDaemon from outside, since gRPC is no part of the Kerberos commands */
export const doctorOf = (askDaemon: AskDaemon): Command => ({
  name: 'doctor',
  summary: 'check all that a lease needs, and say what to do',
  description: `Walks krb5.conf, DNS, the site, ports, clock, ticket, encryption, directory, rights on the managed passwords,
the modes of files, and the daemon. A line for each: \u2713 well, ! could be better, \u2717 broken, - not looked at; with
what to do. The reader is a principal with its password or keytab, or whoever the ticket cache is of. Exits with 1
when a line is \u2717, else with 0.`,
  flags: {
    ...readerFlags,
    gmsa: { type: 'string', value: 'NAMES', help: 'gMSAs to look at, with commas between' },
    ...socketFlag,
    json: { type: 'boolean', help: 'machine-readable output' },
  },
  examples: ['credentials-fetcher doctor -d corp.example -p svc-fetch --gmsa WebApp01'],
  async run(parsed, terminal) {
    const patient = await admit(parsed, terminal, askDaemon);
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
      patient.session.close();
    }
    const healthy = results.every((result) => result.findings.every(({ mark }) => mark !== 'fail'));
    if (parsed.flags.json) terminal.out(`${JSON.stringify({ healthy, checks: results })}\n`);
    return healthy ? 0 : 1;
  },
});

/** All that may throw UsageError or wait for somebody to type is done here, so that the checks have deadlines. */
async function admit(parsed: ParsedFlags, terminal: Terminal, askDaemon: AskDaemon): Promise<Patient> {
  socketPath(text(parsed, 'socket') ?? '/', {});
  namedController(parsed);
  const [session, configProblem] = await openSession(terminal, { sites: true }).then(
    (opened): [Session, unknown?] => [opened],
    async (e): Promise<[Session, unknown?]> => [await openSession(terminal, { config: parseKrb5Conf('') }), e],
  );
  try {
    const domain = configProblem ? (text(parsed, 'domain') ?? '') : domainOf(parsed, session);
    const realm = realmOf(domain, session);
    const client = configProblem ? {} : await clientOrProblem(session, parsed, terminal, realm);
    const gmsas = (text(parsed, 'gmsa') ?? '').split(/[\s,]+/).filter(Boolean);
    const known = { session, parsed, terminal, domain, realm, gmsas, askDaemon, ...client };
    return { ...known, ...(configProblem !== undefined && { configProblem }), kdcs: [], controllers: [] };
  } catch (e) {
    session.close();
    throw e;
  }
}

async function clientOrProblem(
  ...reader: Parameters<typeof readerClient>
): Promise<Pick<Patient, 'client' | 'clientProblem'>> {
  try {
    return { client: await readerClient(...reader) };
  } catch (e) {
    if (e instanceof UsageError) throw e;
    return { clientProblem: e };
  }
}

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
    const findings = await abortable(Promise.resolve(check.run(patient, deadline)), deadline, `checking ${title}`);
    return { id, title, findings: findings.length > 0 ? findings : [skip('there is nothing to look at')] };
  } catch (e) {
    return { id, title, findings: [fail(messageOf(e), adviceFor(e, check.advice))] };
  } finally {
    clearTimeout(hold);
  }
}

const titleOf = (id: string): string => checks.find((check) => check.id === id)!.title;

const signs: Readonly<Record<Mark, string>> = { ok: '\u2713', warn: '!', fail: '\u2717', skip: '-' };

/** Servers write into errors as they like: a finding stays one line. */
const oneLine = (words: string): string => words.replace(/[\r\n\t]+/g, ' ');

function formatResult({ title, findings }: Result): string {
  return findings
    .map(({ mark, text: words, todo }) => {
      const line = `${signs[mark]} ${title.padEnd(15)}${words}${todo ? ` \u2014 ${todo}` : ''}`;
      return `${oneLine(line)}\n`;
    })
    .join('');
}
