"""The headers of every reply: nothing from elsewhere, nothing framed, nothing kept."""

from collections.abc import Iterator

from gateway.web.message import Cookie, Reply

# CSP 3. A form leads to ourselves only. The way to the provider is a page that moves on by itself: browsers hold
# redirects behind a form against form-action, and nobody knows over which hosts a provider redirects.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "img-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_ALWAYS = (
    ("content-security-policy", _POLICY),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("x-robots-tag", "noindex"),
)
KEPT = "max-age=3600"  # for what is the same for everybody
_NOT_KEPT = ("cache-control", "no-store")


def for_reply(reply: Reply, *, is_secure: bool) -> Iterator[tuple[str, str]]:
    yield from _ALWAYS
    if "cache-control" not in reply.headers:
        yield _NOT_KEPT
    yield ("content-type", reply.kind)
    yield from reply.headers.items()
    yield from (("set-cookie", _said(cookie, is_secure=is_secure)) for cookie in reply.cookies)


def cookie_name(name: str, *, is_secure: bool) -> str:
    """With __Host- no other host of the domain, and nothing in clear, can set it in our place."""
    return f"__Host-{name}" if is_secure else name


def _said(cookie: Cookie, *, is_secure: bool) -> str:
    parts = [f"{cookie_name(cookie.name, is_secure=is_secure)}={cookie.value}", "Path=/", "HttpOnly"]
    parts.append(f"SameSite={'Strict' if cookie.strict else 'Lax'}")
    if not cookie.value:
        parts.append("Max-Age=0")
    elif cookie.seconds is not None:
        parts.append(f"Max-Age={cookie.seconds}")
    return "; ".join([*parts, "Secure"] if is_secure else parts)
