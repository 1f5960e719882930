"""Packs PACs with Samba's NDR from what lines of JSON say, and prints each in hexadecimal."""
import json
import sys

from samba.dcerpc import krb5pac, lsa, netlogon, samr, security
from samba.ndr import ndr_pack


def lsa_string(text, kind=lsa.String):
    s = kind()
    s.string = text
    return s


def groups(pairs):
    array = samr.RidWithAttributeArray()
    found = []
    for rid, attributes in pairs:
        one = samr.RidWithAttribute()
        one.rid, one.attributes = rid, attributes
        found.append(one)
    array.count, array.rids = len(found), found
    return array


def logon_info(want):
    info = krb5pac.PAC_LOGON_INFO()
    base = info.info3.base
    for name in ("account_name", "full_name", "logon_script", "profile_path", "home_directory", "home_drive"):
        setattr(base, name, lsa_string(want[name]))
    base.logon_server = lsa_string(want["logon_server"], lsa.StringLarge)
    base.logon_domain = lsa_string(want["logon_domain"], lsa.StringLarge)
    base.domain_sid = security.dom_sid(want["domain_sid"])
    base.rid, base.primary_gid = want["rid"], want["primary_gid"]
    base.groups = groups(want["groups"])
    base.user_flags = want["user_flags"]
    sids = []
    for sid, attributes in want["sids"]:
        one = netlogon.netr_SidAttr()
        one.sid, one.attributes = security.dom_sid(sid), attributes
        sids.append(one)
    info.info3.sidcount, info.info3.sids = len(sids), sids
    if want["resource_groups"]:
        info.resource_groups.domain_sid = security.dom_sid(want["resource_sid"])
        info.resource_groups.groups = groups(want["resource_groups"])
    ctr = krb5pac.PAC_LOGON_INFO_CTR()
    ctr.info = info
    return ctr


def delegation(want):
    info = krb5pac.PAC_CONSTRAINED_DELEGATION()
    info.proxy_target = lsa_string(want["target"])
    transited = [lsa_string(name) for name in want["transited"]]
    info.num_transited_services, info.transited_services = len(transited), transited
    ctr = krb5pac.PAC_CONSTRAINED_DELEGATION_CTR()
    ctr.info = info
    return ctr


def upn(want):
    info = krb5pac.PAC_UPN_DNS_INFO()
    info.upn_name, info.dns_domain_name = want["upn"], want["dns"]
    info.flags = krb5pac.PAC_UPN_DNS_FLAG_HAS_SAM_NAME_AND_SID
    info.ex.samaccountname = want["sam"]
    info.ex.objectsid = security.dom_sid(want["sid"])
    return info


MAKERS = {
    "logon": (krb5pac.PAC_TYPE_LOGON_INFO, logon_info),
    "delegation": (krb5pac.PAC_TYPE_CONSTRAINED_DELEGATION, delegation),
    "upn": (krb5pac.PAC_TYPE_UPN_DNS_INFO, upn),
}

for line in sys.stdin:
    wanted = json.loads(line)
    pac = krb5pac.PAC_DATA()
    buffers = []
    for name, (kind, make) in MAKERS.items():
        if name in wanted:
            buffer = krb5pac.PAC_BUFFER()
            buffer.type, buffer.info = kind, make(wanted[name])
            buffers.append(buffer)
    pac.num_buffers, pac.buffers, pac.version = len(buffers), buffers, 0
    print(ndr_pack(pac).hex(), flush=True)
