/** Gets and renews ticket-granting tickets, with the flags and words of MIT's kinit. */
import { userInfo } from 'node:os';
import { wipe } from '../../bytes.ts';
import { isAdError } from '../../errors.ts';
import { type ParsedFlags, UsageError } from '../../flags.ts';
import type { Krb5Config } from '../../krb5/config.ts';
import type { Credentials } from '../../krb5/credentials.ts';
import { clientKeytabPath } from '../../krb5/environment/environment.ts';
import { asExchange } from '../../krb5/exchanges/as.ts';
import type { ExchangeContext } from '../../krb5/exchanges/context.ts';
import { renewTicket, validateTicket } from '../../krb5/exchanges/tgs.ts';
import { type CacheCollection, cacheOf, ownerOf } from '../../krb5/files/ccache-collection.ts';
import type { CacheHandle } from '../../krb5/files/ccache-file.ts';
import { kdcOption, nameType } from '../../krb5/numbers.ts';
import { anonymousPrincipal, formatPrincipal, type Principal } from '../../krb5/principal.ts';
import { type Command, text } from '../command.ts';
import type { Terminal } from '../terminal.ts';
import { anonymousRealm, certificateFlags, proveByCertificate, proveNobody } from './certificate.ts';
import { changeExpired } from './expired.ts';
import { hostAddresses } from './host-addresses.ts';
import {
  caches,
  duration,
  enterpriseOf,
  kdcOffset,
  keytabPath,
  keytabProof,
  type Proof,
  passwordProof,
  permittedEtypes,
  principalOf,
  type Session,
  sessionContext,
  tgtOf,
  usableTgt,
  wipeCache,
  withSession,
} from './session.ts';
import { parseStart } from './start-time.ts';

export const kinit: Command = {
  name: 'kinit',
  summary: 'get or renew a ticket-granting ticket',
  description: `Gets a ticket-granting ticket for PRINCIPAL and puts it into the ticket cache. The password comes from
--password-file, a prompt, or standard input. Without PRINCIPAL it is the one the cache is of, else
the user's name in the default realm; with -k the machine's account (NAME$), else the keytab's first.
On a terminal a password that has expired is changed at once. -X names a certificate in its place, and
-n asks as nobody in particular.`,
  flags: {
    'use-keytab': { type: 'boolean', short: 'k', help: 'prove it with keys of a keytab instead of a password' },
    keytab: {
      type: 'string',
      short: 't',
      value: 'FILE',
      completes: 'file',
      help: 'the keytab, with -k [KRB5_KTNAME, krb5.conf, /etc/krb5.keytab]',
    },
    'client-keytab': {
      type: 'boolean',
      short: 'i',
      help: 'the keytab of clients, with -k [KRB5_CLIENT_KTNAME, krb5.conf,\n/etc/krb5/user/UID/client.keytab]',
    },
    'password-file': {
      type: 'string',
      value: 'FILE',
      completes: 'file',
      help: 'file with the password, - for standard input',
    },
    renew: { type: 'boolean', short: 'R', help: "renew the cache's ticket" },
    validate: { type: 'boolean', short: 'v', help: "have the cache's ticket, got with -s, declared valid" },
    lifetime: { type: 'string', short: 'l', value: 'TIME', help: 'lifetime to ask for, such as 10h [krb5.conf, 24h]' },
    'renewable-life': {
      type: 'string',
      short: 'r',
      value: 'TIME',
      help: 'ask for a ticket that can be renewed for so long',
    },
    'start-time': {
      type: 'string',
      short: 's',
      value: 'TIME',
      help: 'ask for a ticket for later (postdated): after a time such as 10h,\nor at 20300131083000; -v makes it valid then',
    },
    forwardable: { type: 'boolean', short: 'f', help: 'ask for a ticket that may be forwarded' },
    'not-forwardable': { type: 'boolean', short: 'F', help: 'ask for one that may not' },
    proxiable: { type: 'boolean', short: 'p', help: 'ask for a ticket that may be proxied' },
    'not-proxiable': { type: 'boolean', short: 'P', help: 'ask for one that may not' },
    addresses: { type: 'boolean', short: 'a', help: "ask for a ticket that is good at this host's addresses only" },
    'no-addresses': { type: 'boolean', short: 'A', help: 'ask for one that is good anywhere [krb5.conf, so]' },
    'request-pac': { type: 'boolean', help: 'ask for a ticket with a PAC [so]' },
    'no-request-pac': { type: 'boolean', help: 'ask for one without; Active Directory grants nobody access by it' },
    canonicalize: { type: 'boolean', short: 'C', help: "let the KDC put the account's proper name" },
    enterprise: { type: 'boolean', short: 'E', help: 'PRINCIPAL is an enterprise name (UPN) such as jo@corp.example' },
    service: { type: 'string', short: 'S', value: 'SERVICE', help: 'get a first ticket for this service instead' },
    'armor-cache': {
      type: 'string',
      short: 'T',
      value: 'NAME',
      completes: 'file',
      help: "hide the logon under the ticket in this cache (FAST), such as the\nmachine's; a KDC that answers without is refused",
    },
    ...certificateFlags,
    cache: {
      type: 'string',
      short: 'c',
      value: 'NAME',
      completes: 'file',
      help: 'ticket cache [KRB5CCNAME, krb5.conf, /tmp/krb5cc_UID]',
    },
    verbose: { type: 'boolean', short: 'V', help: 'say what is done' },
  },
  operands: { synopsis: '[PRINCIPAL]', most: 1, completes: 'word' },
  examples: [
    'credentials-fetcher kinit -T FILE:/run/machine.cc jo@CORP.EXAMPLE',
    'credentials-fetcher kinit -k -t web.keytab HTTP/web.corp.example',
    'credentials-fetcher kinit -r 7d jo@CORP.EXAMPLE',
    'credentials-fetcher kinit -X X509_user_identity=FILE:jo.pem,jo.key jo@CORP.EXAMPLE',
  ],
  async run(parsed, terminal) {
    const { flags } = parsed;
    for (const flag of ['keytab', 'client-keytab'])
      if (flags[flag] !== undefined && !flags['use-keytab']) throw new UsageError(`--${flag} goes with -k`);
    if (flags.keytab !== undefined && flags['client-keytab']) throw new UsageError('-i and -t exclude each other');
    if (flags['use-keytab'] && flags['password-file'] !== undefined)
      throw new UsageError('-k and --password-file exclude each other');
    if (flags['use-keytab'] && (flags.anonymous || parsed.lists['preauth-option']))
      throw new UsageError('-k goes neither with -n nor with -X');
    if (flags.renew && flags.validate) throw new UsageError('-R and -v exclude each other');
    for (const flag of ['armor-cache', 'start-time'])
      if ((flags.renew || flags.validate) && flags[flag] !== undefined)
        throw new UsageError(`--${flag} goes with a password or keytab, not with -R or -v`);
    for (const [flag, other] of OPPOSITES)
      if (flags[flag] && flags[other]) throw new UsageError(`--${flag} and --${other} exclude each other`);
    const start = text(parsed, 'start-time');
    const from = start === undefined ? undefined : parseStart(start, Date.now());
    await withSession(terminal, async (session) => {
      const collection = caches(text(parsed, 'cache'), session.config, terminal);
      const say = (line: string): void => {
        if (flags.verbose) terminal.err(`${line}\n`);
      };
      if (flags.renew || flags.validate) await exchangeTicket(session, collection, parsed, say);
      else await logOn(session, collection, parsed, terminal, say, from);
    });
  },
};

