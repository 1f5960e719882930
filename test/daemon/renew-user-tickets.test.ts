/** RunRenewalNonDomainJoined: whether a user's tickets are extended without the user. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '../../src/daemon/log.ts';
import { Renewer } from '../../src/daemon/renewal/renewer.ts';
import { HOUR, machine, world } from './world.ts';

test("false leaves a user's tickets to the client's Renew, and no others, until it is true again", async (t) => {
  const { time, store, engine, actions, add, user, left } = await world(t);
  const config = { renewUserTickets: false };
  const renewer = new Renewer({ store, engine, log: silentLog, clock: () => time.now, timers: time, config });
  t.after(() => renewer.close());
  const [ofUser] = await add(user, 'WebApp01');
  const [ofMachine] = await add(machine, 'WebApp02');
  renewer.start(actions);
  await time.pass(7 * HOUR);
  assert.ok((await left(ofUser!)) < 4 * HOUR);
  assert.ok((await left(ofMachine!)) > 7 * HOUR);
  assert.equal(renewer.plan(ofUser!)?.action, "waits for the client's Renew");
  config.renewUserTickets = true;
  await time.pass(HOUR);
  assert.ok((await left(ofUser!)) > 8 * HOUR);
});
