/** PACs that Samba's NDR packed from arbitrary values say to us what went in. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { fromHex } from '../../../src/bytes.ts';
import { type Membership, parsePac } from '../../../src/krb5/pac/index.ts';
import { mustRun } from '../../support/programs.ts';

const PYTHON = '/usr/bin/python3'; // the one with Debian's packages
const script = fileURLToPath(new URL('./samba_make_pac.py', import.meta.url));
const absent = spawnSync(PYTHON, ['-c', 'import samba.dcerpc.krb5pac']).status !== 0;

const u32 = fc.integer({ min: 1, max: 0xffffffff });
const text = fc.string({ unit: fc.constantFrom('a', 'Z', '$', '-', 'é', '€', '😀'), maxLength: 20 });
const pairs = fc.array(fc.tuple(u32, fc.constantFrom(7, 0x20000007, 4)), { maxLength: 30 });
const sid = fc.array(u32, { minLength: 1, maxLength: 15 }).map((parts) => `S-1-5-${parts.join('-')}`);
const domainSid = fc.array(u32, { minLength: 3, maxLength: 3 }).map((parts) => `S-1-5-21-${parts.join('-')}`);
const wanted = fc.record({
  logon: fc.record({
    account_name: text,
    full_name: text,
    logon_script: text,
    profile_path: text,
    home_directory: text,
    home_drive: text,
    logon_server: text,
    logon_domain: text,
    domain_sid: domainSid,
    rid: u32,
    primary_gid: u32,
    groups: pairs,
    user_flags: fc.constantFrom(0, 0x20, 0x200, 0x220),
    sids: fc.array(fc.tuple(sid, fc.constantFrom(7, 0x20000007)), { maxLength: 10 }),
    resource_sid: domainSid,
    resource_groups: pairs,
  }),
  delegation: fc.record({ target: text, transited: fc.array(text, { maxLength: 5 }) }),
  upn: fc.record({ upn: text, dns: text, sam: text, sid }),
});

describe("Samba's PACs", { skip: absent ? 'needs python3-samba' : false }, () => {
  test('are read as they were meant', async () => {
    const samples = fc.sample(wanted, { numRuns: 100, seed: 2 });
    const input = samples.map((one) => `${JSON.stringify(one)}\n`).join('');
    const lines = (await mustRun(PYTHON, [script], { input })).trim().split('\n');
    assert.equal(lines.length, samples.length);
    for (const [i, line] of lines.entries()) {
      const { logon: meant, delegation, upn } = samples[i]!;
      const pac = parsePac(fromHex(line));
      const said = pac.logon!;
      const list = (m: readonly Membership[]) => m.map(({ sid, attributes }) => [sid, attributes]);
      const within = (domain: string, ids: readonly (readonly [number, number])[]) =>
        ids.map(([rid, attributes]) => [`${domain}-${rid}`, attributes]);
      assert.deepEqual(
        [said.accountName, said.fullName, said.logonScript, said.profilePath, said.homeDirectory],
        [meant.account_name, meant.full_name, meant.logon_script, meant.profile_path, meant.home_directory],
      );
      assert.deepEqual(
        [said.homeDirectoryDrive, said.logonServer, said.logonDomainName, said.logonDomainSid],
        [meant.home_drive, meant.logon_server, meant.logon_domain, meant.domain_sid],
      );
      assert.deepEqual(
        [said.userSid, said.primaryGroupSid],
        [`${meant.domain_sid}-${meant.rid}`, `${meant.domain_sid}-${meant.primary_gid}`],
      );
      assert.deepEqual(list(said.groups), within(meant.domain_sid, meant.groups));
      assert.deepEqual(list(said.extraSids), meant.user_flags & 0x20 ? meant.sids : []);
      const resources = meant.user_flags & 0x200 ? within(meant.resource_sid, meant.resource_groups) : [];
      assert.deepEqual(list(said.resourceGroups), resources);
      assert.deepEqual(pac.delegation, { ...delegation });
      assert.deepEqual(
        [pac.upn!.upn, pac.upn!.dnsDomain, pac.upn!.samName, pac.upn!.sid],
        [upn.upn, upn.dns, upn.sam, upn.sid],
      );
    }
  });
});
