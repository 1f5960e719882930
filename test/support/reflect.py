"""Calls HealthCheck with nothing but what reflection v1 told: reflect.py SOCKET PROTO_DIR.

The stubs for the reflection call itself come from the proto file; the daemon's own messages come over the wire.
"""
import importlib
import subprocess
import sys
import tempfile

import grpc
from google.protobuf import descriptor_pool, message_factory

socket, protos = sys.argv[1:3]
scratch = tempfile.TemporaryDirectory(prefix="cf-reflect-")
out = scratch.name
name = "grpc/reflection/v1/reflection.proto"
# Without package directories of its own, so that it does not hide the installed package grpc.
source = open(f"{protos}/{name}").read()
open(f"{out}/reflection_v1.proto", "w").write(source)
command = ["-m", "grpc_tools.protoc", f"-I{out}", f"--python_out={out}", "reflection_v1.proto"]
subprocess.run([sys.executable, *command], check=True)
sys.path.insert(0, out)
reflection = importlib.import_module("reflection_v1_pb2")

with grpc.insecure_channel(f"unix:{socket}") as channel:
    info = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection.ServerReflectionResponse.FromString,
    )
    service = "credentialsfetcher.CredentialsFetcherService"
    answers = info(iter([reflection.ServerReflectionRequest(file_containing_symbol=service)]), timeout=10)
    pool = descriptor_pool.DescriptorPool()
    for raw in next(answers).file_descriptor_response.file_descriptor_proto:
        pool.AddSerializedFile(raw)
    method = pool.FindServiceByName(service).methods_by_name["HealthCheck"]
    factory = message_factory.MessageFactory(pool)
    request, response = factory.GetPrototype(method.input_type), factory.GetPrototype(method.output_type)
    call = channel.unary_unary(
        f"/{service}/HealthCheck", request_serializer=request.SerializeToString, response_deserializer=response.FromString
    )
    print(call(request(service="test"), timeout=10).status)
