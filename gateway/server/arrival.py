"""A proxy's connection, before anybody knows whose it is."""

import asyncio
import socket

from gateway.ports import Peer
from gateway.server.peers import Proxies
from gateway.server.proxy import MOST_OCTETS, BadHeader, Header, HeaderReader
from gateway.server.wire import ConnectionOver

# A proxy sends the header at once. proxy-protocol.txt section 2: at least 3 s, for TCP to send it again.
HEADER_SECONDS = 5.0


class Arrival:
    """Implements limits.Guest. Reads the header and not one octet more."""

    is_stranger = True
    is_wanted_elsewhere = False

    def __init__(self, sock: socket.socket, address: str, proxies: Proxies) -> None:
        self.socket = sock
        self.address = address  # the proxy's
        self._proxies = proxies
        self._reader = HeaderReader()
        self._came: asyncio.Future[Header] = asyncio.get_running_loop().create_future()

    async def peer(self) -> Peer:
        """The client. Raises BadHeader, and ConnectionOver when the proxy is gone; the socket is closed then."""
        try:
            return self._proxies.client(await self._header(), self.address)
        except BaseException:
            self.socket.close()
            raise

    async def _header(self) -> Header:
        loop = asyncio.get_running_loop()
        loop.add_reader(self.socket, self._look)
        try:
            await asyncio.wait([self._came], timeout=HEADER_SECONDS)
        finally:
            loop.remove_reader(self.socket)
        self._look()  # uvloop tells nothing of a connection that was reset
        if not self._came.done():
            raise BadHeader(f"no whole PROXY header in {HEADER_SECONDS:g} seconds")
        return self._came.result()

    def stop(self, why: str) -> None:
        """End it now, from outside."""
        self._fail(ConnectionOver(why))

    def see_off(self, why: str) -> None:
        """It was sent nothing."""
        self.stop(why)

    def is_quiet(self, seconds: float) -> bool:  # noqa: ARG002 - nothing is under way
        return True

    def _look(self) -> None:
        """What came stays where it is until it is known to be the header's."""
        if self._came.done():
            return
        try:
            octets = self.socket.recv(MOST_OCTETS, socket.MSG_PEEK)
            if not octets:
                raise ConnectionOver("the proxy closed the connection before its header was whole")
            self.socket.recv(self._reader.receive(octets))
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(ConnectionOver(f"the proxy closed the connection: {error.strerror}"))
        except (BadHeader, ConnectionOver) as error:
            self._fail(error)
        else:
            if self._reader.header is not None:
                self._came.set_result(self._reader.header)

    def _fail(self, error: Exception) -> None:
        if not self._came.done():
            self._came.set_exception(error)
            self._came.exception()  # it was seen, even if nobody waits for it any more
