/** SPNEGO between both our ends with somebody in between, and what each end refuses from the other. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { toDer } from '../../../src/asn1.ts';
import { fromHex, hex, utf8 } from '../../../src/bytes.ts';
import { isAdError } from '../../../src/errors.ts';
import { GssAcceptor } from '../../../src/krb5/gss/acceptor.ts';
import { GssError } from '../../../src/krb5/gss/errors.ts';
import { GssInitiator } from '../../../src/krb5/gss/initiator.ts';
import { ReplayCache } from '../../../src/krb5/gss/replay-cache.ts';
import { KeytabKeys } from '../../../src/krb5/gss/service-keys.ts';
import {
  decodeInit,
  decodeResp,
  encodeInit,
  encodeResp,
  MechTypeList,
  negState,
  type SpnegoResp,
} from '../../../src/krb5/gss/spnego.ts';
import { NegotiateAcceptor, type NegotiateAcceptorOptions } from '../../../src/krb5/gss/spnego-acceptor.ts';
import { SpnegoInitiator } from '../../../src/krb5/gss/spnego-initiator.ts';
import { mechanism } from '../../../src/krb5/gss/token.ts';
import { principal } from '../../../src/krb5/principal.ts';
import { fuzz } from '../../support/fuzz.ts';
import { context, credentials, NOW, REALM, serviceKey } from '../../support/gss.ts';

const keys = new KeytabKeys([
  {
    principal: principal(REALM, 'ldap', 'dc1.example.test'),
    timestamp: new Date(NOW),
    kvno: 1,
    key: { etype: 18, value: serviceKey.value },
  },
]);
const acceptor = (more: Partial<NegotiateAcceptorOptions> = {}) =>
  new NegotiateAcceptor({ keys, replays: new ReplayCache(), clock: () => NOW, ...more });
const initiator = () => new SpnegoInitiator({ context, credentials });
const NEGOEX = '1.3.6.1.4.1.311.2.2.30';
const NTLM = '1.3.6.1.4.1.311.2.2.10';
/** A first token that offers these. */
function offer(mechTypes: readonly string[], mechToken: Uint8Array | undefined, mechListMic?: Uint8Array): Uint8Array {
  return encodeInit({ mechList: toDer(MechTypeList, [...mechTypes]), mechToken, mechListMic });
}
const list = (mechTypes: readonly string[]) => toDer(MechTypeList, [...mechTypes]);

describe('the offer', () => {
  test('is the one of RFC 4178 4.2.1: both names of Kerberos, and its token', () => {
    const token = initiator().step()!;
    const { mechTypes, mechToken, mechList } = decodeInit(token);
    assert.deepEqual(mechTypes, ['1.2.840.113554.1.2.2', '1.2.840.48018.1.2.2']);
    assert.equal(hex(mechList), '3016' + '06092a864886f712010202' + '06092a864882f712010202');
    assert.equal(mechToken![0], 0x60);
    // 60 len 1.3.6.1.5.5.2 [0] SEQUENCE [0] mechTypes …
    assert.match(hex(token), /^6082....06062b0601050502a082....3082....a0183016/);
  });
});

