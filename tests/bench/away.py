"""`python -m tests.bench.away PORT SECONDS`: the upstream, so far away each way, at the port that it prints."""

import asyncio
import contextlib
import sys
import threading

import click

from tests.faults.relay import Relay


class Distance(Relay):
    """Delays the handshake too, which the operating system would answer at once: SYN, SYN and ACK, ACK."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3 * self.latency)
        await super()._serve(reader, writer)


def main(port: int, seconds: float) -> None:
    with Distance(port) as relay, contextlib.suppress(KeyboardInterrupt):
        relay.latency = seconds
        click.echo(relay.port)
        threading.Event().wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