const OPPOSITES = [
  ['forwardable', 'not-forwardable'],
  ['proxiable', 'not-proxiable'],
  ['addresses', 'no-addresses'],
  ['request-pac', 'no-request-pac'],
] as const;

/** The cache's ticket for one that lives longer, or one that is valid. */
async function exchangeTicket(
  session: Session,
  collection: CacheCollection,
  parsed: ParsedFlags,
  say: (line: string) => void,
): Promise<void> {
  const cache = await collection.primary();
  say(`Using default cache: ${residual(cache)}`);
  const content = await cache.read();
  try {
    const tgt = tgtOf(content);
    const what = parsed.flags.renew ? 'renew' : 'validate';
    if (!tgt) throw new UsageError(`${cache.name} holds no ticket-granting ticket to ${what}`);
    const life = duration(parsed, 'lifetime');
    const context = sessionContext(session, life === undefined ? {} : { life });
    const got = await (parsed.flags.renew ? renewTicket : validateTicket)(context, tgt);
    await store(cache, content.principal, got, context);
    say('Authenticated to Kerberos v5');
  } finally {
    wipeCache(content);
  }
}

async function logOn(
  session: Session,
  collection: CacheCollection,
  parsed: ParsedFlags,
  terminal: Terminal,
  say: (line: string) => void,
  from: Date | undefined,
): Promise<void> {
  const { config } = session;
  const nobodyOf = anonymousRealm(parsed, session);
  const given = parsed.positionals[0];
  const named =
    given === undefined || nobodyOf !== undefined
      ? undefined
      : parsed.flags.enterprise
        ? enterpriseOf(given, config)
        : principalOf(given, config);
  const primary = await collection.primary();
  const armor = await armorOf(session, parsed, terminal);
  let proof =
    nobodyOf === undefined
      ? await prove(named, primary, parsed, session, terminal)
      : await proveNobody(nobodyOf, session, parsed);
  const { principal } = proof;
  try {
    const owner = nobodyOf === undefined ? principal : anonymousPrincipal();
    const { cache, fresh } = await cacheFor(collection, primary, owner);
    say(
      `Using ${fresh ? 'new' : parsed.flags.cache === undefined ? 'default' : 'specified'} cache: ${residual(cache)}`,
    );
    say(`Using principal: ${formatPrincipal(principal)}`);
    if (parsed.flags['use-keytab']) say(`Using keytab: ${keytabOf(parsed, config, terminal)}`);
    const [life, renew] = [duration(parsed, 'lifetime'), duration(parsed, 'renewable-life')];
    const context = sessionContext(session, { ...(life && { life }), ...(renew && { renew }) });
    const service = text(parsed, 'service');
    const login = (): Promise<Credentials> =>
      asExchange(context, {
        client: principal,
        secret: proof.secret,
        kdcOptions: options(parsed, config, principal, renew),
        includePac: !parsed.flags['no-request-pac'],
        ...(from && { from }),
        ...(restricted(parsed, config) && { addresses: hostAddresses() }),
        ...(armor && { armor: async () => armor }),
        ...(service !== undefined && { server: principalOf(service, { ...config, defaultRealm: principal.realm }) }),
      });
    const typed = !parsed.flags['use-keytab'] && parsed.flags['password-file'] === undefined && !proof.secret.publicKey;
    const ticket = await login().catch(async (e: unknown) => {
      const changed =
        typed && isAdError(e, 'PASSWORD_EXPIRED') && (await changeExpired(session, proof, terminal, armor));
      if (!changed) throw e;
      proof = changed;
      return login();
    });
    await store(cache, ticket.client, ticket, context);
    if (collection.switchable) await collection.switchTo(cache);
    say('Authenticated to Kerberos v5');
  } finally {
    proof.secret.destroy();
    wipe(armor?.key.value);
  }
}

