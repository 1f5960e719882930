import { etypeName, findProfile } from '../../../krb5/crypto/index.ts';
import { permittedEtypes } from '../../kerberos/session.ts';
import { type Check, type Finding, ok, warn } from '../check.ts';

export const config: Check = {
  id: 'config',
  title: 'Configuration',
  needs: [],
  seconds: 2,
  async run({ session, realm, domain }) {
    const { config: krb5 } = session;
    const findings: Finding[] = [ok(`realm ${realm} of domain ${domain}`)];
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
