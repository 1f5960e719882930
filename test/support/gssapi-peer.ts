/** MIT's GSS-API library as the other end of a context, by way of python3-gssapi. */
import { spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { fromHex, hex } from '../../src/bytes.ts';

const PYTHON = '/usr/bin/python3'; // the one with Debian's packages
const script = fileURLToPath(new URL('./gssapi_peer.py', import.meta.url));

/** The `skip` option of tests with this peer. */
export const needsGssapi: false | string =
  spawnSync(PYTHON, ['-c', 'import gssapi']).status === 0 ? false : 'needs python3-gssapi';

export interface PeerConfig {
  readonly role: 'init' | 'accept';
  readonly mech: 'krb5' | 'spnego';
  /** Initiators: a host-based service, `HTTP@host`. */
  readonly target?: string;
  /** Initiators: names of `gssapi.RequirementFlag`. */
  readonly flags?: readonly string[];
  /** Application data of the channel bindings. */
  readonly bindings?: Uint8Array;
  readonly store?: Readonly<Record<string, string>>;
}

export interface PeerStep {
  readonly token: Uint8Array | undefined;
  readonly complete: boolean;
  readonly initiator?: string;
  readonly flags?: number;
  readonly delegated?: string;
}

/** What MIT's library says against it; `token` is what it would send to the other side. */
export class PeerError extends Error {
  readonly token: Uint8Array | undefined;
  constructor(message: string, token: string | null | undefined) {
    super(message);
    this.token = token ? fromHex(token) : undefined;
  }
}

export interface GssapiPeer {
  step(token: Uint8Array | undefined, store?: string): Promise<PeerStep>;
  wrap(plain: Uint8Array, confidential: boolean): Promise<Uint8Array>;
  unwrap(token: Uint8Array): Promise<{ plain: Uint8Array; confidential: boolean }>;
  mic(message: Uint8Array): Promise<Uint8Array>;
  verify(message: Uint8Array, token: Uint8Array): Promise<void>;
  end(): void;
}

export function gssapiPeer(config: PeerConfig, env: Readonly<Record<string, string>>): GssapiPeer {
  const json = { flags: [], ...config, bindings: config.bindings && hex(config.bindings) };
  const child = spawn(PYTHON, [script, JSON.stringify(json)], {
    env: { PATH: process.env.PATH, LC_ALL: 'C', ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (question: object): Promise<Record<string, string> & { complete: boolean; flags: number }> => {
    child.stdin.write(`${JSON.stringify(question)}\n`);
    const { value, done } = await lines.next();
    if (done) throw new Error('the GSS-API peer has ended');
    const found = JSON.parse(value);
    if (found.error) throw new PeerError(found.error, found.token);
    return found;
  };
  return {
    async step(token, store) {
      const found = await ask({ step: token ? hex(token) : null, ...(store && { store }) });
      return { ...found, token: found.token ? fromHex(found.token) : undefined };
    },
    wrap: async (plain, confidential) => fromHex((await ask({ wrap: hex(plain), confidential })).token!),
    async unwrap(token) {
      const found = await ask({ unwrap: hex(token) });
      return { plain: fromHex(found.plain!), confidential: Boolean(found.confidential) };
    },
    mic: async (message) => fromHex((await ask({ mic: hex(message) })).token!),
    verify: async (message, token) => void (await ask({ verify: hex(message), token: hex(token) })),
    end: () => void child.stdin.end(),
  };
}
