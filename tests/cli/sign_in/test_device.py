"""`account add --flow device`: an address, a code, and a picture of both; a telephone does the rest."""

from tests.cli import qr_reader
from tests.cli.pseudo_terminal import SECONDS
from tests.cli.sign_in.conftest import Rig
from tests.cli.sign_in.flows import MESSAGE, fetched, shown_password
from tests.servers.machine import wait

CODE = r"The code to enter there: (\S+)"


def test_a_code_is_shown_as_text_and_picture_and_the_rest_happens_elsewhere(rig: Rig) -> None:
    with rig.add("--flow", "device") as terminal:
        address = terminal.wait_for(r"Open (\S+) on any device")[1]
        code = terminal.wait_for(CODE)[1]
        terminal.wait_for("Ctrl-C gives up")
        assert qr_reader.read(terminal.text) == [f"{address}?user_code={code}"]
        with rig.authorization.browser() as telephone:
            telephone.enter_code(address, code, rig.mailbox.user)
        assert fetched(rig, shown_password(terminal)) == MESSAGE


def test_a_no_on_the_telephone_makes_no_account(rig: Rig) -> None:
    with rig.add("--flow", "device") as terminal:
        address = terminal.wait_for(r"Open (\S+) on any device")[1]
        with rig.authorization.browser() as telephone:
            telephone.enter_code(address, terminal.wait_for(CODE)[1], rig.mailbox.user, allow=False)
        assert terminal.end() == 1
    assert "said no" in terminal.text
    assert not rig.left_behind


def test_a_code_that_nobody_enters_expires(rig: Rig) -> None:
    rig.authorization.behave(device_seconds=2)
    with rig.add("--flow", "device") as terminal:
        terminal.wait_for(r"waiting for the sign-in, 0:0\d left")
        assert terminal.end() == 1
    assert "before the code expired; call the command again for a new one" in terminal.text
    assert not rig.left_behind


def test_patience_that_ends_before_the_code_is_told_as_such(rig: Rig) -> None:
    with rig.add("--flow", "device", "--patience", "2") as terminal:
        assert terminal.end() == 1
    assert "nobody has signed in within 2 seconds; call the command again" in terminal.text
    assert "expired" not in terminal.text


def test_a_provider_that_is_away_for_a_moment_is_asked_again(rig: Rig) -> None:
    with rig.add("--flow", "device") as terminal:
        address = terminal.wait_for(r"Open (\S+) on any device")[1]
        code = terminal.wait_for(CODE)[1]
        rig.authorization.behave(status=503)
        assert wait(lambda: len(rig.authorization.asked) > 0, SECONDS)
        rig.authorization.behave()
        with rig.authorization.browser() as telephone:
            telephone.enter_code(address, code, rig.mailbox.user)
        shown_password(terminal)


def test_ctrl_c_leaves_nothing_behind(rig: Rig) -> None:
    with rig.add("--flow", "device") as terminal:
        terminal.wait_for("Ctrl-C gives up")
        terminal.interrupt()
        assert terminal.end() == 1
    assert "Aborted!" in terminal.text
    assert "Traceback" not in terminal.text
    assert not rig.left_behind


def test_where_nobody_sits_at_a_terminal_a_code_is_all_that_is_needed(rig: Rig) -> None:
    """As in a container: nothing is asked, and nothing is drawn."""
    with rig.script("account", "add", rig.mailbox.user, "--provider", "stand-in", "--json") as script:
        address = script.wait_for(r"Open (\S+) on any device")[1]
        code = script.wait_for(CODE)[1]
        with rig.authorization.browser() as telephone:
            telephone.enter_code(address, code, rig.mailbox.user)
        told = script.told()
        assert "█" not in script.errors
    assert (told["provider"], told["state"]) == ("stand-in", "ok")
    assert fetched(rig, told["password"]) == MESSAGE
