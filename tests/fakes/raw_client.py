"""A client that knows next to nothing of IMAP, so that a test sees every octet."""

import socket


class Client:
    """A socket that shows every octet."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.file = self.sock.makefile("rb")

    def close(self) -> None:
        self.file.close()
        self.sock.close()

    def line(self) -> bytes:
        return self.file.readline()

    def send(self, text: str | bytes) -> None:
        self.sock.sendall(text.encode() if isinstance(text, str) else text)

    def until(self, tag: str) -> bytes:
        """All up to this tagged line, or to the end of the connection."""
        got = b""
        while line := self.line():
            got += line
            if line.startswith(tag.encode() + b" "):
                break
        return got

    def ask(self, command: str) -> bytes:
        self.send(f"t {command}\r\n")
        return self.until("t")

    def silent(self, seconds: float = 0.1) -> bool:
        self.sock.settimeout(seconds)
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        else:
            return False
        finally:
            self.sock.settimeout(5)
