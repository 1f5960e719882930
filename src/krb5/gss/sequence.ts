/** The order of a peer's messages (RFC 2743 1.2.3): as strict as the context's flags ask for. */
import { AdError } from '../../errors.ts';

/** `strict`: each once and in order. `once`: in any order, none twice. `any`: neither is checked. */
export type MessageOrder = 'strict' | 'once' | 'any';

/** Numbers below the highest seen that are remembered; older ones are refused, since they may have been here. */
const WINDOW = 64n;
const ALL = (1n << WINDOW) - 1n;

/** The numbers received on one context. */
export class ReceivedSequence {
  readonly #order: MessageOrder;
  readonly #modulus: bigint;
  /** The number due next in order: one more than the highest seen. */
  #next: bigint;
  /** Bit i: `next - 1 - i` was seen. All before the first count as seen. */
  #seen = ALL;

  /** @param bits of the number in a token, after which it begins again with 0: 64 in RFC 4121, 32 before */
  constructor(first: bigint, order: MessageOrder, bits: 32 | 64 = 64) {
    this.#modulus = 1n << BigInt(bits);
    this.#next = first;
    this.#order = order;
  }

  /** Takes the number of a message that is otherwise proven. @throws AdError INTEGRITY when it may not come now */
  accept(sequence: bigint): void {
    if (this.#order === 'any') return;
    const modulus = this.#modulus;
    const ahead = (sequence - this.#next + modulus) % modulus;
    if (this.#order === 'strict' && ahead !== 0n)
      throw refused(`sequence number ${sequence} where ${this.#next} is due`);
    if (ahead < modulus / 2n) this.#advance(ahead + 1n);
    else this.#fill(modulus - ahead - 1n, sequence);
  }

  /** A number `back` below the highest seen. */
  #fill(back: bigint, sequence: bigint): void {
    if (back >= WINDOW) throw refused(`sequence number ${sequence} is too old to tell whether it came before`);
    const bit = 1n << back;
    if (this.#seen & bit) throw refused(`sequence number ${sequence} comes a second time`);
    this.#seen |= bit;
  }

  #advance(by: bigint): void {
    this.#next = (this.#next + by) % this.#modulus;
    this.#seen = by > WINDOW ? 1n : ((this.#seen << by) | 1n) & ALL;
  }
}

function refused(message: string): AdError {
  return new AdError('INTEGRITY', `GSS token refused: ${message}`);
}
