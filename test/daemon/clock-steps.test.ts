/** A machine whose clock is wrong and then put right, as at a boot before the time is known: what the daemon makes of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ticketTimes } from '../../src/daemon/renewal/ticket-times.ts';
import { HOUR, MINUTE, machine, world } from './world.ts';

const DAY = 24 * HOUR;

test('tickets fetched while the clock was a day ahead are fetched anew once it is right', async (t) => {
  const { time, renewer, actions, add, user } = await world(t);
  time.step(DAY);
  const [byMachine] = await add(machine, 'WebApp01');
  const [byUser] = await add(user, 'WebApp02');
  renewer.start(actions);
  await time.pass(20 * MINUTE);
  time.step(-DAY);
  assert.ok((await ticketTimes(byMachine!)).ends > time.now + DAY, 'it seems to live a day longer than it does');
  await time.pass(10 * MINUTE);
  for (const path of [byMachine, byUser]) {
    const { starts, ends } = await ticketTimes(path!);
    assert.ok(starts <= time.now && ends <= time.now + 10 * HOUR && ends > time.now + 9 * HOUR, path);
  }
});

test('what failed while the clock was ahead is tried again within minutes', async (t) => {
  const { time, domain, renewer, actions, add, left } = await world(t);
  const [path] = await add(machine, 'WebApp01');
  renewer.start(actions);
  domain.update('WebApp01', { readers: [] });
  await time.pass(6 * HOUR);
  time.step(DAY);
  await time.pass(2 * MINUTE);
  domain.update('WebApp01', { readers: ['Readers'] });
  time.step(-DAY);
  await time.pass(6 * MINUTE);
  assert.ok((await left(path!)) > 9 * HOUR);
});
