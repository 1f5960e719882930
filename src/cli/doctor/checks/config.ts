import { access } from 'node:fs/promises';
import { etypeName, findProfile } from '../../../krb5/crypto/index.ts';
import { permittedEtypes } from '../../kerberos/session.ts';
import { type Check, type Finding, ok, warn } from '../check.ts';

export const config: Check = {
  id: 'config',
  title: 'Configuration',
  needs: [],
  seconds: 2,
  advice: {
    FILE: 'let this user read the file (chmod a+r: krb5.conf has no secrets)',
    INVALID_ARGUMENT: 'mend that line of krb5.conf',
  },
  async run({ session, realm, domain, configProblem }) {
    if (configProblem !== undefined) throw configProblem;
    const { config: krb5, env } = session;
    const findings: Finding[] = [ok(`realm ${realm} of domain ${domain}`)];
    const named = env.KRB5_CONFIG?.split(':').filter(Boolean) ?? [];
    if (named.length > 0 && !(await Promise.all(named.map(exists))).includes(true))
      findings.push(
        warn(
          `there is no ${named.join(', ')}`,
          'make the file, or unset KRB5_CONFIG; so long DNS and defaults are used',
        ),
      );
    const lower = [realm, krb5.defaultRealm ?? realm].find((name) => name !== name.toUpperCase());
    if (lower !== undefined)
      findings.push(
        warn(
          `the realm ${lower} is not in capitals`,
          'write realms in capitals in krb5.conf, as Active Directory does',
        ),
      );
    if (!permittedEtypes(krb5).some((e) => findProfile(e)?.weak === false))
      findings.push(
        warn('krb5.conf permits no AES', 'put aes256-cts-hmac-sha1-96 into permitted_enctypes, or take that line out'),
      );
    const weak = permittedEtypes(krb5).filter((e) => findProfile(e)?.weak);
    if (weak.length > 0)
      findings.push(
        warn(
          `krb5.conf permits ${weak.map(etypeName).join(', ')}`,
          'take it out of permitted_enctypes: domains are switching it off',
        ),
      );
    if (!krb5.realms.get(realm)?.kdc.length && !krb5.dnsLookupKdc)
      findings.push(
        warn(`krb5.conf names no KDC of ${realm} and forbids DNS`, 'set dns_lookup_kdc = true, or kdc in [realms]'),
      );
    return findings;
  },
};

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
