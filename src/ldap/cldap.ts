/**
 * The ping of a domain controller: one LDAP search of the root over UDP (MS-ADTS 6.3.3, 6.3.5), answered without a bind. It
 * tells the site of the one who asks. Nothing proves who answers: it may only decide who is asked first.
 */
import { randomInt } from 'node:crypto';
import { Reader, utf8 } from '../bytes.ts';
import { AdError, MalformedError } from '../errors.ts';
import type { Endpoint } from '../krb5/network/locate.ts';
import type { Resolver } from '../krb5/network/resolver.ts';
import { askOverUdp } from '../krb5/network/udp.ts';
import { anyElement, ber, element, number } from './ber.ts';
import { type NetlogonAnswer, readNetlogon } from './netlogon.ts';

/** RFC 4511 4.5: operations, and the two kinds of filter used here. */
const op = { SEARCH: 0x63, ENTRY: 0x64, DONE: 0x65, AND: 0xa0, EQUALITY: 0xa3 } as const;
/** MS-ADTS 6.3.1.1: NETLOGON_NT_VERSION_5 and _5EX, which ask for NETLOGON_SAM_LOGON_RESPONSE_EX. */
const NT_VERSION = Uint8Array.of(0x06, 0, 0, 0);
/** Sent again after the first, given up after the second, ms: whoever is near answers in a few. */
const SCHEDULE = [150, 400];

/**
 * The search `(&(DnsDomain=domain)(NtVer=6))` for `Netlogon` at the root.
 * @param id message number, 1 to 2^31 - 1
 */
export function pingRequest(domain: string, id: number): Uint8Array {
  const equals = (name: string, value: Uint8Array) =>
    tlv(op.EQUALITY, tlv(ber.octetString, utf8(name)), tlv(ber.octetString, value));
  const search = tlv(
    op.SEARCH,
    tlv(ber.octetString),
    tlv(ber.enumerated, Uint8Array.of(0)), // baseObject
    tlv(ber.enumerated, Uint8Array.of(0)), // neverDerefAliases
    tlv(ber.integer, Uint8Array.of(0)),
    tlv(ber.integer, Uint8Array.of(0)),
    tlv(ber.boolean, Uint8Array.of(0)),
    tlv(op.AND, equals('DnsDomain', utf8(domain)), equals('NtVer', NT_VERSION)),
    tlv(ber.sequence, tlv(ber.octetString, utf8('Netlogon'))),
  );
  const number = Uint8Array.of((id >>> 24) & 0x7f, (id >>> 16) & 0xff, (id >>> 8) & 0xff, id & 0xff);
  const first = number.findIndex((b, i) => b > 0 || number[i + 1]! > 0x7f || i === 3);
  const minimal = number.subarray(first);
  return tlv(ber.sequence, tlv(ber.integer, minimal), search);
}

function tlv(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const value = Buffer.concat(parts);
  const length = value.length < 0x80 ? [value.length] : [0x82, value.length >> 8, value.length & 0xff];
  return Buffer.concat([Uint8Array.of(tag, ...length), value]);
}

/**
 * The answer in a datagram; undefined when the server has none for this domain.
 * @throws MalformedError, also for the answer to another message
 */
export function readPing(datagram: Uint8Array, id: number): NetlogonAnswer | undefined {
  const r = new Reader(element(new Reader(datagram, 'LDAP'), ber.sequence), 'LDAP');
  if (number(element(r, ber.integer)) !== id) r.fail('the answer to another message');
  const [operation, value] = anyElement(r);
  if (operation === op.DONE) return undefined;
  if (operation !== op.ENTRY) r.fail(`operation 0x${operation.toString(16)} is no answer to a search`);
  const entry = new Reader(value, 'LDAP');
  element(entry, ber.octetString);
  const attributes = new Reader(element(entry, ber.sequence), 'LDAP');
  while (attributes.remaining > 0) {
    const attribute = new Reader(element(attributes, ber.sequence), 'LDAP');
    const name = Buffer.from(element(attribute, ber.octetString)).toString('latin1');
    const values = new Reader(element(attribute, ber.set), 'LDAP');
    if (name.toLowerCase() === 'netlogon' && values.remaining > 0) {
      return readNetlogon(element(values, ber.octetString));
    }
  }
  return undefined;
}

export interface PingOptions {
  readonly resolver: Resolver;
  readonly signal: AbortSignal;
}

/**
 * Pings one domain controller.
 * @throws AdError UNREACHABLE when it does not answer, or not for this domain; TIMEOUT or ABORTED by the signal
 */
export async function pingDomainController(
  endpoint: Endpoint,
  domain: string,
  options: PingOptions,
): Promise<NetlogonAnswer> {
  const id = randomInt(1, 2 ** 31);
  const accepts = (datagram: Uint8Array) => {
    try {
      readPing(datagram, id);
      return true;
    } catch (e) {
      if (e instanceof MalformedError) return false;
      throw e;
    }
  };
  const datagram = await askOverUdp(endpoint, pingRequest(domain, id), { ...options, accepts, schedule: SCHEDULE });
  const answer = readPing(datagram, id);
  if (!answer || answer.paused || answer.domain.toLowerCase() !== domain.toLowerCase()) {
    throw new AdError('UNREACHABLE', `${endpoint.host} does not serve ${domain}`, { server: endpoint.host });
  }
  return answer;
}
