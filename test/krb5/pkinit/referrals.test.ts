/** Where a client with a certificate lets itself be led. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { asExchange } from '../../../src/krb5/exchanges/as.ts';
import { exchangeContext } from '../../../src/krb5/exchanges/context.ts';
import { PkinitSecret } from '../../../src/krb5/pkinit/secret.ts';
import { anonymousPrincipal, enterprisePrincipal, type Principal, principal } from '../../../src/krb5/principal.ts';
import { errorReply, FakeKdc } from '../../support/fake-kdc.ts';
import { type Issued, needsOpenssl, Pki } from '../../support/pki.ts';

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

describe('a KDC that says the client is of another realm', { skip: needsOpenssl }, () => {
  let pki: Pki;
  let authority: Issued;
  before(async () => {
    pki = await Pki.open();
    authority = await pki.authority();
  });
  after(() => pki?.close());

  async function realmsAsked(client: Principal): Promise<string[]> {
    const kdc = new FakeKdc((request) =>
      request.realm === 'A.TEST'
        ? errorReply('KDC_ERR_WRONG_REALM', NOW, { crealm: 'B.TEST' })
        : errorReply('KDC_ERR_C_PRINCIPAL_UNKNOWN', NOW),
    );
    const context = exchangeContext({ transport: kdc, clock: () => NOW });
    const secret = new PkinitSecret({ anchors: [authority.certificate] });
    await assert.rejects(asExchange(context, { client, secret }), { code: 'UNKNOWN_PRINCIPAL' });
    return kdc.requests.map((r) => r.realm);
  }

  test('is followed by one that did not know its realm', async () =>
    assert.deepEqual(await realmsAsked(enterprisePrincipal('alice@corp.example', 'A.TEST')), ['A.TEST', 'B.TEST']));

  test('is not followed by others: any realm with such a certificate could draw them to itself', async () => {
    assert.deepEqual(await realmsAsked(principal('A.TEST', 'alice')), ['A.TEST']);
    assert.deepEqual(await realmsAsked(anonymousPrincipal('A.TEST')), ['A.TEST']);
  });
});
