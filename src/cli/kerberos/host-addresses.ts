/** The addresses of this host, as tickets name them (RFC 4120 7.5.3). */
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import type { HostAddress } from '../../krb5/messages.ts';
import { addrType } from '../../krb5/numbers.ts';

/**
 * Those that others know this host by: neither loopback nor link-local ones, each once.
 * @param interfaces as `os.networkInterfaces` has them
 */
export function hostAddresses(interfaces = networkInterfaces()): HostAddress[] {
  const all = Object.values(interfaces).flatMap((list) => list ?? []);
  const texts = new Set(all.filter((one) => !one.internal && !isLinkLocal(one)).map((one) => one.address));
  return [...texts].map((text) =>
    text.includes(':')
      ? { addrType: addrType.IPV6, address: ipv6(text) }
      : { addrType: addrType.IPV4, address: Uint8Array.from(text.split('.'), Number) },
  );
}

/** fe80::/10 means another host on every link. */
function isLinkLocal({ family, address }: NetworkInterfaceInfo): boolean {
  return family === 'IPv6' && /^fe[89ab]/i.test(address);
}

/** 16 bytes of an address as the system writes it, which may end in an IPv4 address. */
function ipv6(text: string): Uint8Array {
  // URL's parser writes any such address in groups alone.
  const [head = '', tail] = new URL(`http://[${text}]`).hostname.slice(1, -1).split('::');
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const [left, right] = [groups(head), groups(tail ?? '')];
  const all = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  const bytes = all.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]);
  return Uint8Array.from(bytes);
}
