/** What the primitives cost, for information: no limit. */
import { pbkdf2Sync, randomBytes } from 'node:crypto';
import { utf8 } from '../src/bytes.ts';
import { etypeName, Key, stringToKey } from '../src/krb5/crypto/index.ts';
import { inTurns, timed } from './measure.ts';
import type { Row } from './report.ts';

export const title = 'cryptography, operations a second on one thread';

const ROUNDS = 9;

export async function run(): Promise<Row[]> {
  const password = utf8('Only-For-This-Bench-1');
  const message = randomBytes(1536);
  const sealAndOpen = (etype: number) => {
    const key = Key.generate(etype);
    return () => key.decrypt(11, key.encrypt(11, message));
  };
  const rows: Row[] = [];
  const measure = async (what: string, times: number, action: () => unknown, note?: string) => {
    const batch = () =>
      timed(async () => {
        for (let i = 0; i < times; i++) await action();
      });
    const ms = (await inTurns(ROUNDS, { batch })).ms('batch');
    rows.push({ what, value: (times * 1000) / ms, unit: '/s', ...(note && { note }) });
  };
  for (const etype of [18, 17]) {
    await measure(`string-to-key ${etypeName(etype)}`, 20, () => stringToKey(etype, password, 'EXAMPLE.COMuser'));
  }
  await measure('PBKDF2 alone (node:crypto)', 20, () => pbkdf2Sync(password, 'EXAMPLE.COMuser', 4096, 32, 'sha1'));
  for (const etype of [18, 17, 23]) {
    await measure(`seal and open 1.5 KB ${etypeName(etype)}`, 300, sealAndOpen(etype), 'subkeys kept');
  }
  return rows;
}
