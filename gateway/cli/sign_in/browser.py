"""Signing in with a browser: one that we open, or one anywhere, whose last address is pasted here."""

import asyncio
import contextlib
import threading
import webbrowser
from collections.abc import Callable

from gateway.cli.sign_in.answer import fault
from gateway.cli.sign_in.flow import Way
from gateway.cli.sign_in.listener import Place, listening, place
from gateway.cli.sign_in.paste import lines, unseen
from gateway.cli.terminal import countdown, say
from gateway.errors import SettingsError, SignInNeeded
from gateway.oauth import Client, SignIn, begin, redeem
from gateway.ports import Tokens


def sign_in(client: Client, way: Way) -> Tokens:
    """Raises SettingsError, SignInNeeded, ProviderError, CannotListen."""
    if not way.redirect_uri and not client.provider.loopback:
        raise SettingsError(
            f"{client.provider.title} sends nobody to a browser's own machine: say with --redirect-uri what the "
            "application is registered with"
        )
    with place(way.redirect_uri, client.provider.loopback) as here:
        begun = begin(client, here.redirect_uri, way.user)
        _explain(client, way, here, begun)
        if way.opens_browser:
            # Some browsers are waited for until they are closed.
            threading.Thread(target=webbrowser.open, args=(begun.url,), daemon=True).start()
        with unseen():
            answer = asyncio.run(_answer(here, begun, way))
    return redeem(client, begun, answer)


def _explain(client: Client, way: Way, here: Place, begun: SignIn) -> None:
    opening = "Your browser is asked to open" if way.opens_browser else "Open in a browser, on any machine,"
    say(f"{opening} this page of {client.provider.title}; sign in as {way.user} there:\n\n{begun.url}\n")
    if here.sockets:
        say(f"A browser on another machine ends at a page that it cannot open, {here.redirect_uri}…")
        say("Copy the whole address of that page then, and paste it here. What you paste is not shown.")
    else:
        say(f"It ends at {here.redirect_uri}…")
        say("Copy the whole address of that page, or the code that it shows, and paste it here. It is not shown.")


async def _answer(here: Place, begun: SignIn, way: Way) -> str:
    """The address that the browser was sent to, whichever way it comes. Raises SignInNeeded."""

    def fault_of(address: str) -> str:
        return fault(address, begun, takes_code=not here.sockets)

    async with listening(here, fault_of) as answer, contextlib.AsyncExitStack() as stack:
        pasting = asyncio.create_task(_pasted(fault_of, answer))
        stack.push_async_callback(_cancelled, pasting)
        try:
            with countdown("waiting for the sign-in", way.patience):
                return await asyncio.wait_for(answer, way.patience)
        except TimeoutError:
            raise SignInNeeded(way.over) from None


async def _pasted(fault_of: Callable[[str], str], answer: "asyncio.Future[str]") -> None:
    async for line in lines():
        if why := fault_of(line):
            if line:
                say(why)
        elif not answer.done():
            answer.set_result(line)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
