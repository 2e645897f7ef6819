"""A real IMAP server with a sample mailbox, for ``pop3-gateway demo``: pymap, in memory, in this process."""

import asyncio
import logging
import ssl
from argparse import Namespace
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from gateway.cli.sample_mail import sample_mail

HOST = "127.0.0.1"

_FAREWELL = 1.0  # seconds that an open connection has to end by itself when the server stops

_Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_log = logging.getLogger(__name__)


@asynccontextmanager
async def sample_server(user: str, password: str) -> AsyncIterator[int]:
    """Serve the sample mailbox as the INBOX of ``user``, and yield the port on 127.0.0.1.

    The server speaks IMAP without TLS and keeps all in memory. It runs on the caller's event loop,
    so that nothing of it can outlive the process; a caller that blocks the loop waits for itself.
    Raises ``ImportError`` where pymap is missing.
    """
    serve = await _pymap(user, password)
    connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_connection(serve, reader, writer))
        connections[task] = writer
        task.add_done_callback(connections.pop)

    server = await asyncio.start_server(accept, HOST, 0)
    port: int = server.sockets[0].getsockname()[1]
    try:
        yield port
    finally:
        server.close()
        remaining = dict(connections)
        for task in remaining:
            task.cancel()  # pymap says BYE
        if remaining:
            await asyncio.wait(remaining, timeout=_FAREWELL)
        for writer in remaining.values():
            writer.transport.abort()  # whatever the client has not read by now
        await asyncio.gather(*remaining, return_exceptions=True)
        await server.wait_closed()


async def _connection(serve: _Serve, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await serve(reader, writer)
        await writer.wait_closed()
    except ConnectionError:
        pass  # the client went away
    except Exception:
        _log.exception("the sample IMAP server dropped a connection")


async def _pymap(user: str, password: str) -> _Serve:
    """What serves one connection to a pymap that has the sample mailbox in memory."""
    try:
        from proxyprotocol.sock import SocketInfoLocal  # noqa: PLC0415 - the extra "demo" may be absent
        from pymap.backend.dict import Config, Login  # noqa: PLC0415
        from pymap.concurrent import Subsystem  # noqa: PLC0415
        from pymap.imap import IMAPServer  # noqa: PLC0415
        from pymap.parsing.message import AppendMessage  # noqa: PLC0415
        from pymap.user import UserMetadata  # noqa: PLC0415
        from pysasl.hashing import BuiltinHash  # noqa: PLC0415
    except ImportError as error:
        raise ImportError(
            "the demo needs the package pymap: type pip install '.[demo]' in the source folder"
        ) from error

    # pymap's own greeting asks DNS for the name of this host, on the event loop, at each connection.
    config_type = type("SampleConfig", (Config,), {"greeting": b"The sample mailbox of pop3-gateway"})
    config: Config = config_type(
        Namespace(proxy_protocol=None),
        host=HOST,
        port=0,
        demo_data=False,
        demo_user=user,
        demo_password=password,
        tls_enabled=False,
        ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),  # or it would look for CERT_FILE and KEY_FILE
        hash_context=BuiltinHash(rounds=1),  # the password is in memory as it is
        cpu_subsystem=Subsystem.for_asyncio(),  # no thread pool
    )
    login = Login(config)
    identity = login.demo_user_identity
    await identity.set(UserMetadata(config, user, password=config.hash_context.hash(password)))
    async with identity.new_session() as session:
        mail = [AppendMessage(m.octets, m.received, frozenset()) for m in sample_mail(datetime.now(UTC))]
        await session.append_messages("INBOX", mail)

    imap = IMAPServer(login, config)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await imap(reader, writer, SocketInfoLocal(writer))

    return serve
