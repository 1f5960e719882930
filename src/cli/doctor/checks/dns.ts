import { discoverServers } from '../../../krb5/network/discovery.ts';
import { endpointName } from '../../../krb5/network/locate.ts';
import { configuredKdcs, serverName } from '../../../krb5/network/servers.ts';
import { controllers } from '../../kerberos/directory.ts';
import { type Check, type Finding, ok } from '../check.ts';

/** Where Kerberos is: krb5.conf, else DNS. */
export const kdcRecords: Check = {
  id: 'kdc-records',
  title: 'KDCs',
  needs: [],
  seconds: 6,
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
  needs: [],
  seconds: 6,
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
    const found = hosts.map(
      async (host): Promise<Finding> => ok(`${host} is ${(await session.resolver.addresses(host)).join(', ')}`),
    );
    return Promise.all(found);
  },
};
