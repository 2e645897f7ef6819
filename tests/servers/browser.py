"""A person who signs in with a browser, over plain HTTP: forms are filled in and sent, redirects followed."""

import ssl
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Self
from urllib.parse import urljoin

import httpx

MOST_PAGES = 12


def http_client(ca_file: Path | None) -> httpx.Client:
    """Of a server's own authority; without one it is for http:// only."""
    return httpx.Client(verify=ssl.create_default_context(cafile=ca_file) if ca_file else False, trust_env=False)


@dataclass
class Page:
    """What can be done on it."""

    url: str
    action: str = ""  # of its form
    fields: dict[str, str] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    text: str = ""

    @classmethod
    def read(cls, response: httpx.Response) -> Self:
        page = cls(str(response.url), text=response.text)
        reader = _Reader(page)
        reader.feed(response.text)
        return page


class _Reader(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._page.action = urljoin(self._page.url, said["action"])
        elif tag == "input":
            self._page.fields[said["name"]] = said.get("value", "")
        elif tag == "a":
            self._page.links.append(urljoin(self._page.url, said["href"]))


class Browser:
    """One person's cookies."""

    def __init__(self, issuer: str, ca_file: Path | None = None) -> None:
        self._issuer = issuer
        self._http = http_client(ca_file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def sign_in(self, url: str, user: str, *, allow: bool = True) -> str:
        """From the application's URL on; the URL that the browser is sent back to at last."""
        left = self._walk(self._http.get(url), user, allow=allow)
        assert isinstance(left, str), left.text
        return left

    def enter_code(self, verification_uri: str, user_code: str, user: str, *, allow: bool = True) -> str:
        """Of a device (RFC 8628 section 3.3); what the last page says."""
        page = Page.read(self._http.get(verification_uri))
        page = Page.read(self._http.post(page.action, data=page.fields | {"user_code": user_code}))
        answer = page.fields | ({} if allow else {"abort": "yes"})
        last = self._walk(self._http.post(page.action, data=answer), user, allow=allow)
        assert isinstance(last, Page), last
        return last.text

    def _walk(self, response: httpx.Response, user: str, *, allow: bool) -> str | Page:
        for _ in range(MOST_PAGES):
            if response.is_redirect:
                target = urljoin(str(response.url), response.headers["location"])
                if not target.startswith(f"{self._issuer}/"):
                    return target
                response = self._http.get(target)
                continue
            page = Page.read(response)
            match page.fields.get("prompt"):
                case "login":
                    filled = page.fields | {"login": user, "password": "whatever"}
                    response = self._http.post(page.action, data=filled)
                case "consent" if allow:
                    response = self._http.post(page.action, data=page.fields)
                case "consent":
                    [cancel] = [link for link in page.links if link.endswith("/abort")]
                    response = self._http.get(cancel)
                case _:
                    return page
        raise AssertionError(f"more than {MOST_PAGES} pages, the last: {response.url}")
