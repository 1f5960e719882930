#!/usr/bin/python3
"""Fills the lab's directory from accounts.json, in one process, straight into the domain controller's database.

samba-tool starts a new Python for each account (0.3 to 0.5 s); this opens the database once and makes all of them in
a few seconds. Samba's own modules still run on every write, so what comes out is what LDAP would have made.

    accounts.py --conf SMB.CONF prepare              names and service principals a fresh provision leaves out
    accounts.py --conf SMB.CONF create [--born T]    the accounts whose "born" in accounts.json is T (default: none)
    accounts.py --conf SMB.CONF keytab FILE [NAME]   the keys the domain controller itself keeps, all or one account's

An account with "born" is made by a run whose clock libfaketime has set back, so that its password has a past: that is
the caller's part (`lab accounts` does it).
"""

import argparse
import json
import os
import sys

import ldb
import samba.dckeytab  # noqa: F401  gives Net its export_keytab
from samba import dsdb
from samba.auth import system_session
from samba.crypto import md4_hash_blob
from samba.dcerpc import dnsp, security
from samba.ndr import ndr_pack
from samba.net import Net
from samba.param import LoadParm
from samba.samdb import SamDB

HERE = os.path.dirname(os.path.abspath(__file__))
AES_ONLY = 24  # msDS-SupportedEncryptionTypes: AES128 (8) and AES256 (16) with SHA-1
LONG_AGO = "132000000000000000"  # an NT time in the year 2019
NORMAL, WORKSTATION = dsdb.UF_NORMAL_ACCOUNT, dsdb.UF_WORKSTATION_TRUST_ACCOUNT


class Directory:
    def __init__(self, conf):
        self.lp = LoadParm()
        self.lp.load(conf)
        self.db = SamDB(session_info=system_session(), lp=self.lp)
        self.base = str(self.db.get_default_basedn())

    def find(self, name):
        found = self.db.search(self.base, ldb.SCOPE_SUBTREE, f"(sAMAccountName={ldb.binary_encode(name)})",
                               ["objectSid", "servicePrincipalName"])
        return found[0] if found else None

    def sid(self, name):
        entry = self.find(name)
        if entry is None:
            sys.exit(f"accounts.py: no account {name} in the directory")
        return self.db.schema_format_value("objectSid", entry["objectSid"][0]).decode()

    def add(self, dn, **attributes):
        message = ldb.Message(ldb.Dn(self.db, dn))
        for name, value in attributes.items():
            if value is not None:
                message[name] = ldb.MessageElement(value, ldb.FLAG_MOD_ADD, name)
        self.db.add(message)

    def replace(self, dn, controls=None, **attributes):
        message = ldb.Message(ldb.Dn(self.db, dn))
        for name, value in attributes.items():
            message[name] = ldb.MessageElement(value, ldb.FLAG_MOD_REPLACE, name)
        self.db.modify(message, controls=controls)


def utf16_password(password):
    """unicodePwd wants the password in quotes as UTF-16LE (MS-ADTS 3.1.1.3.1.5)."""
    return f'"{password}"'.encode("utf-16-le")


def prepare(directory, plan):
    """A provision registers HOST/ alone and publishes no loopback address; clients ask for ldap/ and need the address."""
    domain, dc = plan["domain"], plan["dc"]
    short = dc.split(".")[0].upper()
    entry = directory.find(f"{short}$")
    # The silent one has the same key, so that a ticket for it can be had.
    wanted = [f"ldap/{plan['silent']['dc']}", f"ldap/{dc}", f"ldap/{dc}/{domain}", f"ldap/{dc}/{plan['netbios']}", f"ldap/{short}",
              f"GC/{dc}/{domain}", f"HOST/{dc}/{domain}"]
    have = {str(spn).lower() for spn in entry.get("servicePrincipalName", [])}
    missing = [spn for spn in wanted if spn.lower() not in have]
    if missing:
        message = ldb.Message(entry.dn)
        message["spn"] = ldb.MessageElement(missing, ldb.FLAG_MOD_ADD, "servicePrincipalName")
        directory.db.modify(message)
    silent = plan["silent"]
    add_dns(directory, domain, short.lower(), address_record("127.0.0.1"), also="@")
    add_dns(directory, domain, silent["dc"].split(".")[0], address_record(silent["address"]))
    # A domain all of whose servers are silent: it has nothing but these records.
    child = silent["domain"].removesuffix(f".{domain}")
    for service, port in (("_ldap._tcp.dc._msdcs", 389), ("_kerberos._tcp", 88)):
        add_dns(directory, domain, f"{service}.{child}", service_record(silent["dc"], port))


