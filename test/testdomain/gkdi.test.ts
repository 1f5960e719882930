import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { hex } from '../../src/bytes.ts';
import { encodeManagedPassword } from '../../src/testdomain/gmsa/blob.ts';
import { cycleAt, cycleStart, gkidOf, managedPassword } from '../../src/testdomain/gmsa/gkdi.ts';
import { guidToBytes, guidToText, sidToBytes } from '../../src/testdomain/gmsa/identifiers.ts';
import { phaseAt, scheduleOf } from '../../src/testdomain/gmsa/schedule.ts';

/** From a made-up root key, computed with an independent implementation. */
const root = {
  id: guidToBytes('00112233-4455-6677-8899-aabbccddeeff'),
  value: new Uint8Array(createHash('sha512').update('example root key').digest()),
};
const sid = sidToBytes('S-1-5-21-1111111111-2222222222-3333333333-1105');
const blobHex = `
  01000000240200001000120114021c02dd1b87161dd43c5394ce74a953ff1d60e5a34da5b4768e081f70046cc297c057c03617a1efe128ad45c1
  0c712746536621d41441e06cba2d68c0dfdf6575bd29a44e5b0b2d84521b79d6dc25b74c040bbfdbb0b21b9555b8b0377786201d00ba32b3d43e
  febb218cfb1ef71ac9d1182ca36d19e5b19307209ee75a690f57d53089489d3927e0e305817618955ba99a1ac35b3fe663ad8e2cf8ee15a893e4
  3541c1dbe2abfe3d02a8e156e7db54f359f98af4810c15dea718def669eb81674155b54ed99b1a7f36e33684b4cc465bd50f65fbbbff9f26f06c
  9f16a339365d5ab7396c42b1297b607ab76fe354e0260923d8eac72cd75befc8f5b15ccfc44df4b40000251ee21eaf0d2ee5a50240e25a21ea19
  b8357aa291e13e0b12c92f1ca51978d8edc6c299a6c0cdac6ea1edf5b123edbe04df97e7670594e08d327fca9e0feed6c8b8a8fd8e4fb31b800c
  d46da4ebc7d97bdcac7cf49f7770f0dcff63e278e976c61e095e65a2f54492e66424cbe88b54e836cdbfdc57da7b2cbd8215ea0e4a0c78ad4374
  e443d2e9d93dc18123ed36a595eff8feef21e927ca44042b7efe706c12e24d073259fc9b7f44f0e6e69e2a953f4087b4b392f247483337fb99d0
  23c101fdf136e4fe06286ab6b0c64efbdbd187cf17c679cc77c7c379b2890fd33f5fdcf222757b64de3578d20a844ff8b03d2dfd7b00bae9cd12
  55ca7a2f92167912000000c0692ac900000000629977c8000000`.replace(/\s+/g, '');

describe('group key derivation', () => {
  const current = managedPassword(root, { l0: 366, l1: 10, l2: 5 }, sid);
  const previous = managedPassword(root, { l0: 366, l1: 9, l2: 7 }, sid);

  test('gives the password of a known root key, key identifier and SID', () => {
    assert.equal(hex(current), blobHex.slice(32, 32 + 512));
    assert.equal(hex(previous), blobHex.slice(32 + 516, 32 + 516 + 512));
  });

  test('the blob has the layout of a real one, byte for byte', () => {
    const blob = encodeManagedPassword({ current, previous, queryMs: 86_400_000, unchangedMs: 86_100_000 });
    assert.equal(hex(blob), blobHex);
    assert.equal(encodeManagedPassword({ current, queryMs: 1, unchangedMs: 1 }).length, 290);
  });

  test('a GUID survives the way to bytes and back', () => {
    assert.equal(hex(root.id), '33221100554477668899aabbccddeeff');
    assert.equal(guidToText(root.id), '00112233-4455-6677-8899-aabbccddeeff');
  });
});

describe('rotation', () => {
  // The timeline observed on a real domain controller: interval one day, made at 06:13, first roll at 18:00 UTC.
  const hour = 3_600_000;
  const minute = 60_000;
  const roll = cycleStart(cycleAt(Date.UTC(2026, 10, 23)) + 2);
  const schedule = scheduleOf(roll - 11.75 * hour, 1);
  const at = (ms: number): ReturnType<typeof phaseAt> => phaseAt(schedule, roll + ms);
  const a = schedule.firstCycle;
  const b = a + 2;

  test('cycles begin at multiples of ten hours since 1601 and count as L0, L1, L2', () => {
    assert.equal((roll + 11_644_473_600_000) % (10 * hour), 0);
    assert.deepEqual(gkidOf(366 * 1024 + 10 * 32 + 5), { l0: 366, l1: 10, l2: 5 });
  });

  test('at first there is one password', () => {
    const phase = at(-11.75 * hour);
    assert.deepEqual([phase.inForce, phase.kvno, phase.alsoAccepted], [a, 1, undefined]);
    assert.deepEqual(phase.shown, {
      current: a,
      previous: undefined,
      queryMs: 11.75 * hour,
      unchangedMs: 11.75 * hour - 5 * minute,
    });
    assert.equal(at(-10 * minute).shown.current, a);
  });

  test('in the last five minutes the next password is shown, yet the old one is in force', () => {
    const phase = at(-4 * minute);
    assert.deepEqual([phase.inForce, phase.kvno], [a, 1]);
    assert.deepEqual(phase.shown, { current: b, previous: a, queryMs: 4 * minute, unchangedMs: 20 * hour - minute });
  });

  test('for five minutes after a roll both are accepted and no previous one is shown', () => {
    const phase = at(20_000);
    assert.deepEqual([phase.inForce, phase.alsoAccepted, phase.kvno], [b, a, 2]);
    assert.deepEqual([phase.shown.current, phase.shown.previous], [b, undefined]);
    assert.equal(at(10 * minute).alsoAccepted, undefined);
  });

  test('hours later the previous one is shown beside the current', () => {
    const phase = at(8.25 * hour);
    assert.deepEqual([phase.shown.current, phase.shown.previous, phase.shown.queryMs], [b, a, 11.75 * hour]);
    assert.equal(at(24.2 * hour).kvno, 3);
  });
});
