"""Samba's client side of SPNEGO (gensec, Heimdal below it): tokens in hexadecimal, one a line, ours and its in turn."""
import sys

from samba import gensec
from samba.credentials import MUST_USE_KERBEROS, Credentials
from samba.param import LoadParm

user, password, realm, host, mechanism = sys.argv[1:6]
lp = LoadParm()
lp.load_default()
lp.set("realm", realm)
creds = Credentials()
creds.guess(lp)
creds.set_username(user)
creds.set_password(password)
creds.set_realm(realm)
creds.set_kerberos_state(MUST_USE_KERBEROS)
client = gensec.Security.start_client({"lp_ctx": lp, "target_hostname": host})
client.set_credentials(creds)
client.set_target_service("HTTP")
client.set_target_hostname(host)
client.want_feature(gensec.FEATURE_SEAL)
client.start_mech_by_name(mechanism)
finished, token = client.update(b"")
while True:
    print(token.hex(), flush=True)
    if finished:
        break
    finished, token = client.update(bytes.fromhex(sys.stdin.readline().strip()))
# Two sealed messages: one from here, one from there.
print(client.wrap(b"from samba").hex(), flush=True)
print(client.unwrap(bytes.fromhex(sys.stdin.readline().strip())).decode(), flush=True)
