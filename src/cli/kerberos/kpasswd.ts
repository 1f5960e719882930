/** Changes a password, or sets that of another account. */
import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { wipe } from '../../bytes.ts';
import { type ParsedFlags, UsageError } from '../../flags.ts';
import type { KrbClient } from '../../krb5/client.ts';
import { ownerOf } from '../../krb5/files/ccache-collection.ts';
import { formatPrincipal, type Principal } from '../../krb5/principal.ts';
import { PasswordSecret } from '../../krb5/secret.ts';
import { type Command, text } from '../command.ts';
import type { Terminal } from '../terminal.ts';
import { cachedClient } from './directory.ts';
import { caches, permittedEtypes, principalOf, type Session, sessionClient, withSession } from './session.ts';

export const kpasswd: Command = {
  name: 'kpasswd',
  summary: 'change a password',
  description: `Changes the password of PRINCIPAL; without it that of the ticket cache's principal, else of the user in
the default realm. Asks for the old password and twice for the new one; where nobody can be asked, these
are the lines of standard input. With --set the password is set by an administrator, whose ticket is in the
cache or whom --admin names.`,
  flags: {
    'password-file': { type: 'string', value: 'FILE', completes: 'file', help: 'file with the old password' },
    'new-password-file': { type: 'string', value: 'FILE', completes: 'file', help: 'file with the new password' },
    set: { type: 'boolean', help: "set the password of PRINCIPAL with the cache's ticket" },
    admin: {
      type: 'string',
      value: 'PRINCIPAL',
      help: "with --set: log on as this administrator, as MIT's servers want",
    },
    cache: {
      type: 'string',
      short: 'c',
      value: 'NAME',
      completes: 'file',
      help: 'ticket cache [KRB5CCNAME, krb5.conf, /tmp/krb5cc_UID]',
    },
  },
  operands: { synopsis: '[PRINCIPAL]', most: 1, completes: 'word' },
  async run(parsed, terminal) {
    const given = parsed.positionals[0];
    if (parsed.flags.set && given === undefined) throw new UsageError('--set needs the name of the account');
    await withSession(terminal, async (session) => {
      const answers = new Answers(terminal);
      if (parsed.flags.set) await set(session, principalOf(given!, session.config), parsed, terminal, answers);
      else await change(session, given, parsed, terminal, answers);
    });
    terminal.out('Password changed.\n');
  },
};

async function change(
  session: Session,
  given: string | undefined,
  parsed: ParsedFlags,
  terminal: Terminal,
  answers: Answers,
): Promise<void> {
  const { config } = session;
  const cache = await caches(text(parsed, 'cache'), config, terminal).primary();
  const who =
    given === undefined
      ? ((await ownerOf(cache)) ?? principalOf(userInfo().username, config))
      : principalOf(given, config);
  const client = await passwordClient(session, who, parsed, answers);
  try {
    await withNewPassword(parsed, answers, (password) => client.changePassword(password));
  } finally {
    client.close();
  }
}

async function passwordClient(
  session: Session,
  who: Principal,
  parsed: ParsedFlags,
  answers: Answers,
): Promise<KrbClient> {
  const old = await answers.password(text(parsed, 'password-file'), `Password for ${formatPrincipal(who)}: `);
  try {
    const salt = who.realm + who.components.join('');
    return sessionClient(session, {
      principal: who,
      secret: new PasswordSecret(old, salt, permittedEtypes(session.config)),
    });
  } finally {
    wipe(old);
  }
}

async function set(
  session: Session,
  target: Principal,
  parsed: ParsedFlags,
  terminal: Terminal,
  answers: Answers,
): Promise<void> {
  const admin = text(parsed, 'admin');
  const client =
    admin === undefined
      ? await cachedClient(session, text(parsed, 'cache'), terminal)
      : await passwordClient(session, principalOf(admin, session.config), parsed, answers);
  try {
    await withNewPassword(parsed, answers, (password) => client.setPassword(target, password));
  } finally {
    client.close();
  }
}

/** The new password, typed twice unless it comes from a file. */
async function withNewPassword(
  parsed: ParsedFlags,
  answers: Answers,
  use: (password: Uint8Array) => Promise<void>,
): Promise<void> {
  const file = text(parsed, 'new-password-file');
  const password = await answers.password(file, 'Enter new password: ');
  const again = file === undefined ? await answers.password(undefined, 'Enter it again: ') : Uint8Array.from(password);
  try {
    if (Buffer.compare(password, again) !== 0) throw new UsageError('the two passwords are not the same');
    await use(password);
  } finally {
    wipe(password, again);
  }
}

/** Answers of a person, or the lines of standard input where there is none. */
class Answers {
  readonly #terminal: Terminal;
  #lines: string[] | undefined;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** UTF-8; the caller wipes it. @throws UsageError when it is empty */
  async password(file: string | undefined, question: string): Promise<Uint8Array> {
    const answer = file === undefined ? await this.#answer(question) : await readFile(file, 'utf8');
    const password = answer?.replace(/\r?\n$/, '');
    if (!password) throw new UsageError('the password is empty');
    return Uint8Array.from(Buffer.from(password, 'utf8'));
  }

  async #answer(question: string): Promise<string | undefined> {
    const typed = this.#lines ? undefined : await this.#terminal.askSecret(question);
    if (typed !== undefined) return typed;
    this.#lines ??= (await this.#terminal.readInput()).split('\n');
    return this.#lines.shift();
  }
}
