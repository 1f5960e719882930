/** What SIGHUP can replace while the daemon runs: the configuration, the log, the engine. */
import type { DaemonConfig } from './config/config.ts';
import type { Log } from './log.ts';
import type { LeaseEngine } from './tickets/engine.ts';

/** An object that always shows what `current` gives, however early somebody took hold of it. */
export function viewOf<T extends object>(current: () => T, keys: readonly (keyof T)[]): T {
  const view = {} as T;
  for (const key of keys) Object.defineProperty(view, key, { enumerable: true, get: () => current()[key] });
  return view;
}

export interface Live<T> {
  readonly view: T;
  current: T;
}

export function liveConfig(config: DaemonConfig): Live<DaemonConfig> {
  const files = viewOf(() => live.current.files, ['ccache', 'directory', 'keytab', 'krb5Conf', 'secondName', 'wishes']);
  const rest = Object.keys(config).filter((key) => key !== 'files') as (keyof DaemonConfig)[];
  const live: Live<DaemonConfig> = {
    current: config,
    view: Object.defineProperty(
      viewOf(() => live.current, rest),
      'files',
      { enumerable: true, value: files },
    ),
  };
  return live;
}

export function liveLog(log: Log): Live<Log> {
  const live: Live<Log> = {
    current: log,
    view: {
      error: (...line) => live.current.error(...line),
      warn: (...line) => live.current.warn(...line),
      info: (...line) => live.current.info(...line),
      debug: (...line) => live.current.debug(...line),
    },
  };
  return live;
}

/** What can only be had at a start, with the flags that say it. */
const fixed = {
  krbDir: 'krb-dir',
  socketDir: 'socket-dir',
  socketPath: 'socket',
  socketMode: 'socket-mode',
  socketGid: 'socket-gid',
  metrics: 'metrics',
} as const satisfies Partial<Record<keyof DaemonConfig, string>>;

/**
 * The next configuration with what cannot change taken from the one in use.
 * @returns also the flags of the settings that would have to
 */
export function changeable(now: DaemonConfig, next: DaemonConfig): { config: DaemonConfig; waiting: string[] } {
  const keys = Object.keys(fixed) as (keyof typeof fixed)[];
  const kept = Object.fromEntries(keys.map((key) => [key, now[key]]));
  const waiting = keys.filter((key) => now[key] !== next[key]).map((key) => fixed[key]);
  return { config: { ...next, ...kept }, waiting };
}

/** An engine loaded when it is first needed, or told to. */
interface Slot {
  readonly load: () => Promise<LeaseEngine>;
  loading?: Promise<LeaseEngine> | undefined;
  users: number;
  retired: boolean;
}

const slotOf = (load: Slot['load']): Slot => ({ load, users: 0, retired: false });

/** Gives every question to the engine of the day; one that was replaced is closed when its last question is answered. */
export class ReplaceableEngine implements LeaseEngine {
  #slot: Slot;

  constructor(load: () => Promise<LeaseEngine>) {
    this.#slot = slotOf(load);
  }

  fetch: LeaseEngine['fetch'] = (request) => this.#use((engine) => engine.fetch(request));

  renew: LeaseEngine['renew'] = (ccache, signal) => this.#use((engine) => engine.renew(ccache, signal));

  /** @throws what loading throws */
  async preload(): Promise<void> {
    await loaded(this.#slot);
  }

  /** @throws what loading throws; the old engine is then still in place */
  async replace(load: () => Promise<LeaseEngine>): Promise<void> {
    const next = slotOf(load);
    await loaded(next);
    const old = this.#slot;
    this.#slot = next;
    old.retired = true;
    if (old.users === 0) await ended(old);
  }

  async close(): Promise<void> {
    await ended(this.#slot);
  }

  async #use<T>(work: (engine: LeaseEngine) => Promise<T>): Promise<T> {
    const slot = this.#slot;
    slot.users++;
    try {
      return await work(await loaded(slot));
    } finally {
      slot.users--;
      if (slot.retired && slot.users === 0) await ended(slot);
    }
  }
}

/** A load that failed is tried again at the next request. */
function loaded(slot: Slot): Promise<LeaseEngine> {
  slot.loading ??= slot.load().catch((e: unknown) => {
    slot.loading = undefined;
    throw e;
  });
  return slot.loading;
}

async function ended(slot: Slot): Promise<void> {
  const engine = await slot.loading?.catch(() => undefined);
  slot.loading = undefined;
  await engine?.close();
}
