#!/usr/bin/env python3
"""A lease from Python: lease.py SOCKET CREDSPEC.json USER DOMAIN, the password on standard input."""
import importlib
import pathlib
import subprocess
import sys
import tempfile

import grpc

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto" / "credentialsfetcher.proto"


def stubs():
    """Generates and imports the stubs; a real program would generate them once, when it is built."""
    with tempfile.TemporaryDirectory(prefix="cf-python-") as out:
        flags = [f"-I{PROTO.parent}", f"--python_out={out}", f"--grpc_python_out={out}"]
        subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *flags, PROTO.name], check=True)
        sys.path.insert(0, out)
        return importlib.import_module("credentialsfetcher_pb2"), importlib.import_module("credentialsfetcher_pb2_grpc")


def main():
    socket, credspec_file, user, domain = sys.argv[1:5]
    password = sys.stdin.read().rstrip("\n")
    messages, services = stubs()
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        daemon = services.CredentialsFetcherServiceStub(channel)
        request = messages.CreateNonDomainJoinedKerberosLeaseRequest(
            credspec_contents=[pathlib.Path(credspec_file).read_text()],
            username=user,
            password=password,
            domain=domain,
        )
        lease = daemon.AddNonDomainJoinedKerberosLease(request, timeout=20)
        for directory in lease.created_kerberos_file_paths:
            print(f"ticket: KRB5CCNAME={directory}/krb5cc")
        renewed = daemon.RenewNonDomainJoinedKerberosLease(
            messages.RenewNonDomainJoinedKerberosLeaseRequest(username=user, password=password, domain=domain), timeout=20
        )
        print(f"renewed: {len(renewed.renewed_kerberos_file_paths)}")
        deleted = daemon.DeleteKerberosLease(messages.DeleteKerberosLeaseRequest(lease_id=lease.lease_id), timeout=20)
        print(f"deleted: {len(deleted.deleted_kerberos_file_paths)}")


if __name__ == "__main__":
    try:
        main()
    except grpc.RpcError as e:
        sys.exit(f"{e.code().name}: {e.details()}")
