"""Calls gRPC methods with grpcio and prints, as JSON, the headers that the service says it saw.

grpc_echo.py ADDRESS METHOD...
"""

import json
import sys

import grpc

SEEN = "seen-"


def main(address: str, methods: list[str]) -> None:
    with grpc.insecure_channel(address) as channel:
        for method in methods:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
                method, request_serializer=None, response_deserializer=None
            )
            message, details = call.with_call(b"x" * 32, timeout=10)
            if details.code() is not grpc.StatusCode.OK or len(message) != 100:
                sys.exit(f"{method}: {details.code()} with {len(message)} bytes")
            metadata = details.initial_metadata()
            print(json.dumps({key.removeprefix(SEEN): value for key, value in metadata if key.startswith(SEEN)}))


main(sys.argv[1], sys.argv[2:])
