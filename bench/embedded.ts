/** The embedded domain as a process of its own, so that it does not share an event loop with what is measured. */
import { startTestDomain } from '../src/testdomain/index.ts';
import type { Embedded } from './scene.ts';

const reader = { username: 'svc-fetch', password: 'Only-For-This-Bench-1' };
const gmsas = Array.from({ length: 45 }, (_, i) => `App${String(i + 1).padStart(2, '0')}`);
const domain = await startTestDomain({
  domain: 'bench.example',
  users: [{ name: reader.username, password: reader.password, groups: ['Readers'] }],
  computers: [{ name: 'HOST1', groups: ['Readers'] }],
  gmsas: gmsas.map((name) => ({ name, readers: ['Readers'] })),
});
const embedded: Embedded = {
  realm: domain.realm,
  domain: domain.domain,
  kdcPort: domain.kdcPort,
  ldapPort: domain.ldapPort,
  reader,
  gmsas,
  machine: 'HOST1$',
  keytab: Buffer.from(await domain.keytab('HOST1$')).toString('base64'),
};
console.log(JSON.stringify(embedded));
process.stdin.resume().once('end', () => domain.close());