describe('an acceptor', () => {
  const Windows = [mechanism.MS_KRB5, mechanism.KRB5, NEGOEX, NTLM];

  test("names the mechanism as the client's first is named (MS-SPNG 3.2.5)", () => {
    const reply = decodeResp(acceptor().step(offer(Windows, new GssInitiator({ context, credentials }).step()!))!);
    assert.deepEqual([reply.supportedMech, reply.negState], [mechanism.MS_KRB5, negState.ACCEPT_COMPLETED]);
    assert.ok(reply.responseToken);
    assert.equal(reply.mechListMIC, undefined);
  });

  test('passes over a first mechanism it does not know, and has the list proven', () => {
    const mechTypes = [NEGOEX, mechanism.KRB5, NTLM];
    const ours = acceptor();
    const first = decodeResp(ours.step(offer(mechTypes, utf8('NEGOEXTS')))!);
    assert.deepEqual(
      [first.negState, first.supportedMech, first.responseToken],
      [negState.REQUEST_MIC, mechanism.KRB5, undefined],
    );
    const krb5 = new GssInitiator({ context, credentials });
    const second = decodeResp(ours.step(encodeResp({ responseToken: krb5.step()! }))!);
    assert.equal(second.negState, negState.ACCEPT_INCOMPLETE);
    assert.equal(ours.context, undefined);
    krb5.step(second.responseToken!);
    krb5.context!.verifyMic(list(mechTypes), second.mechListMIC!);
    // A client that does not say that it is complete waits for the word, as Samba's does.
    const last = ours.step(encodeResp({ mechListMIC: krb5.context!.getMic(list(mechTypes)) }));
    assert.deepEqual({ ...decodeResp(last!) }, { negState: negState.ACCEPT_COMPLETED });
    assert.ok(ours.context);
  });

  test('is not content when the proof is of another list', () => {
    const ours = acceptor();
    ours.step(offer([NEGOEX, mechanism.KRB5], undefined));
    const krb5 = new GssInitiator({ context, credentials });
    krb5.step(decodeResp(ours.step(encodeResp({ responseToken: krb5.step()! }))!).responseToken!);
    const mechListMIC = krb5.context!.getMic(list([mechanism.KRB5]));
    assert.throws(() => ours.step(encodeResp({ mechListMIC })), { code: 'INTEGRITY' });
    assert.equal(ours.context, undefined);
  });

  test('is not content without the proof', () => {
    const ours = acceptor();
    ours.step(offer([NEGOEX, mechanism.KRB5], undefined));
    const krb5 = new GssInitiator({ context, credentials });
    ours.step(encodeResp({ responseToken: krb5.step()! }));
    assert.throws(() => ours.step(encodeResp({ negState: negState.ACCEPT_COMPLETED })), { major: 'BAD_MIC' });
  });

  test('asks for the token where the offer has none', () => {
    const ours = acceptor();
    const first = decodeResp(ours.step(offer([mechanism.KRB5], undefined))!);
    assert.deepEqual([first.negState, first.supportedMech], [negState.ACCEPT_INCOMPLETE, mechanism.KRB5]);
    const second = decodeResp(
      ours.step(encodeResp({ responseToken: new GssInitiator({ context, credentials }).step()! }))!,
    );
    assert.equal(second.negState, negState.ACCEPT_COMPLETED);
    assert.ok(ours.context);
  });

  const refusals: readonly [what: string, token: Uint8Array, major: string][] = [
    ['NTLM inside', offer([NTLM], utf8('NTLMSSP\0')), 'BAD_MECH'],
    ['NTLM bare', utf8('NTLMSSP\0\u0001\0\0\0'), 'BAD_MECH'],
    ['an empty list', offer([], undefined), 'DEFECTIVE_TOKEN'],
    ['noise', utf8('noise'), 'DEFECTIVE_TOKEN'],
    ['an answer instead of an offer', encodeResp({ negState: 1 }), 'DEFECTIVE_TOKEN'],
    ['noise as Kerberos', offer([mechanism.KRB5], utf8('noise')), 'DEFECTIVE_TOKEN'],
  ];
  for (const [what, token, major] of refusals) {
    test(`rejects ${what}`, () => {
      const ours = acceptor();
      assert.throws(
        () => ours.step(token),
        (e) => {
          assert.ok(e instanceof GssError);
          assert.equal(e.major, major);
          assert.equal(decodeResp(e.token!).negState, negState.REJECT);
          return true;
        },
      );
      assert.equal(ours.context, undefined);
    });
  }
});

