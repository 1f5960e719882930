"""Takes a PAC in hexadecimal apart with Samba's own NDR and prints what it says as JSON."""
import json
import sys

from samba.dcerpc import krb5pac
from samba.ndr import ndr_unpack

found = {"types": []}
for buffer in ndr_unpack(krb5pac.PAC_DATA, bytes.fromhex(sys.stdin.read())).buffers:
    found["types"].append(buffer.type)
    if buffer.type == krb5pac.PAC_TYPE_LOGON_INFO:
        info = buffer.info.info.info3
        base = info.base
        found |= {
            "account": base.account_name.string,
            "server": base.logon_server.string,
            "domain": base.logon_domain.string,
            "user": f"{base.domain_sid}-{base.rid}",
            "primary": f"{base.domain_sid}-{base.primary_gid}",
            "groups": [[f"{base.domain_sid}-{group.rid}", group.attributes] for group in base.groups.rids or []],
            "extra": [[str(sid.sid), sid.attributes] for sid in info.sids or []],
            "control": base.acct_flags,
        }
        resource = buffer.info.info.resource_groups
        found["resource"] = [[f"{resource.domain_sid}-{g.rid}", g.attributes] for g in resource.groups.rids or []]
    elif buffer.type == krb5pac.PAC_TYPE_UPN_DNS_INFO:
        found["upn"] = buffer.info.upn_name
        found["dns"] = buffer.info.dns_domain_name
        found["sam"] = buffer.info.ex.samaccountname
        found["sid"] = str(buffer.info.ex.objectsid)
    elif buffer.type == krb5pac.PAC_TYPE_LOGON_NAME:
        found["client"] = buffer.info.account_name
print(json.dumps(found))
