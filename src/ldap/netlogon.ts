/** What a domain controller says about itself and the one who asks: NETLOGON_SAM_LOGON_RESPONSE_EX, MS-ADTS 6.3.1.9. */
import { Reader } from '../bytes.ts';

/** MS-ADTS 6.3.1.2, of which one matters here: "the server is in the same site as the client". */
export const DS_CLOSEST_FLAG = 0x80;

/** MS-ADTS 6.3.1.3: the answer to a ping, with `user unknown` where the ping names none. */
const opcodes = { RESPONSE: 23, PAUSED: 24, USER_UNKNOWN: 25 } as const;

export interface NetlogonAnswer {
  /** True when the Netlogon service is paused: the DC asks to be passed over. */
  readonly paused: boolean;
  /** DS_FLAG bits. */
  readonly flags: number;
  readonly domainGuid: string;
  readonly forest: string;
  readonly domain: string;
  readonly host: string;
  readonly netbiosDomain: string;
  readonly netbiosHost: string;
  /** The site of the domain controller. */
  readonly serverSite: string;
  /** The site of the one who asked, by its address; empty when no subnet holds it. */
  readonly clientSite: string;
}

/** @throws MalformedError */
export function readNetlogon(value: Uint8Array): NetlogonAnswer {
  const r = new Reader(value, 'netlogon', { littleEndian: true });
  const opcode = r.u16('opcode');
  if (!Object.values<number>(opcodes).includes(opcode)) r.fail(`operation ${opcode} is no answer of this kind`);
  r.u16('Sbz');
  const flags = r.u32('flags');
  const domainGuid = guidText(r.bytes(16, 'domain GUID'));
  const text = () => compressedName(value, r);
  const [forest, domain, host, netbiosDomain, netbiosHost] = [text(), text(), text(), text(), text()];
  text(); // the user, who was not asked for
  const [serverSite, clientSite] = [text(), text()];
  // Further fields may come by later versions; the last eight bytes are always the same three.
  const end = new Reader(value, 'netlogon', { littleEndian: true, offset: Math.max(r.offset, value.length - 8) });
  end.u32('NtVersion');
  // "LmNtToken ... MUST be set to 0xFFFF. Lm20Token ... MUST be set to 0xFFFF."
  if (end.u16('LmNtToken') !== 0xffff || end.u16('Lm20Token') !== 0xffff) end.fail('the tokens at the end are wrong');
  const paused = opcode === opcodes.PAUSED;
  return { paused, flags, domainGuid, forest, domain, host, netbiosDomain, netbiosHost, serverSite, clientSite };
}

/** A GUID as text; its first three parts are little endian (MS-DTYP 2.3.4.2). */
function guidText(bytes: Uint8Array): string {
  const hex = Buffer.from([3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].map((i) => bytes[i]!)).toString('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** Far above any name: 255 bytes in labels of one. */
const MAX_LABELS = 128;

/**
 * A name in the compressed form of RFC 1035 4.1.4, UTF-8 within the labels. Each pointer leads backwards, so that none
 * leads round in a circle.
 */
function compressedName(message: Uint8Array, r: Reader): string {
  const labels: string[] = [];
  let at = r;
  for (let length = at.u8('name'); length !== 0; length = at.u8('name')) {
    if (length >= 0xc0) {
      const here = at.offset - 1;
      const target = (length & 0x3f) * 256 + at.u8('pointer');
      if (target >= here) at.fail(`a pointer to byte ${target}, which is not before it`);
      at = new Reader(message, 'netlogon', { offset: target });
      continue;
    }
    if (length > 63) at.fail(`a label of ${length} bytes`);
    if (labels.length === MAX_LABELS) at.fail(`a name of more than ${MAX_LABELS} labels`);
    labels.push(at.utf8(length, 'label'));
  }
  return labels.join('.');
}