describe('an initiator', () => {
  /** Its answer to an honest acceptor's first reply with something else in it. */
  function answer(change: Partial<SpnegoResp>): SpnegoInitiator {
    const theirs = initiator();
    const honest = decodeResp(acceptor().step(theirs.step()!)!);
    theirs.step(encodeResp({ ...honest, ...change }));
    return theirs;
  }
  const lies: readonly [what: string, change: Partial<SpnegoResp>, code: string][] = [
    ['a mechanism that was not offered', { supportedMech: NTLM }, 'NOT_ALLOWED'],
    ['success without proof of itself', { responseToken: undefined }, 'NOT_ALLOWED'],
    ['a rejection', { negState: negState.REJECT, responseToken: undefined }, 'NOT_ALLOWED'],
    ['no mechanism while it goes on', { negState: negState.ACCEPT_INCOMPLETE, supportedMech: undefined }, 'MALFORMED'],
    ['a proof that is noise', { mechListMIC: utf8('noise') }, 'MALFORMED'],
  ];
  for (const [what, change, code] of lies) {
    test(`refuses ${what}`, () => assert.throws(() => answer(change), { code }));
  }

  test('takes the other name of the mechanism, as old Samba answers', () => {
    assert.ok(answer({ supportedMech: mechanism.MS_KRB5 }).context);
  });

  test('gives its token again to a service that did not read it with the offer', () => {
    const [theirs, ours] = [initiator(), new GssAcceptor({ keys, replays: new ReplayCache(), clock: () => NOW })];
    const { mechToken, mechList } = decodeInit(theirs.step()!);
    const asked = theirs.step(encodeResp({ negState: negState.REQUEST_MIC, supportedMech: mechanism.MS_KRB5 }));
    const { responseToken } = decodeResp(asked!);
    assert.equal(hex(responseToken!), hex(mechToken!));
    const reply = { negState: negState.ACCEPT_INCOMPLETE, responseToken: ours.step(responseToken)! };
    const { mechListMIC } = decodeResp(theirs.step(encodeResp(reply))!);
    ours.context!.verifyMic(mechList, mechListMIC!);
    theirs.step(encodeResp({ negState: negState.ACCEPT_COMPLETED, mechListMIC: ours.context!.getMic(mechList) }));
    assert.ok(theirs.context);
  });

  test('takes the lack of a name in a first answer that completes', () => {
    assert.ok(answer({ supportedMech: undefined }).context);
  });

  test('proves the list to whoever asks for it, and waits for theirs', () => {
    for (const state of [negState.REQUEST_MIC, negState.ACCEPT_INCOMPLETE, undefined]) {
      const theirs = initiator();
      const ours = acceptor();
      const honest = decodeResp(ours.step(theirs.step()!)!);
      const { mechListMIC } = decodeResp(theirs.step(encodeResp({ ...honest, negState: state }))!);
      ours.context!.verifyMic(list([mechanism.KRB5, mechanism.MS_KRB5]), mechListMIC!);
      assert.equal(theirs.context, undefined);
      assert.throws(() => theirs.step(encodeResp({ negState: negState.ACCEPT_COMPLETED })), { code: 'INTEGRITY' });
    }
  });

  test('needs one round more where the acceptor has the list proven', () => {
    const [theirs, ours] = [initiator(), acceptor({ requireMic: true })];
    const last = theirs.step(ours.step(theirs.step()!)!)!;
    assert.ok(theirs.context);
    assert.equal(ours.step(last), undefined);
    theirs.context.verifyMic(utf8('m'), ours.context!.getMic(utf8('m')));
  });

  test('says what Kerberos said when it was rejected', () => {
    const theirs = initiator();
    try {
      acceptor({ clock: () => NOW + 3_600_000 }).step(theirs.step()!);
    } catch (e) {
      assert.throws(() => theirs.step((e as GssError).token!), { code: 'CLOCK_SKEW' });
    }
  });
});

describe('noise', () => {
  test('in tokens is malformed', () => {
    const first = initiator().step()!;
    const reply = acceptor().step(first)!;
    fuzz([first, offer([NEGOEX, NTLM], utf8('x'), utf8('y'))], decodeInit, { iterations: 1200, seed: 4178 });
    fuzz([reply, fromHex('a1073005a0030a0101')], decodeResp, { iterations: 1200, seed: 4178 });
  });

  test('for an answer never makes a context', () => {
    const theirs = initiator();
    const honest = acceptor().step(theirs.step()!)!;
    fuzz(
      [honest],
      (input) => {
        if (hex(input) === hex(honest)) return;
        const victim = initiator();
        victim.step();
        victim.step(input);
        assert.equal(victim.context, undefined);
      },
      { iterations: 600, seed: 4178, allow: (e) => isAdError(e) },
    );
  });
});
