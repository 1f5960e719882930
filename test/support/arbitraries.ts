/** Generators of the values that several property tests need. */
import fc from 'fast-check';
import type { Credentials } from '../../src/krb5/credentials.ts';
import type { Principal } from '../../src/krb5/principal.ts';

/** Records like those that code makes, which deepEqual tells from ones without a prototype. */
export const plain = { noNullPrototype: true } as const;

const name = fc.string({ unit: 'grapheme', maxLength: 20 });

/** Principals as a file can hold them: any text, any number of components. */
export const principals: fc.Arbitrary<Principal> = fc.record(
  {
    nameType: fc.integer({ min: -0x80000000, max: 0x7fffffff }),
    components: fc.array(name, { maxLength: 4 }),
    realm: name,
  },
  plain,
);

const seconds = fc.integer({ min: 0, max: 0xffffffff }).map((s) => new Date(s * 1000));
const laterSeconds = fc.integer({ min: 1, max: 0xffffffff }).map((s) => new Date(s * 1000));
const type16 = fc.integer({ min: -0x8000, max: 0x7fff });
const octets = fc.uint8Array({ maxLength: 40 });

export const credentials: fc.Arbitrary<Credentials> = fc.record(
  {
    client: principals,
    server: principals,
    key: fc.record({ etype: type16, value: octets }, plain),
    authtime: seconds,
    starttime: laterSeconds,
    endtime: seconds,
    renewTill: laterSeconds,
    flags: fc.integer({ min: 0, max: 0xffffffff }),
    isSkey: fc.boolean(),
    addresses: fc.array(fc.record({ addrType: type16, address: octets }, plain), { maxLength: 3 }),
    authorizationData: fc.array(fc.record({ adType: type16, adData: octets }, plain), { maxLength: 3 }),
    ticket: fc.uint8Array({ maxLength: 300 }),
    secondTicket: octets,
  },
  {
    ...plain,
    requiredKeys: [
      'client',
      'server',
      'key',
      'authtime',
      'endtime',
      'flags',
      'isSkey',
      'addresses',
      'authorizationData',
      'ticket',
      'secondTicket',
    ],
  },
);

export const times = seconds;