def dns_record(kind, data):
    record = dnsp.DnssrvRpcRecord()
    record.wType = kind
    record.rank = dnsp.DNS_RANK_ZONE
    record.dwSerial = 1
    record.dwTtlSeconds = 900
    record.data = data
    return ndr_pack(record)


def address_record(address):
    return dns_record(dnsp.DNS_TYPE_A, address)


def service_record(host, port):
    service = dnsp.srv()
    service.wWeight, service.wPort, service.nameTarget = 100, port, host
    return dns_record(dnsp.DNS_TYPE_SRV, service)


def add_dns(directory, domain, name, record, also=None):
    """One record for a name of the domain's zone, and for `also`, which is there; nothing when the name is there."""
    zone = f"DC={domain},CN=MicrosoftDNS,DC=DomainDnsZones,{directory.base}"
    if directory.db.search(zone, ldb.SCOPE_ONELEVEL, f"(name={name})", []):
        return
    directory.add(f"DC={name},{zone}", objectClass=["top", "dnsNode"], dnsRecord=record)
    if also is not None:
        message = ldb.Message(ldb.Dn(directory.db, f"DC={also},{zone}"))
        message["dnsRecord"] = ldb.MessageElement(record, ldb.FLAG_MOD_ADD, "dnsRecord")
        directory.db.modify(message)


def make_user(directory, user):
    dn = f"CN={user['name']},CN=Users,{directory.base}"
    state = user.get("state")
    directory.add(dn, objectClass="user", sAMAccountName=user["name"], userAccountControl=str(NORMAL),
                  servicePrincipalName=user.get("spns"), userPrincipalName=user.get("upn"),
                  unicodePwd=utf16_password(user["password"]))
    if state == "rc4-only":
        # As an account whose password dates from before the domain knew AES: the NT hash is all there is of it.
        nt_hash = md4_hash_blob(user["password"].encode("utf-16-le"))
        directory.replace(dn, controls=[f"local_oid:{dsdb.DSDB_CONTROL_BYPASS_PASSWORD_HASH_OID}:0"], unicodePwd=nt_hash,
                          supplementalCredentials=[], **{"msDS-SupportedEncryptionTypes": "4"})
    elif state == "disabled":
        directory.replace(dn, userAccountControl=str(NORMAL | dsdb.UF_ACCOUNTDISABLE))
    elif state == "not-delegated":
        directory.replace(dn, userAccountControl=str(NORMAL | dsdb.UF_NOT_DELEGATED))
    elif state == "account-expired":
        directory.replace(dn, accountExpires=LONG_AGO)
    elif state == "must-change":
        directory.replace(dn, pwdLastSet="0")
    elif state == "locked":
        # As after too many wrong passwords, without a lockout policy that could lock the other accounts as well; a year
        # ahead, since a lock is over when the policy's lockoutDuration (30 minutes) has passed.
        until = directory.db.get_nttime() + 365 * 24 * 3600 * 10_000_000
        directory.replace(dn, controls=["relax:0"], lockoutTime=str(until), badPwdCount="99")
    elif state is not None:
        sys.exit(f"accounts.py: {user['name']}: unknown state {state}")
    return dn


def make_computer(directory, plan, computer):
    name = computer["name"]
    host = f"{name.lower()}.{plan['domain']}"
    dn = f"CN={name},CN=Computers,{directory.base}"
    directory.add(dn, objectClass="computer", sAMAccountName=f"{name}$", userAccountControl=str(WORKSTATION),
                  dNSHostName=host, servicePrincipalName=[f"HOST/{host}", f"HOST/{name}"],
                  unicodePwd=utf16_password(computer["password"]),
                  **{"msDS-SupportedEncryptionTypes": str(AES_ONLY)})
    return dn


