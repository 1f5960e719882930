import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { judgeSite } from '../../../src/cli/doctor/checks/site.ts';
import { parseKrb5Conf } from '../../../src/krb5/config.ts';
import { DS_CLOSEST_FLAG, type NetlogonAnswer } from '../../../src/ldap/netlogon.ts';

/** What a controller of a site says to a host of another, or of the same. */
function says(serverSite: string, clientSite: string, flags = 0): NetlogonAnswer {
  const names = { forest: 'r.test', domain: 'r.test', host: 'dc.r.test', netbiosDomain: 'R', netbiosHost: 'DC' };
  return { ...names, domainGuid: '', paused: false, flags, serverSite, clientSite };
}

function judge(answers: readonly (NetlogonAnswer | undefined)[], conf = '', server?: string) {
  return judgeSite(
    {
      controllers: answers.map((_, i) => ({ host: `dc${i + 1}.r.test`, port: 389 })),
      session: { config: parseKrb5Conf(conf) } as Parameters<typeof judgeSite>[0]['session'],
      parsed: { flags: { server }, positionals: [] } as unknown as Parameters<typeof judgeSite>[0]['parsed'],
      domain: 'r.test',
      realm: 'R.TEST',
    },
    answers,
  );
}

describe('the site', () => {
  const cases: [what: string, answers: (NetlogonAnswer | undefined)[], mark: string, text: RegExp][] = [
    [
      'of the first controller',
      [says('Berlin', 'berlin')],
      'ok',
      /in site berlin, and dc1\.r\.test, .* is the closest$/,
    ],
    ['next to that of the first', [says('Rome', 'Berlin', DS_CLOSEST_FLAG)], 'ok', /dc1\.r\.test, .* is the closest$/],
    [
      'of the second controller',
      [says('Rome', 'Berlin'), says('Berlin', 'Berlin')],
      'warn',
      /but dc1\.r\.test, of site Rome, is asked first, though dc2\.r\.test is closer/,
    ],
    [
      'of the second, the first being silent',
      [undefined, says('Berlin', 'Berlin')],
      'warn',
      /dc1\.r\.test, which takes no pings, is asked first/,
    ],
    ['of none that answers', [says('Rome', 'Berlin'), undefined], 'ok', /where no controller answers/],
    ['unknown to the directory', [says('Rome', ''), says('Rome', '')], 'warn', /no subnet in the directory/],
    ['unknown, but there is no choice', [says('Rome', '')], 'ok', /no subnet in the directory/],
    ['that nobody tells', [undefined, undefined], 'warn', /no controller takes pings/],
    ['that nobody tells, but there is no choice', [undefined], 'skip', /takes no pings, and is the only one/],
  ];
  for (const [what, answers, mark, text] of cases) {
    test(`${what}: ${mark}`, () => {
      const findings = judge(answers);
      assert.equal(findings.length, 1);
      assert.equal(findings[0]!.mark, mark);
      assert.match(findings[0]!.text, text);
      assert.equal(findings[0]!.todo !== undefined, mark === 'warn');
    });
  }

  test('is not held against a controller that was asked for by name', () => {
    const [finding] = judge([says('Rome', 'Berlin'), says('Berlin', 'Berlin')], '', 'dc1.r.test');
    assert.equal(finding!.mark, 'ok');
  });

  test('of krb5.conf is to be that of the directory', () => {
    const conf = (name: string) => `[realms]\nR.TEST = {\n sitename = ${name}\n}\n`;
    assert.equal(judge([says('Berlin', 'Berlin')], conf('BERLIN')).length, 1);
    assert.match(judge([says('Berlin', 'Berlin')], conf('Rome'))[1]!.text, /says sitename Rome, the directory Berlin/);
  });
});
