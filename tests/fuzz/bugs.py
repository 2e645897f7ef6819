"""What a target raises, and nothing else: it has found a bug."""


class Bug(AssertionError):
    """`str()` says what must never be."""


def demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Bug(otherwise)
