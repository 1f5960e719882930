import { connect } from 'node:net';
import { type Endpoint, endpointName } from '../../../krb5/network/locate.ts';
import { lookupWith, type Resolver } from '../../../krb5/network/resolver.ts';
import { type Check, type Finding, fail, ok, warn } from '../check.ts';

/** How long a handshake may take before the port counts as filtered, ms. */
const PATIENCE = 3000;

const TODO = 'open the port in the firewalls between, or start the server';

/** All servers' ports at a time; one dead server of several is a warning, none alive a failure. */
export const ports: Check = {
  id: 'ports',
  title: 'Ports',
  needs: [],
  seconds: 5,
  async run({ session, kdcs, controllers }, signal) {
    const findings: Finding[] = [];
    const groups: [string, readonly Endpoint[]][] = [
      ['Kerberos', kdcs.filter((kdc) => kdc.protocol !== 'udp')],
      ['LDAP', controllers],
    ];
    for (const [what, servers] of groups) {
      const open = await Promise.all(servers.map((server) => answers(server, session.resolver, signal)));
      const dead = servers.filter((_, i) => !open[i]).map(endpointName);
      const alive = servers.filter((_, i) => open[i]).map(endpointName);
      if (alive.length > 0) findings.push(ok(`${what} answers on ${alive.join(', ')}`));
      if (dead.length === 0) continue;
      const text = `nothing answers on ${dead.join(', ')} (${what})`;
      findings.push(alive.length > 0 ? warn(text, TODO) : fail(text, TODO));
    }
    return findings;
  },
};

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
