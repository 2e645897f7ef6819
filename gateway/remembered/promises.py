"""What earlier sessions promised and the upstream could not do then."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence

from gateway.errors import GatewayError, UpstreamDeclined, UpstreamUnusable
from gateway.maildrop import CommitPlan
from gateway.ports import Mailbox
from gateway.remembered.page import Page

# Commits of a session that keep promises: enough to single one message out of a thousand that is always refused,
# and to keep the others.
TRIES = 24

HURRIED = "another session, or the end of the gateway, was waiting"


class Promises:
    """False once they were tried."""

    def __init__(self, page: Page, mailbox: Mailbox, uids: tuple[int, ...], copied: Iterable[int]) -> None:
        """`uids` ascend; of those `copied`, there is a copy already where they go."""
        self._page = page
        self._mailbox = mailbox
        self._uids = uids
        self._copied = set(copied)

    def __bool__(self) -> bool:
        return bool(self._uids)

    async def keep(self) -> None:
        """Try once, in this session. The failure is nobody's. Two sessions at once might make two copies."""
        uids, self._uids = self._uids, ()
        if not uids:
            return
        async with self._page.alone() as alone:
            if alone:
                await self._keep_parts(uids)

    async def _keep_parts(self, uids: tuple[int, ...]) -> None:
        """In one, if the upstream lets us.

        What the upstream declines is tried again in halves, the larger parts first: one message that it will never
        remove does not hold up all the others.
        """
        waiting, left, kept = deque([uids]), len(uids), 0
        why = "too many of them are refused to try each alone"
        try:
            for _ in range(TRIES):
                if not waiting:
                    break
                part = waiting.popleft()
                try:
                    done = await self._keep(part)
                except (UpstreamDeclined, UpstreamUnusable) as error:
                    why = str(error)
                    middle = len(part) // 2
                    waiting.extend(half for half in (part[:middle], part[middle:]) if middle)
                else:
                    left -= len(part)
                    kept += len(part) if done else 0
        except GatewayError as error:
            why = str(error)
        except asyncio.CancelledError:
            why = HURRIED
            raise
        finally:
            self._page.kept(kept)
            self._page.deferred(left, why)

    async def _keep(self, uids: tuple[int, ...]) -> bool:
        """Whether it can be seen to be done."""
        plan = CommitPlan(self._page.uidvalidity, delete=uids, copied=frozenset(self._copied.intersection(uids)))
        done = await self._mailbox.commit(plan, self._note_copied)
        if done:
            await self._page.fulfil(uids)
        return done

    def _note_copied(self, uids: Sequence[int]) -> None:
        self._copied.update(uids)
        self._page.note_copied(uids)
