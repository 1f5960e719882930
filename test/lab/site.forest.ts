/**
 * Two domain controllers, of which one is in the site of this host: it goes first, for Kerberos and for LDAP. The site is
 * made here and stays; the other suites do not mind where a domain controller stands.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { discoverServers } from '../../src/krb5/network/discovery.ts';
import { Locator } from '../../src/krb5/network/locate.ts';
import { DnsResolver } from '../../src/krb5/network/resolver.ts';
import { pingDomainController } from '../../src/ldap/cldap.ts';
import { LDAP_PORT, locateDomainControllers } from '../../src/ldap/locate.ts';
import { DS_CLOSEST_FLAG } from '../../src/ldap/netlogon.ts';
import { Sites } from '../../src/ldap/sites.ts';
import plan from './accounts.json' with { type: 'json' };
import { faults, forest, forestMissing } from './forest.ts';

const { domain, realm, address } = forest;
const SITE = 'Berlin';
const SITES = 'CN=Sites,CN=Configuration,DC=lab,DC=example';
const directory = process.env.CF_FOREST_DIR;

function on(host: 'dc1' | 'dc2', program: string, args: readonly string[], input = ''): string {
  const inside = ['netns', 'exec', `cf-${process.env.CF_FOREST_NAME}-${host}`, program, ...args];
  return execFileSync('ip', inside, { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'] });
}

/** Puts this host and dc2 into a site, and waits until both DNS servers know its services. */
async function makeSite(): Promise<void> {
  const records = (server: string) =>
    new DnsResolver({ servers: [server] }).srv(`_ldap._tcp.${SITE}._sites.dc._msdcs.${domain}`);
  const known = async () =>
    (await Promise.all([records(address.dc1), records(address.dc2)])).every((r) => r.length > 0);
  if (await known()) return;
  const database = `${directory}/dc1/private/sam.ldb`;
  on('dc1', 'samba-tool', ['sites', 'create', SITE, '-H', database]);
  on('dc1', 'samba-tool', ['sites', 'subnet', 'create', '10.77.0.0/28', SITE, '-H', database]);
  const move = [`dn: CN=DC2,CN=Servers,CN=Default-First-Site-Name,${SITES}`, 'changetype: modrdn', 'newrdn: CN=DC2'];
  const to = ['deleteoldrdn: 1', `newsuperior: CN=Servers,CN=${SITE},${SITES}`, ''];
  on('dc1', 'ldbmodify', ['-H', database], [...move, ...to].join('\n'));
  const conf = ['-s', `${directory}/dc2/etc/smb.conf`];
  const user = ['-U', `LAB\\Administrator%${plan.administrator.password}`];
  const replicate = (to: string, from: string, part: string) =>
    on('dc2', 'samba-tool', ['drs', 'replicate', `${to}.${domain}`, `${from}.${domain}`, part, ...user, ...conf]);
  replicate('dc2', 'dc1', 'CN=Configuration,DC=lab,DC=example');
  on('dc2', 'samba_dnsupdate', [...conf, '--all-names']);
  // After another suite stopped a controller the two wait long before they tell each other anything by themselves.
  for (const zone of ['DomainDnsZones', 'ForestDnsZones']) {
    replicate('dc1', 'dc2', `DC=${zone},DC=lab,DC=example`);
    replicate('dc2', 'dc1', `DC=${zone},DC=lab,DC=example`);
  }
  for (let i = 0; i < 60 && !(await known()); i++) await delay(500);
  assert.ok(await known(), 'the records of the site are not in DNS');
}

describe('the site of this host', { skip: forestMissing }, () => {
  before(makeSite);
  const resolver = new DnsResolver();
  const newLocator = () =>
    new Locator({ resolver, clock: Date.now, siteOf: new Sites({ resolver, clock: Date.now }).siteOf });
  const near = `dc2.${domain}`;
  const far = `dc1.${domain}`;

  test('is what both domain controllers say, and only one of them is near', async () => {
    for (const [host, closest] of [
      [far, false],
      [near, true],
    ] as const) {
      const options = { resolver, signal: AbortSignal.timeout(5000) };
      const answer = await pingDomainController({ host, port: LDAP_PORT }, domain, options);
      assert.deepEqual([answer.clientSite, (answer.flags & DS_CLOSEST_FLAG) !== 0], [SITE, closest]);
    }
  });

  test('has its domain controller go first, and the other after it', async () => {
    // In DNS both have one priority: without the site each would be first half of the time.
    for (let i = 0; i < 10; i++) {
      const locator = newLocator();
      const kdcs = await discoverServers(locator, realm, 'kerberos', { uri: true });
      const directories = await locateDomainControllers(domain, locator);
      assert.deepEqual(
        [kdcs, directories].map((servers) => servers.map((s) => s.host)),
        [
          [near, far],
          [near, far],
        ],
      );
    }
  });

  test('is found while a domain controller is frozen', async () => {
    const mend = faults.frozen('dc1');
    try {
      const locator = newLocator();
      assert.equal((await locateDomainControllers(domain, locator))[0]!.host, near);
    } finally {
      mend();
    }
  });
});
