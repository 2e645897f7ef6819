"""Pages from templates: everything that comes from elsewhere is escaped."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gateway.web.headers import KEPT
from gateway.web.message import HTML, Cookie, Reply
from gateway.web.place import Place

_HERE = Path(__file__).parent
_FILES = {"style": ("style.css", "text/css; charset=utf-8"), "icon": ("icon.svg", "image/svg+xml")}


class Renderer:
    """`contact` is whom people can ask."""

    def __init__(self, place: Place, contact: str) -> None:
        self._files = {name: (_HERE.joinpath(file).read_bytes(), kind) for name, (file, kind) in _FILES.items()}
        environment = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.filters.update(day=day, date=date)
        version = hashlib.sha256(self._files["style"][0]).hexdigest()[:12]
        environment.globals.update(base=place.base, contact=contact, style=f"style.css?{version}")
        # Compiled now, when nobody waits: it takes a tenth of a second.
        self._templates = {name: environment.get_template(name) for name in environment.list_templates()}

    def page(self, template: str, status: int = 200, cookies: tuple[Cookie, ...] = (), **values: Any) -> Reply:
        return Reply(status, self._templates[f"{template}.html"].render(**values).encode(), HTML, cookies)

    def file(self, name: str) -> Reply:
        octets, kind = self._files[name]
        return Reply(200, octets, kind, headers={"cache-control": KEPT})


def day(when: float) -> str:
    """Like 28 November 2026; in UTC."""
    moment = datetime.fromtimestamp(when, UTC)
    return f"{moment.day} {moment:%B %Y}"


def date(when: float) -> str:
    """Like 2026-11-28; in UTC."""
    return f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d}"
