"""The least that a gRPC server in Python can do: `python -m benchmarks.echo --echo-address …`.

A bare grpc.aio server on the same event loop as the product's, which answers each call with the
bytes that came. What a call of the product costs is compared with it, in the same run: absolute
figures say more about the machine.
"""

import asyncio
import json
import sys

import click
import grpc.aio

from benchmarks.generator.loops import event_loops
from benchmarks.generator.works import ECHO_METHOD, ECHO_SERVICE


async def _echo(request: bytes, _: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    return request


async def serve(address: str) -> None:
    """Serves until it is killed."""
    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
        _echo
    )
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(ECHO_SERVICE, {ECHO_METHOD: handler})]
    )
    port = server.add_insecure_port(address)
    await server.start()
    host = address.rpartition(":")[0]
    line = {"event": "listening", "address": f"{host}:{port}"}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    await server.wait_for_termination()


@click.command()
@click.option("--echo-address", required=True)
@click.option(
    "--data-dir", help="It has none: every server of a benchmark is told one."
)
def main(echo_address: str, data_dir: str) -> None:
    """Answer each call with the bytes that came."""
    del data_dir
    with asyncio.Runner(loop_factory=event_loops()) as runner:
        runner.run(serve(echo_address))


if __name__ == "__main__":
    main()
