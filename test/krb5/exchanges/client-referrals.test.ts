/** Enterprise names and clients of another realm than the one asked (RFC 6806 sections 5 and 7). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Key } from '../../../src/krb5/crypto/index.ts';
import { asExchange } from '../../../src/krb5/exchanges/as.ts';
import { exchangeContext } from '../../../src/krb5/exchanges/context.ts';
import { kdcOption, nameType } from '../../../src/krb5/numbers.ts';
import {
  enterprisePrincipal,
  formatPrincipal,
  krbtgt,
  type Principal,
  principal,
} from '../../../src/krb5/principal.ts';
import { KeySecret } from '../../../src/krb5/secret.ts';
import { asReply, errorReply, FakeKdc, type SeenRequest } from '../../support/fake-kdc.ts';

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const key = Key.generate(18);
const upn = enterprisePrincipal('alice@corp.example', 'A.TEST');

function login(kdc: FakeKdc, client: Principal = upn, kdcOptions?: number) {
  const context = exchangeContext({ transport: kdc, clock: () => NOW });
  const secret = new KeySecret([{ etype: 18, value: key.value }]);
  return asExchange(context, { client, secret, ...(kdcOptions !== undefined && { kdcOptions }) });
}
const alice = { nameType: nameType.PRINCIPAL, nameString: ['alice'] };
const honest = (request: SeenRequest) => asReply(request, key, NOW, { rep: { cname: alice } });
const refer = (to: string, code: 'KDC_ERR_WRONG_REALM' | 'KDC_ERR_C_PRINCIPAL_UNKNOWN' = 'KDC_ERR_WRONG_REALM') =>
  errorReply(code, NOW, { crealm: to });

describe('an enterprise name', () => {
  test('goes as one component of its own name type, and comes back as the account', async () => {
    const kdc = new FakeKdc(honest);
    const got = await login(kdc);
    assert.deepEqual(kdc.requests[0]!.body.cname, { nameType: 10, nameString: ['alice@corp.example'] });
    assert.equal(formatPrincipal(got.client), 'alice@A.TEST');
  });

  test('is written with its inner @ escaped', () => {
    assert.equal(formatPrincipal(upn), 'alice\\@corp.example@A.TEST');
  });
});

describe('a client of another realm', () => {
  for (const code of ['KDC_ERR_WRONG_REALM', 'KDC_ERR_C_PRINCIPAL_UNKNOWN'] as const) {
    test(`is looked for there after ${code}`, async () => {
      const kdc = new FakeKdc((request) => (request.realm === 'A.TEST' ? refer('B.TEST', code) : honest(request)));
      const got = await login(kdc);
      assert.deepEqual(
        kdc.requests.map((r) => [r.realm, r.body.realm, r.body.sname?.nameString[1]]),
        [
          ['A.TEST', 'A.TEST', 'A.TEST'],
          ['B.TEST', 'B.TEST', 'B.TEST'],
        ],
      );
      assert.equal(formatPrincipal(got.client), 'alice@B.TEST');
      assert.equal(formatPrincipal(got.server), formatPrincipal(krbtgt('B.TEST')));
    });
  }

  test('that no realm knows is unknown', async () => {
    const kdc = new FakeKdc(() => errorReply('KDC_ERR_C_PRINCIPAL_UNKNOWN', NOW, { crealm: 'A.TEST' }));
    await assert.rejects(login(kdc), { code: 'UNKNOWN_PRINCIPAL', message: /no such account/ });
    assert.equal(kdc.requests.length, 1);
  });

  test('is not looked for elsewhere unless canonicalisation was asked for', async () => {
    const kdc = new FakeKdc(() => refer('B.TEST'));
    await assert.rejects(login(kdc, principal('A.TEST', 'alice'), kdcOption.FORWARDABLE), {
      code: 'UNKNOWN_PRINCIPAL',
      message: /WRONG_REALM.*another realm/,
    });
    assert.equal(kdc.requests.length, 1);
  });

  test('is not chased in a circle', async () => {
    const kdc = new FakeKdc((request) => refer(request.realm === 'A.TEST' ? 'B.TEST' : 'A.TEST'));
    await assert.rejects(login(kdc), { code: 'UNKNOWN_PRINCIPAL', message: /circles/ });
    assert.equal(kdc.requests.length, 2);
  });

  test('is not chased without end', async () => {
    const kdc = new FakeKdc((_, n) => refer(`R${n}.TEST`));
    await assert.rejects(login(kdc), { code: 'UNKNOWN_PRINCIPAL', message: /circles/ });
    assert.equal(kdc.requests.length, 11);
  });

  test('whose new realm answers with a ticket of a third one is refused', async () => {
    const kdc = new FakeKdc((request) =>
      request.realm === 'A.TEST'
        ? refer('B.TEST')
        : asReply(request, key, NOW, { rep: { cname: alice, crealm: 'C.TEST' } }),
    );
    await assert.rejects(login(kdc), { code: 'REPLY_REJECTED', message: /client of C\.TEST in a ticket of B\.TEST/ });
  });
});
