"""A dozen messages for ``pop3-gateway demo``: each shows one thing that the gateway does."""

import struct
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from textwrap import dedent

_LONG_LINES = 2_800


@dataclass(frozen=True, slots=True)
class SampleMessage:
    """A message as the sample mailbox holds it."""

    received: datetime
    octets: bytes


def sample_mail(now: datetime) -> list[SampleMessage]:
    """The sample mailbox, oldest message first; ``now`` must be aware, and the result depends on it alone."""
    messages = [
        _welcome(),
        _numbers(),
        _unique_ids(),
        _peek(),
        _characters(),
        _html(),
        _picture(),
        _forwarded(),
        _dots(),
        _long(),
        _empty(),
        _delete(),
    ]
    newest = now.replace(microsecond=0) - timedelta(minutes=5)
    return [
        _finish(message, number, newest - (len(messages) - number) * timedelta(hours=7, minutes=13))
        for number, message in enumerate(messages, start=1)
    ]


def _finish(message: EmailMessage, number: int, received: datetime) -> SampleMessage:
    for depth, part in enumerate(message.walk()):
        if "From" in part:  # a message, not a part of one
            part["Date"] = received - timedelta(hours=depth)
            part["Message-ID"] = f"<{number}.{depth}@gateway.example>"
        if part.get_content_maintype() == "multipart":
            part.set_boundary(f"=_sample_{number}_{depth}")
    return SampleMessage(received, message.as_bytes())


def _message(subject: str, body: str, sender: str = "The Gateway <gateway@gateway.example>") -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = "Demo <demo@gateway.example>"
    message["Subject"] = subject
    text = dedent(body).lstrip("\n")
    message.set_content(text, cte="7bit" if text.isascii() else "8bit")
    return message


def _welcome() -> EmailMessage:
    return _message(
        "Welcome to pop3-gateway",
        """
        Hello!

        You read this over POP3, but it lies in a mailbox on an IMAP server.
        The gateway stands between the two: to your mail program it is a POP3
        server, and to the IMAP server it is one more mail program.

        This mailbox is a sample. A small IMAP server (pymap) holds it in
        memory, beside the gateway: do with it what you like. It is gone when
        you stop the demo, and as new when you start it again.

        The other messages here each show one thing. Have fun!
        """,
    )


def _numbers() -> EmailMessage:
    return _message(
        "LIST: numbers and sizes",
        """
        POP3 counts the messages 1, 2, 3 when a session begins, and a number
        means the same message until the session ends, whatever arrives or
        vanishes in the mailbox meanwhile.

            STAT      how many messages there are, and how large all are
            LIST      the number and size of each
            LIST 2    the same, for this message alone

        New mail shows up in your next session.
        """,
    )


def _unique_ids() -> EmailMessage:
    return _message(
        "UIDL: how your mail program knows what is new",
        """
        Numbers change from session to session. A unique id does not: it
        belongs to one message for good. A mail program that leaves mail on
        the server remembers the unique ids that it has fetched.

            UIDL      the unique id of each message
            UIDL 3    the unique id of this message

        Log in twice and compare: the answers are the same.
        """,
    )


def _peek() -> EmailMessage:
    return _message(
        "TOP: a look before you fetch",
        """
        TOP 4 3 gives the header of this message and three lines of its text:

            line one is the sentence above,
            line two is empty,
            line three is the one that says "line one".

        You should not see this line in the answer,
        nor this one.
        """,
    )


def _characters() -> EmailMessage:
    return _message(
        "Grüße, bonne journée, こんにちは 👋",
        """
        The subject above travels in ASCII, as RFC 2047 has it. The text
        below is plain UTF-8, eight bits to the octet:

            Falsches Üben von Xylophonmusik quält jeden größeren Zwerg.
            Voix ambiguë d'un cœur qui, au zéphyr, préfère les jattes de kiwis.
            いろはにほへと ちりぬるを

        The gateway hands on the octets as they are and translates nothing.
        """,
        sender="Zoë Müller <zoe@gateway.example>",
    )


def _html() -> EmailMessage:
    message = _message(
        "The same words twice",
        """
        This message has a plain text and an HTML form.
        Your mail program shows you the one that it likes better.
        """,
    )
    message.add_alternative(
        dedent("""\
        <!DOCTYPE html>
        <html>
          <body>
            <p>This message has a <b>plain text</b> and an <b>HTML</b> form.</p>
            <p>Your mail program shows you the one that <i>it</i> likes better.</p>
          </body>
        </html>
        """),
        subtype="html",
        cte="7bit",
    )
    return message


def _picture() -> EmailMessage:
    message = _message(
        "A picture for you",
        """
        The attachment is a sunset of 96 by 64 pixels.
        It arrives with the octets it left with, or it would not open.
        """,
        sender="Ada <ada@gateway.example>",
    )
    message.add_attachment(_sunset(96, 64), maintype="image", subtype="png", filename="sunset.png")
    return message


def _sunset(width: int, height: int) -> bytes:
    """A PNG picture, eight-bit RGB, whose rows run from dark blue to orange."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    rows = bytearray()
    for y in range(height):
        share = y / (height - 1)
        colour = bytes([round(30 + 225 * share), round(40 + 100 * share), round(110 - 80 * share)])
        rows += b"\0" + colour * width
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(rows))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _forwarded() -> EmailMessage:
    message = _message(
        "Fwd: A message inside a message",
        """
        The attachment is a whole message, with a header of its own.
        """,
        sender="Ada <ada@gateway.example>",
    )
    inner = _message(
        "A message inside a message",
        """
        To POP3 and to the gateway I am only some lines in the text of
        another message. LIST does not count me.
        """,
        sender="Grace <grace@gateway.example>",
    )
    message.add_attachment(inner)
    return message


def _dots() -> EmailMessage:
    return _message(
        "Lines that begin with dots",
        """
        In POP3 a line with nothing but a dot ends the message. So what of
        this one?
        .
        The server puts a dot before each line that begins with one, and your
        mail program takes it off again. The next three lines begin with one,
        two and three dots:
        .one
        ..two
        ...three
        If that is what you see, nobody lost a dot on the way.
        """,
    )


def _long() -> EmailMessage:
    lines = (
        f"{n:4} This is line {n:4} of {_LONG_LINES}. It is here to be long, not to be read.\n"
        for n in range(1, _LONG_LINES + 1)
    )
    return _message(f"A long message, {_LONG_LINES} lines of it", "".join(lines))


def _empty() -> EmailMessage:
    return _message("There is nothing in this message but the subject", "")


def _delete() -> EmailMessage:
    return _message(
        "DELE: not gone until you say QUIT",
        """
        DELE marks a message, and RSET takes all the marks away again. Only
        QUIT removes what is marked: the gateway then deletes it from the IMAP
        mailbox, and nothing else along with it.

        If the line drops before QUIT, every message is still there when you
        come back. Try it: mark this one, hang up, and log in again.
        """,
    )
