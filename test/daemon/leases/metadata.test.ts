import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { utf8 } from '../../../src/bytes.ts';
import { formatMetadata, parseMetadata, type TicketRecord } from '../../../src/daemon/leases/metadata.ts';
import { MalformedError } from '../../../src/errors.ts';
import { fuzz } from '../../support/fuzz.ts';

const record: TicketRecord = {
  credspecInfo: '',
  distinguishedName: 'CN=WebApp01,OU=MYOU,DC=contoso,DC=com',
  domainName: 'contoso.com',
  domainlessUser: 'reader',
  krbFilePath: '/var/credentials-fetcher/krbdir/34e2b89e3fd8a9bcb297/WebApp01/krb5cc',
  serviceAccountName: 'WebApp01',
  credentialArn: '',
};

const written = `{
	"krb_ticket_info": [
		{
			"credspec_info": "",
			"distinguished_name": "CN=WebApp01,OU=MYOU,DC=contoso,DC=com",
			"domain_name": "contoso.com",
			"domainless_user": "reader",
			"krb_file_path": "/var/credentials-fetcher/krbdir/34e2b89e3fd8a9bcb297/WebApp01/krb5cc",
			"service_account_name": "WebApp01"
		}
	]
}
`;

describe('lease metadata', () => {
  test('is written with sorted keys, tab indented', () => {
    assert.equal(formatMetadata([record]), written);
  });

  test('names the ARN of the secret only when there is one', () => {
    const [first] = JSON.parse(formatMetadata([{ ...record, credentialArn: 'arn:x' }])).krb_ticket_info;
    assert.equal(Object.keys(first)[0], 'credential_arn');
  });

  test('is read as written', () => {
    assert.deepEqual(parseMetadata(written), [record]);
  });

  test('is read with escaped slashes', () => {
    assert.deepEqual(parseMetadata(written.replaceAll('/', '\\/')), [record]);
  });

  test('is read as a bare list', () => {
    assert.deepEqual(parseMetadata(JSON.stringify(JSON.parse(written).krb_ticket_info)), [record]);
  });

  test("is read as a bare list with Go's field names", () => {
    const text = JSON.stringify([
      {
        KrbFilePath: record.krbFilePath,
        ServiceAccountName: 'WebApp01',
        DomainName: 'contoso.com',
        DomainlessUser: 'reader',
        DistinguishedName: record.distinguishedName,
      },
    ]);
    assert.deepEqual(parseMetadata(text), [record]);
  });

  test('is read as an empty lease when the list is null', () => {
    assert.deepEqual(parseMetadata('{"krb_ticket_info": null}'), []);
  });

  for (const text of ['', '{', '5', 'null', '{}', '{"krb_ticket_info": {}}', '[5]', '[{}]', '[{"krb_file_path": 5}]']) {
    test(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseMetadata(text), MalformedError);
    });
  }

  test('property: what is written is read again', () => {
    const text = fc.string({ unit: 'binary-ascii' });
    const records = fc.record(
      {
        credspecInfo: text,
        distinguishedName: text,
        domainName: text,
        domainlessUser: text,
        krbFilePath: text,
        serviceAccountName: text,
        credentialArn: text,
      },
      { noNullPrototype: true },
    );
    fc.assert(fc.property(fc.array(records), (list) => assert.deepEqual(parseMetadata(formatMetadata(list)), list)));
  });

  test('fuzz: mutated files are read or refused with MalformedError', () => {
    const decoder = new TextDecoder();
    fuzz([utf8(written)], (bytes) => parseMetadata(decoder.decode(bytes)), { iterations: 3000, seed: 12 });
  });
});
