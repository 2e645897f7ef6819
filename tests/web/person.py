"""A person before the page, over plain HTTP: cookies are kept, forms are filled in and sent, nothing else."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Self
from urllib.parse import urljoin

import httpx

from tests import leaks
from tests.servers.browser import http_client


@dataclass
class Form:
    action: str
    fields: dict[str, str] = field(default_factory=dict)


@dataclass
class Page:
    """What a person sees, and can do."""

    url: str
    status: int
    headers: httpx.Headers
    text: str  # its HTML
    heading: str = ""
    forms: list[Form] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)  # the first word that is said of each

    @classmethod
    def read(cls, response: httpx.Response) -> Self:
        page = cls(str(response.url), response.status_code, response.headers, response.text)
        _Reader(page).feed(response.text)
        leaks.note(page.settings.get("Password", "") if "-" in page.settings.get("Password", "") else "")
        return page

    @property
    def password(self) -> str:
        """The app password that it shows."""
        return self.settings["Password"]


class _Reader(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page
        self._within = ""
        self._name = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        page = self._page
        if tag in ("h1", "dt", "dd"):
            self._within = tag
        elif tag == "form":
            page.forms.append(Form(urljoin(page.url, said.get("action", page.url))))
        elif tag == "input" and said.get("name") and page.forms:
            if said.get("type") not in ("radio", "checkbox") or "checked" in said:
                page.forms[-1].fields[said["name"]] = said.get("value", "")
        elif tag == "a":
            page.links.append(urljoin(page.url, said["href"]))

    def handle_endtag(self, tag: str) -> None:
        if tag == self._within:
            self._within = ""

    def handle_data(self, data: str) -> None:
        text = data.strip()
        match self._within:
            case "h1":
                self._page.heading += text
            case "dt":
                self._name = text
            case "dd" if text:
                self._page.settings.setdefault(self._name, text)


class Person:
    """`url` is where the page is; `ca_file` vouches for it, where it begins with https."""

    def __init__(self, url: str, ca_file: Path | None = None) -> None:
        self.url = url
        self.http = http_client(ca_file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def get(self, place: str, **headers: str) -> Page:
        """Redirects within the page are followed."""
        return self._see(self.http.get(urljoin(f"{self.url}/", place), headers=headers))

    def send(self, form: Form, /, **filled: str) -> Page:
        return self._see(self.http.post(form.action, data=form.fields | filled))

    def begin(self, link: str, **filled: str) -> str:
        """Open the invitation, go on to the provider: where that is."""
        [form] = self.get(link).forms
        page = self.send(form, **filled)
        assert page.status == 200, page.text
        return next(place for place in page.links if not place.startswith(self.url))

    def log_in(self, password: str) -> Page:
        [form] = self.get("").forms
        return self.send(form, password=password)

    def _see(self, response: httpx.Response) -> Page:
        while response.status_code == 303:
            response = self.http.get(urljoin(str(response.url), response.headers["location"]))
        return Page.read(response)
