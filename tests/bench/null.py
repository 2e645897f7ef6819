"""`python -m tests.bench.null PORT MESSAGES OCTETS`: a POP3 server without work: what is left is the client."""

import socket
import sys
import threading

from tests.bench.client import HOST

REPLIES = {b"USER": b"+OK\r\n", b"PASS": b"+OK\r\n", b"QUIT": b"+OK\r\n"}


def serve(connection: socket.socket, replies: dict[bytes, bytes]) -> None:
    """The client says one command at a time."""
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(b"+OK\r\n")
        while command := connection.recv(4096):
            connection.sendall(replies[command[:4]])
            if command.startswith(b"QUIT"):
                return


def main(port: int, messages: int, octets: int) -> None:
    line = b"x" * 70 + b"\r\n"
    replies = REPLIES | {
        b"STAT": b"+OK %d %d\r\n" % (messages, messages * octets),
        b"RETR": b"+OK\r\n" + line * (octets // len(line)) + b".\r\n",
    }
    with socket.create_server((HOST, port), backlog=1000) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection, replies), daemon=True).start()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
