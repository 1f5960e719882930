/** Samba's domain controller tells the site of the one who asks; Samba's own client says what is to be read there. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Locator } from '../../src/krb5/network/locate.ts';
import { DnsResolver } from '../../src/krb5/network/resolver.ts';
import { pingDomainController } from '../../src/ldap/cldap.ts';
import { LDAP_PORT, locateDomainControllers } from '../../src/ldap/locate.ts';
import { Sites } from '../../src/ldap/sites.ts';
import { lab, labStatus, must } from './lab.ts';

const status = labStatus();

describe('the ping of a domain controller', { skip: status.available ? false : status.reason }, () => {
  const resolver = new DnsResolver();
  const ping = (domain: string) =>
    pingDomainController({ host: lab.dc, port: LDAP_PORT }, domain, { resolver, signal: AbortSignal.timeout(5000) });

  test("reads what Samba's client reads", async () => {
    const directory = await mkdtemp(join(tmpdir(), 'cf-lab-site-'));
    try {
      const places = ['private', 'lock', 'state', 'cache'].map((what) => `${what} directory = ${directory}\n`).join('');
      const conf = join(directory, 'client.conf');
      await writeFile(conf, `[global]\nworkgroup = LAB\nrealm = ${lab.realm}\n${places}`);
      const printed = await must('net', ['ads', 'lookup', '-S', lab.dc, '-s', conf]);
      const theirs = (name: string) => new RegExp(`^${name}:?\\s+(.*)$`, 'm').exec(printed)?.[1]?.trim();
      const ours = await ping(lab.domain);
      assert.deepEqual(
        {
          GUID: ours.domainGuid,
          Forest: ours.forest,
          Domain: ours.domain,
          'Domain Controller': ours.host,
          'Pre-Win2k Domain': ours.netbiosDomain,
          'Pre-Win2k Hostname': ours.netbiosHost,
          'Server Site Name': ours.serverSite,
          'Client Site Name': ours.clientSite,
        },
        Object.fromEntries(
          [
            'GUID',
            'Forest',
            'Domain',
            'Domain Controller',
            'Pre-Win2k Domain',
            'Pre-Win2k Hostname',
            'Server Site Name',
            'Client Site Name',
          ].map((name) => [name, theirs(name)]),
        ),
        printed,
      );
      const closest = /Is the closest DC:\s+(yes|no)/.exec(printed)?.[1];
      assert.equal((ours.flags & 0x80) !== 0 ? 'yes' : 'no', closest);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test('of another domain has no answer', async () => {
    await assert.rejects(ping('other.example'), { code: 'UNREACHABLE' });
  });

  test('tells the site, whose servers are in DNS', async () => {
    const sites = new Sites({ resolver, clock: Date.now });
    const site = await sites.siteOf(lab.domain, [lab.dc]);
    assert.equal(site, 'Default-First-Site-Name');
    const records = await resolver.srv(`_ldap._tcp.${site}._sites.dc._msdcs.${lab.domain}`);
    assert.deepEqual(
      records.map((r) => r.host),
      [lab.dc],
    );
  });

  test('is not made where there is one domain controller', async () => {
    const siteOf = async () => assert.fail('asked');
    const locator = new Locator({ resolver, clock: Date.now, siteOf });
    assert.deepEqual(await locateDomainControllers(lab.domain, locator), [{ host: lab.dc, port: LDAP_PORT }]);
  });

  test("URI records that do not exist are none to Samba's DNS", async () => {
    assert.deepEqual(await resolver.uri(`_kerberos.${lab.domain}`), []);
  });
});
