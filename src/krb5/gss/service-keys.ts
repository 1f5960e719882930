/** The keys an acceptor opens tickets with. */
import { readFile, stat } from 'node:fs/promises';
import { equal, wipe } from '../../bytes.ts';
import { AdError, messageOf } from '../../errors.ts';
import { etypeName, findProfile, Key } from '../crypto/index.ts';
import { type KeytabEntry, readKeytab } from '../files/keytab.ts';
import { formatPrincipal, type Principal } from '../principal.ts';

/** Where an acceptor finds the key of a ticket. */
export interface ServiceKeys {
  /** Keys that may have sealed a ticket for `server`, the likeliest first. They stay the source's own. */
  candidates(server: Principal, etype: number, kvno: number | undefined): readonly Key[];
  /** What there is, for the words of an error: `HTTP/web@REALM kvno 2 (aes256-cts-hmac-sha1-96)`. Never a key. */
  describe(): string;
}

/** Keys tried on one ticket at most: whoever sends tickets that open with none does not keep the processor busy. */
const MAX_TRIALS = 32;
const MAX_DESCRIBED = 12;

interface Held {
  readonly principal: Principal;
  readonly kvno: number;
  readonly key: Key;
}

/**
 * Keys of a keytab. A ticket is tried with the key of its name and kvno first, then with other kvnos of that name, since
 * the password of a gMSA rolls while tickets live on and the kvno in a keytab made from it is a reckoning; then with all
 * others: Active Directory seals with the account's key whatever the name of the service.
 */
export class KeytabKeys implements ServiceKeys {
  #held: readonly Held[] = [];

  /** Copies the keys; the caller wipes the entries. Types that are not supported are passed over. */
  constructor(entries: readonly KeytabEntry[]) {
    this.replace(entries);
  }

  /** Other keys from now on, after the password rolled. Copies them. */
  replace(entries: readonly KeytabEntry[]): void {
    const old = this.#held;
    this.#held = entries
      .filter(({ key }) => findProfile(key.etype)?.keyBytes === key.value.length)
      .map(({ principal, kvno, key }) => ({ principal, kvno, key: new Key(key.etype, key.value) }));
    for (const { key } of old) key.destroy();
  }

  candidates(server: Principal, etype: number, kvno: number | undefined): readonly Key[] {
    const rank = (held: Held): number =>
      (sameService(held.principal, server) ? 0 : 2) + (kvno === undefined || sameKvno(held.kvno, kvno) ? 0 : 1);
    const found: Key[] = [];
    const ranked = this.#held
      .filter(({ key }) => key.etype === etype)
      .sort((a, b) => rank(a) - rank(b) || b.kvno - a.kvno);
    // One key under many names, as exports of a computer account have it, is tried once.
    for (const { key } of ranked) {
      if (found.length < MAX_TRIALS && !found.some((k) => equal(k.value, key.value))) found.push(key);
    }
    return found;
  }

  describe(): string {
    const texts = this.#held.map((h) => `${formatPrincipal(h.principal)} kvno ${h.kvno} (${etypeName(h.key.etype)})`);
    const more = texts.length > MAX_DESCRIBED ? ` and ${texts.length - MAX_DESCRIBED} more` : '';
    return texts.length === 0 ? 'no key' : `${texts.slice(0, MAX_DESCRIBED).join(', ')}${more}`;
  }

  /** Wipes the keys. */
  destroy(): void {
    this.replace([]);
  }
}

/** A keytab file, read anew when it was replaced, as the keytab of a gMSA's lease is when the password rolls. */
export class KeytabFileKeys extends KeytabKeys {
  readonly #path: string;
  #version = '';

  private constructor(path: string) {
    super([]);
    this.#path = path;
  }

  /** @throws AdError FILE, MalformedError */
  static async open(path: string): Promise<KeytabFileKeys> {
    const keys = new KeytabFileKeys(path);
    await keys.refresh();
    return keys;
  }

  /** Looks whether the file is another and reads it then; one look costs a system call. @throws AdError FILE, MalformedError */
  async refresh(): Promise<void> {
    let bytes: Uint8Array | undefined;
    try {
      const { ino, mtimeMs, size } = await stat(this.#path);
      const version = `${ino} ${mtimeMs} ${size}`;
      if (version === this.#version) return;
      bytes = await readFile(this.#path);
      const entries = readKeytab(bytes);
      this.replace(entries);
      this.#version = version;
      for (const { key } of entries) wipe(key.value);
    } catch (e) {
      if (e instanceof AdError) throw e;
      throw new AdError('FILE', `the keytab ${this.#path} cannot be read: ${messageOf(e)}`, { path: this.#path }, e);
    } finally {
      wipe(bytes);
    }
  }
}

/** MS-KILE 3.1.5.11: names of services are compared without regard to case; realms are not names of services. */
export function sameService(a: Principal, b: Principal): boolean {
  const lower = (p: Principal): string => p.components.map((c) => c.toLowerCase()).join('\0');
  return a.realm === b.realm && lower(a) === lower(b);
}

/** Version 1 entries, and those of careless tools, have eight bits only. */
function sameKvno(held: number, asked: number): boolean {
  return held === asked || (held < 0x100 && held === (asked & 0xff));
}