def make_gmsa(directory, plan, gmsa):
    """What `samba-tool service-account create`, `group-msa-membership add` and `user enable` do, in one write."""
    name = gmsa["name"]
    # Generic-all for each reader; MS-ADTS 3.1.1.4.4: reading the password needs RIGHT_DS_READ_PROPERTY on this descriptor.
    aces = "".join(f"(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;{directory.sid(reader)})" for reader in gmsa["readers"])
    readers = security.descriptor.from_sddl(f"O:SYD:{aces}", security.dom_sid(directory.db.get_domain_sid()))
    states = {"disabled": dsdb.UF_ACCOUNTDISABLE, "any-protocol": dsdb.UF_TRUSTED_TO_AUTHENTICATE_FOR_DELEGATION, None: 0}
    control = WORKSTATION | states[gmsa.get("state")]
    types = gmsa.get("encryptionTypes", AES_ONLY)
    dn = f"CN={name},CN=Managed Service Accounts,{directory.base}"
    directory.add(dn, objectClass="msDS-GroupManagedServiceAccount", sAMAccountName=f"{name}$",
                  dNSHostName=f"{name.lower()}.{plan['domain']}", servicePrincipalName=gmsa.get("spns"),
                  **{"msDS-ManagedPasswordInterval": str(gmsa.get("intervalDays", 30)),
                     "msDS-GroupMSAMembership": ndr_pack(readers),
                     "msDS-AllowedToDelegateTo": gmsa.get("delegatesTo"),
                     "msDS-SupportedEncryptionTypes": None if types is None else str(types)})
    directory.replace(dn, userAccountControl=str(control))
    return dn


def trust_delegates(directory, plan):
    """Resource-based constrained delegation: each computer's own list of who may act on behalf of others there."""
    for computer in plan["computers"]:
        dn = f"CN={computer['name']},CN=Computers,{directory.base}"
        if "trusts" in computer:
            aces = "".join(f"(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;{directory.sid(name)})" for name in computer["trusts"])
            trusted = security.descriptor.from_sddl(f"O:BAD:{aces}", security.dom_sid(directory.db.get_domain_sid()))
            directory.replace(dn, **{"msDS-AllowedToActOnBehalfOfOtherIdentity": ndr_pack(trusted)})


def join_groups(directory, dn, names):
    for name in names:
        message = ldb.Message(directory.find(name).dn)
        message["member"] = ldb.MessageElement(dn, ldb.FLAG_MOD_ADD, "member")
        directory.db.modify(message)


def create(directory, plan, born):
    numbered = plan["numberedGmsas"]
    gmsas = plan["gmsas"] + [{"name": f"{numbered['prefix']}{n:02}", "readers": numbered["readers"]}
                             for n in range(1, numbered["count"] + 1)]
    made = 0
    directory.db.transaction_start()
    try:
        for group in plan["groups"]:
            if directory.find(group) is None:
                directory.add(f"CN={group},CN=Users,{directory.base}", objectClass="group", sAMAccountName=group)
        for entries, suffix, make in ((plan["users"], "", lambda e: make_user(directory, e)),
                                      (plan["computers"], "$", lambda e: make_computer(directory, plan, e)),
                                      (gmsas, "$", lambda e: make_gmsa(directory, plan, e))):
            for entry in entries:
                if entry.get("born") != born or directory.find(entry["name"] + suffix) is not None:
                    continue
                dn = make(entry)
                join_groups(directory, dn, entry.get("memberOf", []))
                made += 1
        trust_delegates(directory, plan)
        # Suites change a password more than once a day.
        directory.replace(directory.base, minPwdAge="0")
    except BaseException:
        directory.db.transaction_cancel()
        raise
    directory.db.transaction_commit()
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--conf", required=True, help="the domain controller's smb.conf")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("prepare")
    commands.add_parser("create").add_argument("--born")
    keytab = commands.add_parser("keytab")
    keytab.add_argument("file")
    keytab.add_argument("principal", nargs="?")
    options = parser.parse_args()
    with open(os.path.join(HERE, "accounts.json"), encoding="utf-8") as file:
        plan = json.load(file)
    directory = Directory(options.conf)
    if options.command == "prepare":
        prepare(directory, plan)
    elif options.command == "create":
        prepare(directory, plan)
        print(f"{create(directory, plan, options.born)} accounts made")
    else:
        Net(None, directory.lp).export_keytab(samdb=directory.db, keytab=options.file, principal=options.principal)


if __name__ == "__main__":
    main()
