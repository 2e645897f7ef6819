"""The mail of the bench: always the same octets, made from a seed, like what lies in mailboxes."""

import base64
import random
from collections.abc import Iterator
from dataclasses import dataclass

CRLF = "\r\n"
# The domain of a user names the mailbox that it reads: any number of users, each mailbox stored once.
DOMAIN_OF_MAILBOX = "{name}.test"

SMALL_LEAST, SMALL_MOST = 2_000, 10_000
LARGE_OCTETS = 25_000_000
NOTE_OCTETS = 400  # enough for mailboxes that are only listed

_TEXT = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or had an they "
    "which one you were all her she there would their we him been has when who will no more if out so up said"
)
_WORDS = _TEXT.split()


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What a mailbox of the upstream holds: `count` messages of about so many octets."""

    name: str
    count: int
    octets: tuple[int, int] = (SMALL_LEAST, SMALL_MOST)

    def user(self, number: int = 0) -> str:
        """One of the users whose INBOX this is."""
        return f"user{number:05d}@{DOMAIN_OF_MAILBOX.format(name=self.name)}"

    def messages(self) -> Iterator[bytes]:
        chance = random.Random(f"{self.name} {self.octets}")
        for number in range(1, self.count + 1):
            yield message(chance, number, chance.randint(*self.octets))


def message(chance: random.Random, number: int, octets: int) -> bytes:
    """Of `octets` octets or a line more: a note, plain text with its alternative, or text and an attachment."""
    head = _head(chance, number)
    if octets <= NOTE_OCTETS:
        return f"{head}{CRLF}Noted.{CRLF}".encode()
    text = head + _trace(chance)
    shape = _attachment if octets > SMALL_MOST or number % 4 == 0 else _alternative if number % 2 else _plain
    return (text + shape(chance, max(octets - len(text), 200))).encode()


def _head(chance: random.Random, number: int) -> str:
    who = f"{chance.choice(_WORDS)}.{chance.choice(_WORDS)}"
    return (
        f"From: {who.title()} <{who}@example.org>{CRLF}To: <reader@example.com>{CRLF}"
        f"Subject: {_text(chance, 40).strip()}{CRLF}Date: Mon, 6 Jan 2025 10:{number % 60:02d}:00 +0000{CRLF}"
        f"Message-ID: <{number}.{chance.getrandbits(64):x}@example.org>{CRLF}"
    )


def _trace(chance: random.Random) -> str:
    """What the way leaves in a header: most of it, nowadays."""
    hops = [
        f"Received: from mx{hop}.example.org (mx{hop}.example.org [192.0.2.{hop}]){CRLF}"
        f"\tby mail.example.com with ESMTPS id {chance.getrandbits(48):012x}; Mon, 6 Jan 2025 10:00:0{hop} +0000"
        for hop in range(3)
    ]
    signature = base64.b64encode(chance.randbytes(256)).decode()
    lines = [signature[at : at + 70] for at in range(0, len(signature), 70)]
    seal = f"DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=s1;{CRLF}\tb=" + f"{CRLF}\t ".join(lines)
    return CRLF.join([*hops, seal, "MIME-Version: 1.0", ""])


def _plain(chance: random.Random, octets: int) -> str:
    return f"Content-Type: text/plain; charset=utf-8{CRLF}{CRLF}{_text(chance, octets)}"


def _alternative(chance: random.Random, octets: int) -> str:
    text = _text(chance, octets // 2)
    html = f"<html><body><p>{_text(chance, octets // 2)}</p></body></html>{CRLF}"
    return _multipart("alternative", [("text/plain", text), ("text/html", html)])


def _attachment(chance: random.Random, octets: int) -> str:
    """Half text up to 2 kB, the rest base64 in lines of 76."""
    text = _text(chance, min(octets // 2, 2_000))
    noise = base64.encodebytes(chance.randbytes((octets - len(text)) * 57 // 78)).replace(b"\n", b"\r\n")
    disposition = "application/octet-stream\r\nContent-Transfer-Encoding: base64"
    return _multipart("mixed", [("text/plain", text), (disposition, noise.decode())])


def _multipart(kind: str, parts: list[tuple[str, str]]) -> str:
    body = "".join(f"--=_part{CRLF}Content-Type: {of}{CRLF}{CRLF}{text}{CRLF}" for of, text in parts)
    return f'Content-Type: multipart/{kind}; boundary="=_part"{CRLF}{CRLF}{body}--=_part--{CRLF}'


def _text(chance: random.Random, octets: int) -> str:
    """Lines of about 70; some begin with a dot, as a few do in all mail."""
    lines: list[str] = []
    left = octets
    while left > 0:
        line = " ".join(chance.choices(_WORDS, k=14))[: min(left, 70)]
        lines.append("." + line if chance.random() < 0.01 else line)
        left -= len(lines[-1]) + 2
    return CRLF.join(lines) + CRLF
