#!/usr/bin/python3
"""protoc-gen-c (protobuf-c 1.4), for what it does not know.

Services are taken out: our gRPC layer has a table of its own, and protobuf-c would write a
member named after each method, which for Register is a C keyword.

`optional` in proto3 is declared as supported. Such a field reaches the plugin as a oneof of
one member, which it knows: x is set if `_x_case` is not ..._NOT_SET.
"""
import subprocess
import sys

from google.protobuf.compiler import plugin_pb2


def main():
    request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    for file in request.proto_file:
        del file.service[:]
    done = subprocess.run(
        ["protoc-gen-c"], input=request.SerializeToString(), stdout=subprocess.PIPE, check=True
    )
    response = plugin_pb2.CodeGeneratorResponse.FromString(done.stdout)
    response.supported_features = plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    sys.stdout.buffer.write(response.SerializeToString())


main()
