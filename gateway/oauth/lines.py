"""How many threads of this process a provider may hold up: some while it answers, one while it does not.

Whoever waits for a provider that hangs holds a thread that others' logins need, and there are many accounts.
"""

import contextlib
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.errors import ProviderError, RegistrationRefused, SignInNeeded

# At once. It answers in some tenths of a second: that makes a hundred tokens a second, each good for an hour.
MOST = 32


@dataclass(slots=True)
class _Line:
    asking: int = 0
    fault: str = ""  # of the last one who asked


class Lines:
    """By the provider's name. Nobody waits here."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._lines: defaultdict[str, _Line] = defaultdict(_Line)

    @contextlib.contextmanager
    def to(self, provider: str) -> Iterator[None]:
        """Within, it is asked. Raises ProviderError where another tries whether it is back, or too many ask."""
        line = self._enter(provider)
        try:
            yield
        except (SignInNeeded, RegistrationRefused):
            line.fault = ""  # that is an answer
            raise
        except ProviderError as error:
            line.fault = str(error)
            raise
        else:
            line.fault = ""
        finally:
            with self._guard:
                line.asking -= 1

    def _enter(self, provider: str) -> _Line:
        with self._guard:
            line = self._lines[provider]
            if line.fault and line.asking:
                raise ProviderError(f"{provider} has not answered another, who asks it again now: {line.fault}")
            if line.asking >= MOST:
                raise ProviderError(f"{MOST} others wait for {provider}")
            line.asking += 1
            return line
