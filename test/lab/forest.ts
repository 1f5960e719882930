/** The two forests of `test/lab/forest`, as the suites inside see them, and what can go wrong with a host there. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

export type Host = 'dc1' | 'dc2' | 'odc1';

export const forest = {
  realm: 'LAB.EXAMPLE',
  domain: 'lab.example',
  other: { realm: 'OTHER.EXAMPLE', domain: 'other.example', dc: 'odc1.other.example', gmsa: 'Partner01' },
  gmsa: 'WebApp01',
  administrator: { name: 'Administrator', password: 'Test-Only-Admin-1' },
  reader: { name: 'svc-fetch', password: 'Test-Only-Fetch-1' },
  address: { dc1: '10.77.0.11', dc2: '10.77.0.12', odc1: '10.77.0.21' } satisfies Record<Host, string>,
} as const;

export const forestMissing: false | string =
  process.env.CF_FOREST_INSIDE === '1' ? false : 'run it in two forests: test/lab/forest exec';

const space = (host: Host) => `cf-${process.env.CF_FOREST_NAME}-${host}`;
const ip = (...args: string[]) => execFileSync('ip', args, { encoding: 'utf8' });
const signalAll = (host: Host, signal: string) => {
  const pids = ip('netns', 'pids', space(host)).split('\n').filter(Boolean);
  execFileSync('kill', [`-${signal}`, ...pids]);
};
const nft = (rules: string) => execFileSync('nft', ['-f', '-'], { input: rules });

const script = (...args: string[]) =>
  execFileSync(join(import.meta.dirname, 'forest'), ['--name', process.env.CF_FOREST_NAME!, ...args]);

/** Each breaks one host and gives back what mends it. */
export const faults = {
  /** Ended as an administrator would. */
  stopped(host: Host): () => void {
    script('stop', host);
    return () => script('start', host);
  },
  /** Every process stands still; the kernel still takes connections. */
  frozen(host: Host): () => void {
    signalAll(host, 'STOP');
    return () => signalAll(host, 'CONT');
  },
  /** The cable is out. */
  cutOff(host: Host): () => void {
    ip('-n', space(host), 'link', 'set', 'eth0', 'down');
    return () => ip('-n', space(host), 'link', 'set', 'eth0', 'up');
  },
  /** Packets to one port are lost. */
  portDropped(host: Host, port: number): () => void {
    const to = `ip daddr ${forest.address[host]}`;
    nft(`table inet cf_fault {
      chain out { type filter hook output priority 0; policy accept;
        ${to} udp dport ${port} drop
        ${to} tcp dport ${port} drop
      }
    }`);
    return () => nft('delete table inet cf_fault');
  },
  /** Connections to one port are refused. */
  portRefused(host: Host, port: number): () => void {
    const to = `ip daddr ${forest.address[host]}`;
    nft(`table inet cf_fault {
      chain out { type filter hook output priority 0; policy accept;
        ${to} udp dport ${port} reject
        ${to} tcp dport ${port} reject with tcp reset
      }
    }`);
    return () => nft('delete table inet cf_fault');
  },
} as const;
