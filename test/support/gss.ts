/** A service and its ticket without any KDC, and the acceptor's end of a GSS context, for tests of the initiator. */
import assert from 'node:assert/strict';
import { toDer } from '../../src/asn1.ts';
import type { Credentials } from '../../src/krb5/credentials.ts';
import { Key } from '../../src/krb5/crypto/index.ts';
import { type AcceptedApRequest, acceptApReq, buildApRep } from '../../src/krb5/exchanges/ap.ts';
import { type ExchangeContext, exchangeContext } from '../../src/krb5/exchanges/context.ts';
import { CfxContext } from '../../src/krb5/gss/cfx.ts';
import { frameToken, gssTokenId, unframeToken } from '../../src/krb5/gss/token.ts';
import { EncTicketPart, Ticket } from '../../src/krb5/messages.ts';
import { keyUsage } from '../../src/krb5/numbers.ts';
import { principal, servicePrincipal } from '../../src/krb5/principal.ts';
import { FakeKdc } from './fake-kdc.ts';

export const REALM = 'EXAMPLE.TEST';
export const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
export const serviceKey = Key.generate(18);
const sessionKey = Key.generate(18);
const server = servicePrincipal('ldap', 'dc1.example.test', REALM);
const times = { authtime: new Date(NOW), endtime: new Date(NOW + 36e5) };

const ticketPart = toDer(EncTicketPart, {
  flags: 0,
  key: { keytype: 18, keyvalue: sessionKey.value },
  crealm: REALM,
  cname: { nameType: 1, nameString: ['alice'] },
  transited: { trType: 0, contents: new Uint8Array() },
  ...times,
});

/** alice's ticket for ldap/dc1.example.test. */
export const credentials: Credentials = {
  client: principal(REALM, 'alice'),
  server,
  key: { etype: 18, value: sessionKey.value },
  ...times,
  flags: 0,
  isSkey: false,
  addresses: [],
  authorizationData: [],
  ticket: toDer(Ticket, {
    tktVno: 5,
    realm: REALM,
    sname: { nameType: 3, nameString: [...server.components] },
    encPart: { etype: 18, kvno: 1, cipher: serviceKey.encrypt(keyUsage.KDC_REP_TICKET, ticketPart) },
  }),
  secondTicket: new Uint8Array(0),
};

export const context: ExchangeContext = exchangeContext({ transport: new FakeKdc(), clock: () => NOW });

/** Opens an initiator's first token as the service would. */
export function acceptToken(token: Uint8Array): AcceptedApRequest {
  const { tokId, inner } = unframeToken(token);
  assert.equal(tokId, gssTokenId.AP_REQ);
  const keyFor = () => new Key(18, serviceKey.value);
  return acceptApReq(inner, {
    keyFor,
    clock: () => NOW,
    clockSkew: 300_000,
    usage: keyUsage.AP_REQ_AUTHENTICATOR,
  });
}

/** The acceptor's answer with a subkey of its own, and its end of the context. */
export function accept(token: Uint8Array): { reply: Uint8Array; acceptor: CfxContext } {
  const accepted = acceptToken(token);
  const subkey = Key.generate(18);
  const acceptor = new CfxContext({
    key: subkey,
    initiator: false,
    acceptorSubkey: true,
    sendSeq: 7n,
    recvSeq: BigInt(accepted.sequence!),
  });
  return { reply: frameToken(gssTokenId.AP_REP, buildApRep(accepted, { subkey, sequence: 7 })), acceptor };
}
