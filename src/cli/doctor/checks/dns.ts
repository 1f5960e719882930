import { messageOf } from '../../../errors.ts';
import { discoverServers } from '../../../krb5/network/discovery.ts';
import { endpointName } from '../../../krb5/network/locate.ts';
import { configuredKdcs, serverName } from '../../../krb5/network/servers.ts';
import { controllers } from '../../kerberos/directory.ts';
import { type Check, type Finding, fail, ok, warn } from '../check.ts';

const NO_DNS =
  "check the domain's name (-d), and that /etc/resolv.conf has DNS servers that know the domain, as its controllers do";
const DNS_ADVICE = { UNREACHABLE: NO_DNS, TIMEOUT: NO_DNS };

/** Where Kerberos is: krb5.conf, else DNS. */
export const kdcRecords: Check = {
  id: 'kdc-records',
  title: 'KDCs',
  needs: ['config'],
  seconds: 6,
  advice: DNS_ADVICE,
  async run(patient) {
    const { session, realm } = patient;
    const configured = configuredKdcs(session.config, realm);
    patient.kdcs =
      configured ??
      (await discoverServers(session.locator, realm, 'kerberos', {
        uri: session.config.dnsUriLookup,
        sitename: session.config.realms.get(realm)?.sitename,
      }));
    return [ok(`${configured ? 'krb5.conf' : 'DNS'} names ${patient.kdcs.map(serverName).join(', ')}`)];
  },
};

/** Where the directory is. */
export const controllerRecords: Check = {
  id: 'controller-records',
  title: 'Controllers',
  needs: ['config'],
  seconds: 6,
  advice: DNS_ADVICE,
  async run(patient) {
    patient.controllers = await controllers(patient.session, patient.parsed, patient.domain);
    return [
      ok(
        `${patient.parsed.flags.server ? '--server' : 'DNS'} names ${patient.controllers.map(endpointName).join(', ')}`,
      ),
    ];
  },
};

/** Names to addresses. */
export const addresses: Check = {
  id: 'addresses',
  title: 'Addresses',
  needs: [],
  seconds: 6,
  async run({ session, kdcs, controllers: servers }) {
    const hosts = [...new Set([...kdcs, ...servers].map((server) => server.host))];
    const found = await Promise.allSettled(hosts.map((host) => session.resolver.addresses(host)));
    const some = found.some((f) => f.status === 'fulfilled');
    return found.map((f, i): Finding => {
      if (f.status === 'fulfilled') return ok(`${hosts[i]} is ${f.value.join(', ')}`);
      const todo = 'add its A or AAAA record, or remove the records that name it';
      return some ? warn(messageOf(f.reason), todo) : fail(messageOf(f.reason), NO_DNS);
    });
  },
};
