"""Writes test/vectors/pyasn1-krb5.json: messages that MIT's published samples leave out, encoded by pyasn1 from the ASN.1
of their documents (RFC 6113 appendix A, RFC 3244 section 2, MS-SFU 2.2), with the values of MIT's samples.

    python3 test/support/der_vectors.py > test/vectors/pyasn1-krb5.json
"""
import json

import pyasn1
from pyasn1.codec.der.encoder import encode
from pyasn1.type import char, namedtype, tag, univ, useful

EXPLICIT = [tag.Tag(tag.tagClassContext, tag.tagFormatConstructed, n) for n in range(12)]


def sequence(*fields):
    """Fields of a SEQUENCE whose tags are explicit: (name, number, type[, optional])."""
    kinds = {False: namedtype.NamedType, True: namedtype.OptionalNamedType}
    types = [kinds[len(f) > 3](f[0], f[2].subtype(explicitTag=EXPLICIT[f[1]])) for f in fields]
    return univ.Sequence(componentType=namedtype.NamedTypes(*types))


def fill(kind, **values):
    out = kind.clone()
    for name, value in values.items():
        out[name] = value
    return out


I, O, T, F = univ.Integer(), univ.OctetString(), useful.GeneralizedTime(), univ.BitString()
S = char.GeneralString()
NAME = sequence(("type", 0, I), ("string", 1, univ.SequenceOf(componentType=S)))
CHECKSUM = sequence(("cksumtype", 0, I), ("checksum", 1, O))
KEY = sequence(("keytype", 0, I), ("keyvalue", 1, O))
ENCRYPTED = sequence(("etype", 0, I), ("kvno", 1, I, "optional"), ("cipher", 2, O))
PA = sequence(("type", 1, I), ("value", 2, O))
METHOD = univ.SequenceOf(componentType=PA)
BODY = sequence(("options", 0, F), ("realm", 2, S), ("sname", 3, NAME), ("till", 5, T), ("nonce", 7, I),
                ("etype", 8, univ.SequenceOf(componentType=I)))
FOR_USER = sequence(("userName", 0, NAME), ("userRealm", 1, S), ("cksum", 2, CHECKSUM), ("authPackage", 3, S))
PAC_OPTIONS = sequence(("flags", 0, F))
CHANGE = sequence(("newPasswd", 0, O), ("targName", 1, NAME, "optional"), ("targRealm", 2, S, "optional"))
ARMOR = sequence(("type", 0, I), ("value", 1, O))
ARMORED_REQ = sequence(("armor", 0, ARMOR, "optional"), ("cksum", 1, CHECKSUM), ("enc", 2, ENCRYPTED))
FAST_REQ = sequence(("options", 0, F), ("padata", 1, METHOD), ("body", 2, BODY))
ARMORED_REP = sequence(("enc", 0, ENCRYPTED))
FINISHED = sequence(("timestamp", 0, T), ("usec", 1, I), ("crealm", 2, S), ("cname", 3, NAME), ("cksum", 4, CHECKSUM))
RESPONSE = sequence(("padata", 0, METHOD), ("strengthen", 1, KEY, "optional"), ("finished", 2, FINISHED, "optional"),
                    ("nonce", 3, I))


REALM, TIME, FLAGS = "ATHENA.MIT.EDU", "19940610060317Z", "'fedcba90'H"


def put(out, **parts):
    """Sets structured fields, which pyasn1 wants filled in place."""
    for field, values in parts.items():
        for key, value in values.items():
            if key == "string":
                out[field][key].extend(value)
            else:
                out[field][key] = value
    return out


N = {"type": 1, "string": ["hftsai", "extra"]}
C = {"cksumtype": 1, "checksum": b"1234"}
E = {"etype": 0, "kvno": 5, "cipher": b"krbASN.1 test message"}


def padata(out, field):
    for _ in range(2):
        at = len(out[field])
        out[field][at]["type"] = 13
        out[field][at]["value"] = b"pa-data"
    return out


def choice(n, inner):
    """[n] EXPLICIT around the DER of a value: the one alternative of a CHOICE."""
    der = encode(inner)
    length = bytes([len(der)]) if len(der) < 128 else bytes([0x81, len(der)])
    return bytes([0xA0 + n]) + length + der




def request_body(out):
    for key, value in {"options": FLAGS, "realm": REALM, "till": TIME, "nonce": 42}.items():
        out[key] = value
    out["etype"].extend([0, 1])
    return put(out, sname=N)


fast_req = padata(fill(FAST_REQ, options=FLAGS), "padata")
request_body(fast_req["body"])
response = padata(fill(RESPONSE, nonce=42), "padata")
put(response, strengthen={"keytype": 1, "keyvalue": b"12345678"})
put(response, finished={"timestamp": TIME, "usec": 123456, "crealm": REALM})
put(response["finished"], cname=N, cksum=C)

vectors = {
    "pa_for_user": encode(put(fill(FOR_USER, userRealm=REALM, authPackage="krb5data"), userName=N, cksum=C)),
    "pa_pac_options": encode(fill(PAC_OPTIONS, flags="'10000000'H")),
    "change_passwd_data": encode(put(fill(CHANGE, newPasswd=b"krb5data", targRealm=REALM), targName=N)),
    "change_passwd_data, optionals absent": encode(fill(CHANGE, newPasswd=b"krb5data")),
    "fast_request": choice(0, put(ARMORED_REQ.clone(), armor={"type": 1, "value": b"krb5data"}, cksum=C, enc=E)),
    "fast_request, implicit armor": choice(0, put(ARMORED_REQ.clone(), cksum=C, enc=E)),
    "fast_req": encode(fast_req),
    "kdc_req_body": encode(request_body(BODY.clone())),
    "fast_reply": choice(0, put(ARMORED_REP.clone(), enc=E)),
    "fast_response": encode(response),
    "fast_response, optionals absent": encode(padata(fill(RESPONSE, nonce=42), "padata")),
}
print(json.dumps({
    "source": f"pyasn1 {pyasn1.__version__} by test/support/der_vectors.py, from the ASN.1 of RFC 6113, RFC 3244 and MS-SFU",
    "date": "2026-11-23",
    "vectors": {key: value.hex() for key, value in vectors.items()},
}, indent=2))
