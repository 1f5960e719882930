"""Asks MIT's libk5crypto. Reads a JSON array of questions on standard input and prints a JSON array of answers.

Bytes go as hexadecimal. A refused decryption is null.
"""
import ctypes as c
import json
import sys

lib = c.CDLL("libk5crypto.so.3")


class Data(c.Structure):
    _fields_ = [("magic", c.c_int32), ("length", c.c_uint), ("data", c.c_void_p)]


class Key(c.Structure):
    _fields_ = [("magic", c.c_int32), ("etype", c.c_int32), ("length", c.c_uint), ("contents", c.c_void_p)]


class Sealed(c.Structure):
    _fields_ = [("magic", c.c_int32), ("etype", c.c_int32), ("kvno", c.c_uint), ("data", Data)]


class Checksum(c.Structure):
    _fields_ = [("magic", c.c_int32), ("type", c.c_int32), ("length", c.c_uint), ("contents", c.c_void_p)]


keep = []


def pointer(raw):
    buffer = c.create_string_buffer(raw, max(len(raw), 1))
    keep.append(buffer)
    return c.cast(buffer, c.c_void_p)


def data(raw):
    return Data(0, len(raw), pointer(raw))


def key(q):
    raw = bytes.fromhex(q["key"])
    return Key(0, q["etype"], len(raw), pointer(raw))


def must(code):
    if code != 0:
        raise SystemExit(f"libk5crypto: error {code}")


def encrypt(q):
    plain = data(bytes.fromhex(q["data"]))
    size = c.c_size_t()
    must(lib.krb5_c_encrypt_length(None, q["etype"], c.c_size_t(plain.length), c.byref(size)))
    sealed = Sealed(0, q["etype"], 0, data(bytes(size.value)))
    must(lib.krb5_c_encrypt(None, c.byref(key(q)), q["usage"], None, c.byref(plain), c.byref(sealed)))
    return c.string_at(sealed.data.data, sealed.data.length).hex()


def decrypt(q):
    raw = bytes.fromhex(q["data"])
    sealed = Sealed(0, q["etype"], 0, data(raw))
    plain = data(bytes(len(raw)))
    if lib.krb5_c_decrypt(None, c.byref(key(q)), q["usage"], None, c.byref(sealed), c.byref(plain)) != 0:
        return None
    return c.string_at(plain.data, plain.length).hex()


def checksum(q):
    plain, out = data(bytes.fromhex(q["data"])), Checksum()
    must(lib.krb5_c_make_checksum(None, q["cksumtype"], c.byref(key(q)), q["usage"], c.byref(plain), c.byref(out)))
    return c.string_at(out.contents, out.length).hex()


def string_to_key(q):
    password, salt = data(bytes.fromhex(q["password"])), data(bytes.fromhex(q["salt"]))
    params = c.byref(data(bytes.fromhex(q["params"]))) if q.get("params") else None
    out = Key()
    must(
        lib.krb5_c_string_to_key_with_params(
            None, q["etype"], c.byref(password), c.byref(salt), params, c.byref(out)
        )
    )
    return c.string_at(out.contents, out.length).hex()


def prf(q):
    text, size = data(bytes.fromhex(q["data"])), c.c_size_t()
    must(lib.krb5_c_prf_length(None, q["etype"], c.byref(size)))
    out = data(bytes(size.value))
    must(lib.krb5_c_prf(None, c.byref(key(q)), c.byref(text), c.byref(out)))
    return c.string_at(out.data, out.length).hex()


def cf2(q):
    out = c.POINTER(Key)()
    keys = c.byref(key(q["key1"])), c.byref(key(q["key2"]))
    peppers = q["pepper1"].encode(), q["pepper2"].encode()
    must(lib.krb5_c_fx_cf2_simple(None, keys[0], peppers[0], keys[1], peppers[1], c.byref(out)))
    return f"{out[0].etype}:{c.string_at(out[0].contents, out[0].length).hex()}"


asked = {
    "encrypt": encrypt,
    "decrypt": decrypt,
    "checksum": checksum,
    "stringToKey": string_to_key,
    "prf": prf,
    "cf2": cf2,
}
json.dump([asked[q["ask"]](q) for q in json.load(sys.stdin)], sys.stdout)
