import { connect } from 'node:net';
import { abortable } from '../../../async.ts';
import { messageOf } from '../../../errors.ts';
import { discoverServers } from '../../../krb5/network/discovery.ts';
import { type Endpoint, endpointName } from '../../../krb5/network/locate.ts';
import { lookupWith, type Resolver } from '../../../krb5/network/resolver.ts';
import { configuredKdcs, type KdcServer } from '../../../krb5/network/servers.ts';
import { type Check, type Finding, fail, ok, type Patient, warn } from '../check.ts';

/** How long a handshake may take before the port counts as filtered, ms. */
const PATIENCE = 3000;

const TODO = 'open the port in the firewalls between, or start the server';

/** All servers' ports at a time; one dead server of several is a warning, none alive a failure. */
export const ports: Check = {
  id: 'ports',
  title: 'Ports',
  needs: [],
  seconds: 8,
  async run(patient, signal) {
    const { kdcs, controllers } = patient;
    const tcp = kdcs.filter((kdc) => kdc.protocol !== 'udp');
    if (tcp.length + controllers.length === 0) return [];
    const findings = [
      group('Kerberos', tcp, patient, signal),
      group('LDAP', controllers, patient, signal),
      passwordChanges(patient, signal),
    ];
    return (await Promise.all(findings)).flat();
  },
};

async function group(
  what: string,
  servers: readonly Endpoint[],
  { session }: Patient,
  signal: AbortSignal,
): Promise<Finding[]> {
  const open = await Promise.all(servers.map((server) => answers(server, session.resolver, signal)));
  const dead = servers.filter((_, i) => !open[i]).map(endpointName);
  const alive = servers.filter((_, i) => open[i]).map(endpointName);
  const text = `nothing answers on ${dead.join(', ')} (${what})`;
  return [
    ...(alive.length > 0 ? [ok(`${what} answers on ${alive.join(', ')}`)] : []),
    ...(dead.length > 0 ? [alive.length > 0 ? warn(text, TODO) : fail(text, TODO)] : []),
  ];
}

/** Tickets and leases do without: never a failure. */
async function passwordChanges({ session, realm }: Patient, signal: AbortSignal): Promise<Finding> {
  const { config, locator, resolver } = session;
  const idle = 'without it passwords cannot be changed from here; leases do not need it';
  let servers: readonly KdcServer[];
  try {
    servers =
      configuredKdcs(config, realm, 'kpasswd') ??
      (await abortable(
        discoverServers(locator, realm, 'kpasswd', { uri: config.dnsUriLookup }),
        AbortSignal.timeout(PATIENCE),
        'asking DNS',
      ));
  } catch (e) {
    return warn(
      `no server for changes of passwords: ${messageOf(e)}`,
      `add the SRV records, or kpasswd_server; ${idle}`,
    );
  }
  const asked = servers.filter(({ protocol }) => protocol !== 'udp');
  const open = await Promise.all(asked.map((server) => answers(server, resolver, signal)));
  const dead = asked.filter((_, i) => !open[i]).map(endpointName);
  if (dead.length > 0) return warn(`nothing answers on ${dead.join(', ')} (changes of passwords)`, `${TODO}; ${idle}`);
  return ok(`changes of passwords are taken on ${servers.map(endpointName).join(', ')}`);
}

function answers(server: Endpoint, resolver: Resolver, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: server.host, port: server.port, lookup: lookupWith(resolver), signal });
    const end = (result: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => end(false), PATIENCE);
    socket.once('connect', () => end(true));
    socket.on('error', () => end(false));
  });
}
