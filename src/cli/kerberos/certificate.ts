/** kinit by certificate, or as nobody in particular: the flags, and what they mean. */
import { type ParsedFlags, UsageError } from '../../flags.ts';
import { anonymousProof, certificateProof } from '../../krb5/environment/certificate.ts';
import type { Principal } from '../../krb5/principal.ts';
import type { FlagTable } from '../command.ts';
import type { Terminal } from '../terminal.ts';
import type { Proof, Session } from './session.ts';

export const certificateFlags: FlagTable = {
  anonymous: {
    type: 'boolean',
    short: 'n',
    help: 'as nobody in particular, in the default realm or in @REALM:\nits ticket is for -T, where no machine has one to lend',
  },
  'preauth-option': {
    type: 'string',
    short: 'X',
    value: 'NAME=VALUE',
    multiple: true,
    completes: 'word',
    help: 'X509_user_identity=FILE:cert.pem,key.pem: prove it with a certificate;\nX509_anchors=FILE:ca.pem: by whose word the KDC is known [krb5.conf]',
  },
};

/** The names of -X that mean something here; MIT's others are for hardware and for old KDCs. */
const NAMES = ['X509_user_identity', 'X509_anchors'];

/** @throws UsageError for a name that is not known */
function preauthOptions({ lists }: ParsedFlags): { identity?: string; anchors?: string[] } {
  const pairs = (lists['preauth-option'] ?? []).map((text) => {
    const at = text.indexOf('=');
    const name = text.slice(0, at);
    if (at < 1 || !NAMES.includes(name)) throw new UsageError(`-X takes ${NAMES.join('=… or ')}=…, not ${text}`);
    return [name, text.slice(at + 1)] as const;
  });
  const of = (name: string): string[] => pairs.filter(([n]) => n === name).map(([, value]) => value);
  const [[identity], anchors] = [of('X509_user_identity'), of('X509_anchors')];
  return { ...(identity !== undefined && { identity }), ...(anchors.length > 0 && { anchors }) };
}

/**
 * The realm whose nobody asks: an operand is `@REALM`.
 * @returns undefined when somebody is to log on
 * @throws UsageError for a name beside -n
 */
export function anonymousRealm(parsed: ParsedFlags, session: Session): string | undefined {
  if (!parsed.flags.anonymous) return undefined;
  const [given] = parsed.positionals;
  if (given !== undefined && !/^@.+/.test(given)) throw new UsageError(`-n goes with @REALM or nothing, not ${given}`);
  const realm = given?.slice(1) ?? session.config.defaultRealm;
  if (realm === undefined) throw new UsageError('in which realm? -n goes with @REALM, or default_realm in krb5.conf');
  return realm;
}

/** @throws as `anonymousProof` */
export function proveNobody(realm: string, session: Session, parsed: ParsedFlags): Promise<Proof> {
  return anonymousProof(session, realm, preauthOptions(parsed));
}

/**
 * A principal's certificate, when one is named.
 * @throws as `certificateProof`
 */
export async function proveByCertificate(
  principal: Principal,
  session: Session,
  parsed: ParsedFlags,
  terminal: Terminal,
): Promise<Proof | undefined> {
  const options = preauthOptions(parsed);
  if (options.identity === undefined) {
    if (options.anchors) throw new UsageError('X509_anchors goes with X509_user_identity or -n');
    return undefined;
  }
  const passphrase = async (path: string): Promise<string> =>
    (await terminal.askSecret(`Pass phrase for ${path}: `)) ?? '';
  return certificateProof(session, principal, { ...options, passphrase });
}
