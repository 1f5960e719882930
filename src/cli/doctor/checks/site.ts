import { type Endpoint, endpointName } from '../../../krb5/network/locate.ts';
import { pingDomainController } from '../../../ldap/cldap.ts';
import { DS_CLOSEST_FLAG, type NetlogonAnswer } from '../../../ldap/netlogon.ts';
import { type Check, type Finding, ok, type Patient, skip, warn } from '../check.ts';

/** Controllers that are asked at most. */
const ASKED = 8;

/** Which site this host is in, and whether the controller that is asked first is in it too. */
export const site: Check = {
  id: 'site',
  title: 'Site',
  needs: ['controller-records'],
  seconds: 5,
  async run(patient, signal) {
    const { controllers, session, domain } = patient;
    const ping = (endpoint: Endpoint) =>
      pingDomainController(endpoint, domain, { resolver: session.resolver, signal }).catch(() => undefined);
    return judgeSite(patient, await Promise.all(controllers.slice(0, ASKED).map(ping)));
  },
};

type Place = Pick<Patient, 'controllers' | 'session' | 'domain' | 'realm' | 'parsed'>;
type Answers = readonly (NetlogonAnswer | undefined)[];

/** @param answers of the controllers, in their order; undefined for one that was silent */
export function judgeSite(place: Place, answers: Answers): Finding[] {
  const { controllers, session, realm } = place;
  const told = answers.find((answer) => answer !== undefined);
  if (!told) return [silent(controllers)];
  const here = told.clientSite;
  if (here === '') return [homeless(controllers)];
  const findings = [nearest(place, here, answers)];
  const wanted = session.config.realms.get(realm)?.sitename;
  if (wanted !== undefined && wanted.toLowerCase() !== here.toLowerCase())
    findings.push(
      warn(`krb5.conf says sitename ${wanted}, the directory ${here}`, 'mend sitename, or take it out of krb5.conf'),
    );
  return findings;
}

/** Where there is no choice, the site decides nothing. */
function silent(controllers: readonly Endpoint[]): Finding {
  if (controllers.length < 2) return skip(`${controllers.map(endpointName)[0]} takes no pings, and is the only one`);
  return warn(
    "no controller takes pings (LDAP over UDP, port 389), so this host's site is not known",
    'open UDP port 389 in the firewalls between; so long controllers far away may be asked first',
  );
}

function homeless(controllers: readonly Endpoint[]): Finding {
  const text = "no subnet in the directory has this host's address, so it is in no site";
  if (controllers.length < 2) return ok(text);
  return warn(text, 'add the subnet to a site (New-ADReplicationSubnet, samba-tool sites subnet create)');
}

function nearest({ controllers, parsed, domain }: Place, here: string, answers: Answers): Finding {
  const isNear = (answer: NetlogonAnswer | undefined): boolean =>
    answer !== undefined &&
    ((answer.flags & DS_CLOSEST_FLAG) !== 0 || answer.serverSite.toLowerCase() === here.toLowerCase());
  const [first] = answers;
  const name = controllers[0]!.host;
  const where = `this host is in site ${here}`;
  if (isNear(first)) return ok(`${where}, and ${name}, which is asked first, is the closest`);
  const near = answers.findIndex(isNear);
  const away = first ? `of site ${first.serverSite}` : 'which takes no pings';
  if (near < 0) return ok(`${where}, where no controller answers; ${name}, ${away}, is asked first`);
  const better = controllers[near]!.host;
  if (parsed.flags.server !== undefined) return ok(`${where}; --server names ${name}, ${away}`);
  return warn(
    `${where}, but ${name}, ${away}, is asked first, though ${better} is closer`,
    `check the SRV records _ldap._tcp.${here}._sites.dc._msdcs.${domain}`,
  );
}
