/**
 * Network round trips of a lease, through relays in front of KDC and LDAP server that count the requests. A second figure
 * is what waits for what: relays that make each round trip, TCP handshakes included, cost 40 ms show how many follow one
 * another.
 */
import { startDaemon } from './daemon.ts';
import { median } from './measure.ts';
import { startRelay } from './relay.ts';
import { figure, type Row } from './report.ts';
import { newReaders, type Scene } from './scene.ts';

export const title = 'network round trips of a domainless lease, counted by relays (DNS is kept, not counted)';

const DELAY = 40;
const ROUNDS = 5;

export async function run(scene: Scene): Promise<Row[]> {
  const kdc = await startRelay(scene.kdc);
  const ldap = await startRelay({ host: '127.0.0.1', port: scene.ldap.port });
  const relays = [kdc, ldap];
  const daemon = await startDaemon(scene, {
    kdc: { host: '127.0.0.1', port: kdc.port },
    ldap: { host: scene.ldap.host, port: ldap.port },
  });
  const readers = newReaders(scene);
  const setDelay = (ms: number) => {
    for (const relay of relays) relay.delay = ms;
  };
  const lease = async (reader: Scene['reader'], delay: number) => {
    for (const relay of relays) relay.reset();
    setDelay(delay);
    const ms = await daemon.lease(reader, scene.gmsas[0]!);
    return { ms, kdc: { ...kdc.counts }, ldap: { ...ldap.counts } };
  };
  /** A reader the daemon has not seen, and no connection left to any server. */
  const cold = async (delay: number) => {
    for (const relay of relays) await relay.drop();
    return lease(readers.next().value, delay);
  };
  const warm = (delay: number) => lease(scene.reader, delay);

  try {
    await cold(0);
    const oneCold = await cold(0);
    await warm(0);
    const oneWarm = await warm(0);
    const sequential = async (measure: typeof warm) => {
      const trips: number[] = [];
      for (let i = 0; i < ROUNDS; i++) {
        const [far, near] = [await measure(DELAY), await measure(0)];
        trips.push((far.ms - near.ms) / DELAY);
      }
      return median(trips);
    };
    const coldTrips = await sequential(cold);
    await warm(0);
    const warmTrips = await sequential(warm);
    return [
      ...rows('new reader', 9, oneCold, coldTrips),
      ...rows('warm', 2, oneWarm, warmTrips),
      { what: 'warm: connections opened', ...connections(oneWarm), unit: '', limit: { at: '<=', value: 0 } },
    ];
  } finally {
    await daemon.stop();
    for (const relay of relays) await relay.close();
  }
}

interface Counted {
  readonly kdc: { readonly requests: number; readonly connections: number };
  readonly ldap: { readonly requests: number; readonly connections: number };
}

function rows(who: string, most: number, counted: Counted, trips: number): Row[] {
  const { kdc, ldap } = counted;
  const limit = { at: '<=', value: most } as const;
  return [
    {
      what: `${who}: requests`,
      value: kdc.requests + ldap.requests,
      unit: '',
      limit,
      note: `KDC ${kdc.requests}, LDAP ${ldap.requests}; and ${connections(counted).value} connections`,
    },
    {
      what: `${who}: one after another, handshakes included`,
      value: Math.round(trips),
      unit: '',
      limit,
      note: `${figure(trips)} by ${DELAY} ms of delay`,
    },
  ];
}

function connections({ kdc, ldap }: Counted): { value: number } {
  return { value: kdc.connections + ldap.connections };
}