/** The ticket to hide the logon under; undefined when none was named. */
async function armorOf(session: Session, parsed: ParsedFlags, terminal: Terminal): Promise<Credentials | undefined> {
  const name = text(parsed, 'armor-cache');
  if (name === undefined) return undefined;
  const content = await (await caches(name, session.config, terminal).primary()).read();
  try {
    const tgt = usableTgt(content, session.clock());
    return { ...tgt, key: { ...tgt.key, value: Uint8Array.from(tgt.key.value) } };
  } finally {
    wipeCache(content);
  }
}

/** Who logs on, and with what. */
async function prove(
  named: Principal | undefined,
  cache: CacheHandle,
  parsed: ParsedFlags,
  session: Session,
  terminal: Terminal,
): Promise<Proof> {
  const { config } = session;
  const permitted = permittedEtypes(config);
  if (parsed.flags['use-keytab']) return keytabProof(keytabOf(parsed, config, terminal), named, permitted);
  const principal = named ?? (await ownerOf(cache)) ?? principalOf(userInfo().username, config);
  const byCertificate = await proveByCertificate(principal, session, parsed, terminal);
  if (byCertificate) return byCertificate;
  return passwordProof(principal, text(parsed, 'password-file'), terminal, permitted);
}

function keytabOf(parsed: ParsedFlags, config: Krb5Config, terminal: Terminal): string {
  if (parsed.flags['client-keytab']) return clientKeytabPath(undefined, config, terminal.env);
  return keytabPath(text(parsed, 'keytab'), config, terminal);
}

/** In a collection: the principal's own cache, else the primary if nobody has it yet, else a new one. */
async function cacheFor(
  collection: CacheCollection,
  primary: CacheHandle,
  principal: Principal,
): Promise<{ cache: CacheHandle; fresh: boolean }> {
  if (!collection.switchable) return { cache: primary, fresh: false };
  const own = await cacheOf(collection, principal);
  if (own) return { cache: own, fresh: false };
  const taken = (await collection.list()).some((cache) => cache.name === primary.name);
  return taken ? { cache: await collection.create(), fresh: true } : { cache: primary, fresh: false };
}

function options(parsed: ParsedFlags, config: Krb5Config, client: Principal, renew: number | undefined): number {
  const { flags } = parsed;
  const chosen = (flag: 'forwardable' | 'proxiable'): boolean =>
    !flags[`not-${flag}`] && (Boolean(flags[flag]) || config[flag]);
  const canonicalize = flags.canonicalize || config.canonicalize || client.nameType === nameType.ENTERPRISE;
  return (
    kdcOption.RENEWABLE_OK |
    (chosen('forwardable') ? kdcOption.FORWARDABLE : 0) |
    (chosen('proxiable') ? kdcOption.PROXIABLE : 0) |
    (canonicalize ? kdcOption.CANONICALIZE : 0) |
    (renew || config.renewLifetimeSeconds > 0 ? kdcOption.RENEWABLE : 0)
  );
}

/** Whether the ticket is to be good at this host only. */
function restricted({ flags }: ParsedFlags, config: Krb5Config): boolean {
  return Boolean(flags.addresses) || (!flags['no-addresses'] && !config.noaddresses);
}

async function store(
  cache: CacheHandle,
  owner: Principal,
  ticket: Credentials,
  context: ExchangeContext,
): Promise<void> {
  try {
    await cache.write({ principal: owner, kdcOffset: kdcOffset(context), credentials: [ticket] });
  } finally {
    wipe(ticket.key.value);
  }
}

/** A cache's name without its type, as kinit prints it. */
const residual = (cache: CacheHandle): string => cache.name.replace(/^[A-Z]+:/, '');
