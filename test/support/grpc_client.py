#!/usr/bin/python3
"""A gRPC client of Debian's python3-grpcio, generated from the project's proto: proof that strangers can talk to the daemon.

usage: grpc_client.py PROTO SOCKET
Reads calls from standard input, one JSON array a line: [method, request object, deadline in seconds].
Answers each with one JSON line: {"ok": response} or {"code": name, "details": text}.
"""
import importlib
import json
import os
import subprocess
import sys
import tempfile

import grpc
from google.protobuf import json_format

proto, socket = sys.argv[1:3]
with tempfile.TemporaryDirectory() as out:
    folder = os.path.dirname(os.path.abspath(proto))
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", f"--python_out={out}", f"--grpc_python_out={out}", os.path.basename(proto)],
        check=True,
    )
    sys.path.insert(0, out)
    messages = importlib.import_module("credentialsfetcher_pb2")
    services = importlib.import_module("credentialsfetcher_pb2_grpc")

channel = grpc.insecure_channel(f"unix:{socket}")
stub = services.CredentialsFetcherServiceStub(channel)
methods = messages.DESCRIPTOR.services_by_name["CredentialsFetcherService"].methods_by_name
for line in sys.stdin:
    method, request, deadline = json.loads(line)
    message = getattr(messages, methods[method].input_type.name)()
    json_format.ParseDict(request, message)
    try:
        response = getattr(stub, method)(message, timeout=deadline)
        answer = {"ok": json_format.MessageToDict(response, preserving_proto_field_name=True, including_default_value_fields=True)}
    except grpc.RpcError as e:
        answer = {"code": e.code().name, "details": e.details()}
    print(json.dumps(answer), flush=True)
