/** Addresses in tickets, as klist writes them. */
import { lookupService } from 'node:dns/promises';
import { hex } from '../../bytes.ts';
import type { HostAddress } from '../../krb5/messages.ts';
import { addrType } from '../../krb5/numbers.ts';

/** Host names by the numbers of their addresses. */
export type AddressNames = ReadonlyMap<string, string>;

/** With the words of MIT's klist for what is none. */
export function addressText(one: HostAddress, names?: AddressNames): string {
  const { addrType: type, address } = one;
  if (type !== addrType.IPV4 && type !== addrType.IPV6) return `unknown addrtype ${type}`;
  const numeric = numericAddress(one);
  if (numeric === undefined) return `broken address (type ${type} length ${address.length})`;
  return names?.get(numeric) ?? numeric;
}

/** `192.0.2.7`, `2001:db8::7`; undefined for what is no IP address. */
function numericAddress({ addrType: type, address }: HostAddress): string | undefined {
  const dotted = (bytes: Uint8Array): string => [...bytes].join('.');
  if (type === addrType.IPV4) return address.length === 4 ? dotted(address) : undefined;
  if (type !== addrType.IPV6 || address.length !== 16) return undefined;
  if (hex(address.subarray(0, 12)) === `${'00'.repeat(10)}ffff`) return `::ffff:${dotted(address.subarray(12))}`;
  const groups = Array.from({ length: 8 }, (_, i) => hex(address.subarray(2 * i, 2 * i + 2))).join(':');
  return new URL(`http://[${groups}]`).hostname.slice(1, -1);
}

/**
 * What the system calls the addresses (its hosts file, DNS); those without a name are left out.
 * @param nameOf rejects for an address that has none
 */
export async function namesOf(
  addresses: readonly HostAddress[],
  nameOf = async (address: string): Promise<string> => (await lookupService(address, 0)).hostname,
): Promise<AddressNames> {
  const numbers = new Set(addresses.map(numericAddress).filter((text) => text !== undefined));
  const names = new Map<string, string>();
  const ask = async (number: string): Promise<void> => {
    const name = await nameOf(number).catch(() => undefined);
    if (name !== undefined) names.set(number, name);
  };
  await Promise.all([...numbers].map(ask));
  return names;
}
