"""How names and passwords are written before they are compared: in SCRAM the client has done it already."""

import stringprep
import unicodedata


def prepared(text: str) -> str:
    """As SASLprep has it (RFC 4013 section 2); what that prohibits nobody can type, and it is not looked for."""
    mapped = (" " if stringprep.in_table_c12(letter) else letter for letter in text)
    return unicodedata.normalize("NFKC", "".join(each for each in mapped if not stringprep.in_table_b1(each)))


def one_spelling(name: str) -> str:
    """The same for all spellings of a login name: small or capital, wide or narrow, accents of either kind."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFKC", prepared(name).casefold())
