/**
 * What one credential renewed a moment ago. Each task of a host has its agent call Renew for its user, and each call is
 * for all leases of that user: those that another call has just renewed are not renewed again.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { utf8 } from '../../bytes.ts';
import type { UserReader } from './wanted.ts';

/** How long a ticket counts as just renewed, ms. */
export const MOMENT_MS = 10_000;

export class Moments {
  readonly #clock: () => number;
  readonly #hashKey = randomBytes(32);
  /** By credential: tickets and when they were renewed. */
  readonly #renewed = new Map<string, Map<string, number>>();

  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  /** Which tickets, by the paths of their caches, this very credential renewed a moment ago. */
  of(reader: UserReader): ReadonlySet<string> {
    this.#forgetOld();
    return new Set(this.#renewed.get(this.#idOf(reader))?.keys());
  }

  note(reader: UserReader, paths: readonly string[]): void {
    const id = this.#idOf(reader);
    const mine = this.#renewed.get(id) ?? new Map<string, number>();
    for (const path of paths) mine.set(path, this.#clock());
    this.#renewed.set(id, mine);
  }

  #forgetOld(): void {
    for (const [id, paths] of this.#renewed) {
      for (const [path, at] of paths) if (this.#clock() - at >= MOMENT_MS) paths.delete(path);
      if (paths.size === 0) this.#renewed.delete(id);
    }
  }

  /** The password is told apart by a hash under a key of this process, and not kept. */
  #idOf({ username, domain, password }: UserReader): string {
    const hash = createHmac('sha256', this.#hashKey).update(utf8(`${JSON.stringify([username, domain])}\n`));
    return hash.update(password).digest('base64');
  }
}
