"""A greeter without generated code: messages are bytes. `serve [ADDRESS]` or `call ADDRESS`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent import futures

import grpc


def raw(message: bytes) -> bytes:
    """Keeps a message as it is."""
    return message


def hello(name: bytes, context: grpc.ServicerContext) -> bytes:
    """One message, one answer."""
    context.set_trailing_metadata((("x-greeted", name.decode()),))
    return b"hello " + name


def hello_all(names: Iterator[bytes], _: grpc.ServicerContext) -> Iterator[bytes]:
    """A stream of names, each greeted as it comes."""
    for name in names:
        yield b"hello " + name


def server(address: str) -> tuple[grpc.Server, int]:
    """Starts a server; port 0 lets the system choose. Returns it and its port."""
    made = grpc.server(futures.ThreadPoolExecutor(8))
    methods = {
        "Hello": grpc.unary_unary_rpc_method_handler(hello, raw, raw),
        "HelloAll": grpc.stream_stream_rpc_method_handler(hello_all, raw, raw),
    }
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("greeter.Greeter", methods),))
    port = made.add_insecure_port(address)
    made.start()
    return made, port


def call(address: str) -> list[str]:
    """Calls both methods and returns what was said."""
    with grpc.insecure_channel(address) as channel:
        answer, ended = channel.unary_unary("/greeter.Greeter/Hello", raw, raw).with_call(b"Ada", timeout=5)
        trailers = {key: value for key, value in ended.trailing_metadata() if key == "x-greeted"}
        said = [f"{answer.decode()}, trailers {trailers}"]
        names = iter([b"Grace", b"Edsger"])
        answers = channel.stream_stream("/greeter.Greeter/HelloAll", raw, raw)(names, timeout=5)
        return said + [answer.decode() for answer in answers]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", *address]:
            server(*(address or ["127.0.0.1:50051"]))[0].wait_for_termination()
        case ["call", address]:
            print("\n".join(call(address)))
        case _:
            sys.exit(__doc__)
