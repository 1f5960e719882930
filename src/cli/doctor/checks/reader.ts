import { fromDer } from '../../../asn1.ts';
import { isAdError } from '../../../errors.ts';
import { etypeName, findProfile } from '../../../krb5/crypto/index.ts';
import { askEveryRecipe } from '../../../krb5/exchanges/salt.ts';
import { Ticket } from '../../../krb5/messages.ts';
import { formatPrincipal } from '../../../krb5/principal.ts';
import { sessionContext } from '../../kerberos/session.ts';
import { type Check, type Finding, fail, ok, warn } from '../check.ts';

const RC4_TODO = 'give the account AES keys: set msDS-SupportedEncryptionTypes to 24 and its password again';

/** The reader logs on. */
export const tgt: Check = {
  id: 'tgt',
  title: 'Ticket',
  needs: ['kdc-records'],
  seconds: 12,
  advice: {
    NOT_FOUND: 'kinit, or name the reader: -p with its password, -t with its keytab',
    REPLY_REJECTED: 'check the spelling of the realm, in capitals; else what answers there is not one of its KDCs',
  },
  async run(patient, signal) {
    if (!patient.client) throw patient.clientProblem;
    patient.tgt = await patient.client.login(signal);
    const { client, endtime } = patient.tgt;
    return [ok(`${formatPrincipal(client)} has a ticket-granting ticket until ${endtime.toISOString()}`)];
  },
};

/** Encryption types and salts of the reader's keys and ticket. */
export const encryption: Check = {
  id: 'encryption',
  title: 'Encryption',
  needs: ['tgt'],
  seconds: 8,
  async run({ session, tgt: ticket }, signal) {
    const findings: Finding[] = [];
    const used = [ticket!.key.etype, fromDer(Ticket, ticket!.ticket).encPart.etype];
    const names = `session key ${etypeName(used[0]!)}, ticket ${etypeName(used[1]!)}`;
    findings.push(used.some((e) => findProfile(e)?.weak) ? warn(names, RC4_TODO) : ok(names));
    const who = formatPrincipal(ticket!.client);
    try {
      const hints = await askEveryRecipe(sessionContext(session), ticket!.client, signal);
      const strong = hints.filter((hint) => !findProfile(hint.etype)?.weak);
      const salts = [...new Set(hints.flatMap((hint) => hint.salt ?? []))].join(', ') || 'the usual one';
      const keys = `${who} has keys ${hints.map((hint) => etypeName(hint.etype)).join(', ')}, salt ${salts}`;
      findings.push(strong.length > 0 ? ok(keys) : warn(`the KDC names no AES key of ${who}`, RC4_TODO));
    } catch (e) {
      if (!isAdError(e, 'ETYPE', 'KDC_ERROR')) throw e;
      findings.push(fail(`${who} has no key of a permitted type: ${e.message}`, RC4_TODO));
    }
    return findings;
  },
};
