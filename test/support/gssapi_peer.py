"""One end of a GSS-API context in MIT's library, told what to do by lines of JSON: the other end is ours.

argv[1]: {"role": "init" | "accept", "mech": "krb5" | "spnego", "target": "HTTP@host", "flags": [...], "bindings": hex,
"store": {"keytab": ..., "ccache": ...}}. Each line in has one answer.
"""
import json
import sys

import gssapi
from gssapi.raw import ChannelBindings

MECH = {"krb5": gssapi.OID.from_int_seq("1.2.840.113554.1.2.2"), "spnego": gssapi.OID.from_int_seq("1.3.6.1.5.5.2")}


def context(config):
    more = {}
    if config.get("bindings") is not None:
        more["channel_bindings"] = ChannelBindings(application_data=bytes.fromhex(config["bindings"]))
    mech = MECH[config["mech"]]
    if config["role"] == "accept":
        creds = gssapi.Credentials(usage="accept", mechs=[mech], store=config.get("store"))
        return gssapi.SecurityContext(usage="accept", creds=creds, **more)
    flags = sum(getattr(gssapi.RequirementFlag, flag) for flag in config["flags"])
    name = gssapi.Name(config["target"], gssapi.NameType.hostbased_service)
    creds = gssapi.Credentials(usage="initiate", mechs=[mech], store=config.get("store"))
    return gssapi.SecurityContext(usage="initiate", name=name, creds=creds, mech=mech, flags=flags, **more)


def answer(ctx, ask):
    if "step" in ask:
        token = ctx.step(None if ask["step"] is None else bytes.fromhex(ask["step"]))
        found = {"token": token.hex() if token is not None else None, "complete": ctx.complete}
        if ctx.complete:
            found["initiator"] = str(ctx.initiator_name)
            found["target"] = str(ctx.target_name) if ctx.target_name else None
            found["flags"] = int(ctx.actual_flags)
            delegated = ctx.delegated_creds
            if delegated is not None:
                found["delegated"] = str(delegated.name)
                if "store" in ask:
                    delegated.store(store={"ccache": ask["store"]}, overwrite=True)
        return found
    if "wrap" in ask:
        return {"token": ctx.wrap(bytes.fromhex(ask["wrap"]), ask["confidential"]).message.hex()}
    if "unwrap" in ask:
        opened = ctx.unwrap(bytes.fromhex(ask["unwrap"]))
        return {"plain": opened.message.hex(), "confidential": opened.encrypted}
    if "mic" in ask:
        return {"token": ctx.get_signature(bytes.fromhex(ask["mic"])).hex()}
    if "verify" in ask:
        ctx.verify_signature(bytes.fromhex(ask["verify"]), bytes.fromhex(ask["token"]))
        return {}
    raise ValueError(ask)


def main():
    ctx = None
    for line in sys.stdin:
        try:
            if ctx is None:
                ctx = context(json.loads(sys.argv[1]))
            found = answer(ctx, json.loads(line))
        except gssapi.exceptions.GSSError as e:
            found = {"error": str(e), "major": e.maj_code, "token": e.token.hex() if e.token else None}
        print(json.dumps(found), flush=True)


main()
