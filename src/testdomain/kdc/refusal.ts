/** How the KDC says no. Thrown inside an exchange, turned into a KRB-ERROR (RFC 4120 5.9.1) in kdc.ts. */
import { toDer } from '../../asn1.ts';
import { KerbErrorData } from '../../krb5/messages.ts';
import { adSubCode, krbError } from '../../krb5/numbers.ts';

export class Refusal extends Error {
  readonly code: number;
  readonly eData: Uint8Array | undefined;

  constructor(code: keyof typeof krbError | number, text: string, eData?: Uint8Array) {
    super(text);
    this.code = typeof code === 'number' ? code : krbError[code];
    this.eData = eData;
  }
}

type SubCode =
  | 'ACCOUNT_DISABLED'
  | 'ACCOUNT_LOCKED_OUT'
  | 'ACCOUNT_EXPIRED'
  | 'PASSWORD_EXPIRED'
  | 'PASSWORD_MUST_CHANGE';

/** e-data with an NTSTATUS, as Active Directory sends it: KERB-ERROR-DATA holding a KERB_EXT_ERROR (MS-KILE 2.2.1). */
export function ntStatus(name: SubCode): Uint8Array {
  const status = adSubCode.find((s) => s.name === name)!.ntstatus;
  const extended = new Uint8Array(12);
  const view = new DataView(extended.buffer);
  view.setUint32(0, status, true);
  view.setUint32(8, 1, true);
  return toDer(KerbErrorData, { dataType: 3, dataValue: extended });
}
