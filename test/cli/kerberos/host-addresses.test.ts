/** The addresses that tickets are restricted to. */
import assert from 'node:assert/strict';
import type { NetworkInterfaceInfo } from 'node:os';
import { test } from 'node:test';
import { hex } from '../../../src/bytes.ts';
import { hostAddresses } from '../../../src/cli/kerberos/host-addresses.ts';

const one = (address: string, internal = false): NetworkInterfaceInfo =>
  ({ address, internal, family: address.includes(':') ? 'IPv6' : 'IPv4' }) as NetworkInterfaceInfo;

test('addresses that others know this host by are taken, each once', () => {
  const found = hostAddresses({
    lo: [one('127.0.0.1', true), one('::1', true)],
    eth0: [one('192.0.2.7'), one('fe80::1'), one('2001:db8::7:1')],
    eth1: [one('192.0.2.7'), one('2001:db8::'), one('::ffff:192.0.2.8')],
    gone: undefined,
  });
  assert.deepEqual(
    found.map(({ addrType, address }) => [addrType, hex(address)]),
    [
      [2, 'c0000207'],
      [24, '20010db8000000000000000000070001'],
      [24, '20010db8000000000000000000000000'],
      [24, '00000000000000000000ffffc0000208'],
    ],
  );
});
