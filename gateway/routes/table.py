"""A table in the settings."""

from gateway import naming
from gateway.naming import Values
from gateway.ports import Peer
from gateway.routes.answer import Answer
from gateway.sasl import Bearer, Credentials


class TableLookUp:
    """Implements LookUp. Keys are compared without regard to case."""

    def __init__(self, table: naming.Table) -> None:
        self._table = table

    async def ask(self, values: Values, claim: Credentials | Bearer, peer: Peer) -> Answer | None:  # noqa: ARG002
        url = self._table.upstreams.get(self._table.key.fill(values).casefold())
        return None if url is None else Answer({"upstream": url})

    def close(self) -> None:
        pass
