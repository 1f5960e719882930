/** KRB-CRED: what is refused. That others read and write it as we do is proved in delegation-mit.test.ts. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fromDer, type Infer, toDer } from '../../../src/asn1.ts';
import { isAdError } from '../../../src/errors.ts';
import type { Credentials } from '../../../src/krb5/credentials.ts';
import { Key } from '../../../src/krb5/crypto/index.ts';
import { openCredentials, sealCredentials } from '../../../src/krb5/exchanges/cred.ts';
import { EncKrbCredPart, KrbCred, Ticket, toPrincipalName } from '../../../src/krb5/messages.ts';
import { keyUsage } from '../../../src/krb5/numbers.ts';
import { krbtgt, principal } from '../../../src/krb5/principal.ts';
import { fuzz } from '../../support/fuzz.ts';

const REALM = 'EXAMPLE.TEST';
const key = Key.generate(18);
const time = new Date('2026-01-02T03:04:05Z');
const stamp = { seconds: time, microseconds: 7 };
const server = krbtgt(REALM);
const ticketOf = (realm: string) =>
  toDer(Ticket, {
    tktVno: 5,
    realm,
    sname: toPrincipalName(server),
    encPart: { etype: 18, kvno: 1, cipher: new Uint8Array(40) },
  });
const tgt: Credentials = {
  client: principal(REALM, 'alice'),
  server,
  key: { etype: 18, value: new Uint8Array(32).fill(5) },
  authtime: time,
  starttime: time,
  endtime: new Date(time.getTime() + 3_600_000),
  flags: 0x60000000,
  isSkey: false,
  addresses: [{ addrType: 2, address: Uint8Array.of(192, 0, 2, 7) }],
  authorizationData: [],
  ticket: ticketOf(REALM),
  secondTicket: new Uint8Array(0),
};
const message = () => sealCredentials([tgt], key, stamp);

/** The message with its sealed part changed. */
function altered(change: (clear: Infer<typeof EncKrbCredPart>) => void, cipherKey = key): Uint8Array {
  const clear = part();
  change(clear);
  const cred = fromDer(KrbCred, message());
  const cipher = cipherKey.encrypt(keyUsage.KRB_CRED, toDer(EncKrbCredPart, clear));
  return toDer(KrbCred, { ...cred, encPart: { etype: cipherKey.etype, cipher } });
}
const part = () => fromDer(EncKrbCredPart, key.decrypt(keyUsage.KRB_CRED, fromDer(KrbCred, message()).encPart.cipher));

describe('a KRB-CRED', () => {
  test('holds what was put in', () => assert.deepEqual(openCredentials(message(), [key]), [tgt]));

  test('opens with any of the keys given', () =>
    assert.equal(openCredentials(message(), [Key.generate(17), Key.generate(18), key]).length, 1));

  test('sealed with another key is refused', () =>
    assert.throws(() => openCredentials(message(), [Key.generate(18)]), { code: 'INTEGRITY' }));

  test('in the clear is refused', () => {
    const cred = fromDer(KrbCred, message());
    const clear = toDer(KrbCred, { ...cred, encPart: { etype: 0, cipher: toDer(EncKrbCredPart, part()) } });
    assert.throws(() => openCredentials(clear, [key]), { code: 'INTEGRITY' });
  });

  test('with a ticket that it does not describe is refused', () => {
    const cred = fromDer(KrbCred, message());
    const more = toDer(KrbCred, { ...cred, tickets: [tgt.ticket, tgt.ticket] });
    assert.throws(() => openCredentials(more, [key]), { code: 'REPLY_REJECTED', message: /each of its tickets/ });
  });

  test('whose ticket is for another server than it says is refused', () => {
    const cred = fromDer(KrbCred, message());
    const other = toDer(KrbCred, { ...cred, tickets: [ticketOf('EVIL.TEST')] });
    assert.throws(() => openCredentials(other, [key]), { code: 'REPLY_REJECTED', message: /different servers/ });
  });

  test('without the names or times of a ticket is refused', () => {
    for (const field of ['prealm', 'pname', 'srealm', 'sname', 'endtime'] as const) {
      const without = altered(({ ticketInfo }) => void delete ticketInfo[0]![field]);
      assert.throws(() => openCredentials(without, [key]), { code: 'MALFORMED' }, field);
    }
  });

  test('with a session key of another length is refused', () => {
    const short = altered(({ ticketInfo }) => {
      ticketInfo[0]!.key.keyvalue = new Uint8Array(16);
    });
    assert.throws(() => openCredentials(short, [key]), { code: 'REPLY_REJECTED', message: /16 bytes/ });
  });

  test('of another version is refused', () => {
    const cred = fromDer(KrbCred, message());
    assert.throws(() => openCredentials(toDer(KrbCred, { ...cred, pvno: 4 }), [key]), { code: 'REPLY_REJECTED' });
  });

  test('altered anywhere is opened or refused by name', () => {
    const { refused } = fuzz([message()], (input) => openCredentials(input, [key]), {
      iterations: 500,
      seed: 22,
      allow: (e) => isAdError(e, 'INTEGRITY', 'REPLY_REJECTED'),
    });
    assert.ok(refused > 400, `${refused}`);
  });
});
