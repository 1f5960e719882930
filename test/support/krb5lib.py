"""Asks MIT's libkrb5 what a configuration means. Reads a JSON array of questions on standard input and prints a JSON array
of answers; the configuration is that of KRB5_CONFIG. A refusal is null.
"""
import ctypes as c
import json
import sys

k = c.CDLL("libkrb5.so.3")


class Data(c.Structure):
    _fields_ = [("magic", c.c_int32), ("length", c.c_uint), ("data", c.c_char_p)]


class Principal(c.Structure):
    _fields_ = [("magic", c.c_int32), ("realm", Data), ("data", c.POINTER(Data)), ("length", c.c_int32), ("type", c.c_int32)]


def data(text):
    raw = text.encode()
    return Data(0, len(raw), raw)


def text(d):
    return c.string_at(d.data, d.length).decode()


ctx = c.c_void_p()
failed = k.krb5_init_context(c.byref(ctx))


def duration(value):
    seconds = c.c_int32()
    return None if k.krb5_string_to_deltat(value.encode(), c.byref(seconds)) else seconds.value


def path(client, server):
    tree = c.POINTER(c.POINTER(Principal))()
    if k.krb5_walk_realm_tree(ctx, c.byref(data(client)), c.byref(data(server)), c.byref(tree), ord(".")):
        return None
    found = []
    while tree[len(found)]:
        found.append(text(tree[len(found)].contents.data[1]))
    return found


def host_realm(host):
    realms = c.POINTER(c.c_char_p)()
    if k.krb5_get_host_realm(ctx, host.encode(), c.byref(realms)):
        return None
    return realms[0].decode()


def values(*names):
    profile = c.c_void_p()
    k.krb5_get_profile(ctx, c.byref(profile))
    found = c.POINTER(c.c_char_p)()
    wanted = (c.c_char_p * (len(names) + 1))(*[n.encode() for n in names], None)
    if k.profile_get_values(profile, wanted, c.byref(found)):
        return []
    out = []
    while found[len(out)] is not None:
        out.append(found[len(out)].decode())
    return out


def enctypes():
    """The lists permitted, for the AS and for the TGS; null for one that is refused."""
    asked = (
        k.krb5_get_permitted_enctypes,
        k.krb5_get_default_in_tkt_ktypes,
        lambda c1, found: k.krb5_get_tgs_ktypes(c1, None, found),
    )
    out = []
    for get in asked:
        found = c.POINTER(c.c_int32)()
        if get(ctx, c.byref(found)):
            out.append(None)
            continue
        types = []
        while found[len(types)]:
            types.append(found[len(types)])
        out.append(types)
    return out


ask = {"enctypes": enctypes, "duration": duration, "path": path, "host_realm": host_realm, "values": values}
questions = json.load(sys.stdin)
print(json.dumps([None if failed else ask[name](*args) for name, *args in questions]))
