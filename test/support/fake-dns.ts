/** A DNS server of a few lines on a free port of 127.0.0.1, for the resolver (RFC 1035 section 4, RFC 2782). */
import { createSocket, type Socket } from 'node:dgram';
import { isIPv4 } from 'node:net';

export const rcode = { NOERROR: 0, SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 } as const;
const TYPES: Record<number, string> = { 1: 'A', 16: 'TXT', 28: 'AAAA', 33: 'SRV', 256: 'URI' };

/** Address text, `priority weight port target` for SRV, `priority weight target` for URI; or a code; or nothing at all. */
export type DnsAnswer = readonly string[] | (typeof rcode)[keyof typeof rcode] | 'silence' | 'noise' | 'cut';

export class FakeDns {
  readonly address: string;
  /** `TYPE name` of each question. */
  readonly asked: string[] = [];
  readonly #socket: Socket;

  private constructor(socket: Socket, zone: Readonly<Record<string, DnsAnswer>>) {
    this.#socket = socket;
    this.address = `127.0.0.1:${socket.address().port}`;
    socket.on('message', (query, from) => {
      const { name, type, end } = question(query);
      const key = `${type} ${name}`;
      this.asked.push(key);
      const answer = zone[key] ?? rcode.NXDOMAIN;
      if (answer === 'silence') return;
      const asked = query.subarray(0, end);
      const reply =
        answer === 'noise' ? Buffer.from('noise') : answer === 'cut' ? cut(asked) : respond(asked, type, answer);
      socket.send(reply, from.port, from.address);
    });
  }

  /** @param zone by `TYPE name`, such as `SRV _ldap._tcp.example.test`; all else does not exist */
  static async start(zone: Readonly<Record<string, DnsAnswer>>): Promise<FakeDns> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    return new FakeDns(socket, zone);
  }

  stop(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(resolve));
  }
}

function question(query: Buffer): { name: string; type: string; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), type: TYPES[query.readUInt16BE(at + 1)] ?? '?', end: at + 5 };
}

function respond(query: Buffer, type: string, answer: readonly string[] | number): Buffer {
  const records = typeof answer === 'number' ? [] : answer;
  const head = Buffer.from(query);
  head.writeUInt16BE(0x8180 | (typeof answer === 'number' ? answer : 0), 2);
  head.writeUInt16BE(records.length, 6);
  head.writeUInt16BE(0, 8);
  head.writeUInt16BE(0, 10);
  return Buffer.concat([head, ...records.map((text) => resource(type, text))]);
}

/** An answer that did not fit: the TC bit. */
function cut(query: Buffer): Buffer {
  const reply = respond(query, 'URI', []);
  reply.writeUInt16BE(0x8380, 2);
  return reply;
}

function resource(type: string, text: string): Buffer {
  const data = (dataOf[type] ?? addressData)(text);
  const fixed = Buffer.alloc(12);
  fixed.writeUInt16BE(0xc00c, 0); // the name of the question
  fixed.writeUInt16BE(Number(Object.keys(TYPES).find((n) => TYPES[Number(n)] === type)), 2);
  fixed.writeUInt16BE(1, 4);
  fixed.writeUInt32BE(60, 6);
  fixed.writeUInt16BE(data.length, 10);
  return Buffer.concat([fixed, data]);
}

const dataOf: Record<string, (text: string) => Buffer> = { SRV: srvData, URI: uriData, TXT: txtData };

function uriData(text: string): Buffer {
  const [, priority, weight, target] = /^(\d+) (\d+) (.*)$/.exec(text)!;
  const numbers = Buffer.alloc(4);
  numbers.writeUInt16BE(Number(priority), 0);
  numbers.writeUInt16BE(Number(weight), 2);
  return Buffer.concat([numbers, Buffer.from(target!)]);
}

function txtData(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

function srvData(text: string): Buffer {
  const [priority, weight, port, target] = text.split(' ');
  const numbers = Buffer.alloc(6);
  for (const [i, n] of [priority, weight, port].entries()) numbers.writeUInt16BE(Number(n), i * 2);
  const labels = target!.split('.').filter(Boolean);
  const name = labels.flatMap((label) => [Buffer.of(label.length), Buffer.from(label)]);
  return Buffer.concat([numbers, ...name, Buffer.of(0)]);
}

function addressData(text: string): Buffer {
  if (isIPv4(text)) return Buffer.from(text.split('.').map(Number));
  const [front = '', back = ''] = text.split('::');
  const groups = (part: string) => part.split(':').filter(Boolean);
  const missing = 8 - groups(front).length - groups(back).length;
  const all = [...groups(front), ...Array(missing).fill('0'), ...groups(back)];
  return Buffer.from(all.map((g) => g.padStart(4, '0')).join(''), 'hex');
}
