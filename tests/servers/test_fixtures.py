"""The gallery of messages and the fixtures themselves."""

import pytest

from tests.servers import messages
from tests.servers.fixtures import requires
from tests.servers.messages import BOUNDARIES, MARK


@pytest.mark.parametrize("before", range(len(MARK) + 1))
def test_dot_line_straddles_each_boundary(before: int) -> None:
    message = messages.straddling(before)
    for boundary in BOUNDARIES:
        assert message[boundary - before :].startswith(MARK)


@pytest.mark.parametrize("octets", [68, 69, 100, 145, 146, 147, 1000, 100_000])
def test_large_message_has_its_size(octets: int) -> None:
    message = messages.large(octets)
    assert len(message) == octets
    assert message == messages.large(octets)
    assert message.endswith(MARK)
    assert message.count(b"\r\n") == message.count(b"\r") == message.count(b"\n")


def test_large_message_is_full_of_dot_lines() -> None:
    message = messages.large(100_000)
    assert message.count(b"\r\n.\r\n") > 10
    assert message.count(b"\r\n..") > 10


def test_missing_program_skips_here_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install some-package"):
        requires("no-such-program", "some-package")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install some-package"):
        requires("no-such-program", "some-package")
