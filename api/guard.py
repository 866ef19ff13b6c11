"""What is refused before any route sees it: forged hosts, requests that another site makes, bodies that are too large.

Pure: headers and path go in, a Problem or nothing comes out.
"""

import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from api.problems import Problem, absent, too_large
from archive.settings import Settings

MAX_BODY_BYTES = 64 * 1024  # forms and the store's events are far smaller; recordings go to the store, never here

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# Reached by other machines under names of their own; none of them looks at the cookie.
_FOR_MACHINES = ("/health", "/hooks/", "/metrics", "/v/")

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
        "media-src 'self' blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
}
# Pages name where a form came from, to ourselves only: under no-referrer browsers send `Origin: null` with forms, and on
# plain HTTP that header is all there is against cross-site requests. Nothing but pages has any reason to name itself.
_REFERRER_OF_PAGES = "same-origin"
_REFERRER = "no-referrer"


@dataclass(frozen=True, slots=True)
class Guard:
    """`origin` is the public one, "" if none is set; `hosts` are the names we answer to, beside every IP address."""

    origin: str
    hosts: frozenset[str]

    @classmethod
    def of(cls, settings: Settings) -> "Guard":
        public = urlsplit(settings.public_url)
        names = {"localhost", public.hostname or "localhost", settings.host.lower(), socket.gethostname().lower()}
        origin = f"{public.scheme}://{public.netloc}".lower() if public.netloc else ""
        return cls(origin, frozenset(names))

    def refusal(self, method: str, path: str, headers: Mapping[str, str]) -> Problem | None:
        """Why this request goes no further; None lets it pass."""
        if not path.isprintable():  # no address of ours; and a router's `$` would overlook a line break at the end
            return absent()
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length[:12]) > MAX_BODY_BYTES:
            return too_large()
        # Neither can be made by a page of another site, for it knows no code: a browser adds none by itself.
        if path.startswith(_FOR_MACHINES) or headers.get("authorization", "").lower().startswith("bearer "):
            return None
        if not self.answers_to(headers.get("host", "")):
            return Problem(421, "host", "如果这是学校的正式网址，请管理员把它写进 HUIKAN_PUBLIC_URL。")
        if method not in _SAFE and not self.is_ours(headers):
            return Problem(403, "cross-site", "请从回看自己的页面操作。")
        return None

    def answers_to(self, host: str) -> bool:
        """Whether the Host header is ours. An IP address is: what a rebinding attack needs is a name."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        return name in self.hosts or _is_address(name)

    def is_ours(self, headers: Mapping[str, str]) -> bool:
        """Whether a page of ours made this request. Browsers say so in Sec-Fetch-Site, or at least in Origin; silence is no."""
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site in ("same-origin", "none")
        origin = headers.get("origin", "").lower()
        host = headers.get("host", "").lower()
        return bool(host) and origin in {f"http://{host}", f"https://{host}", self.origin or f"http://{host}"}

    def headers_for(self, content_type: str) -> dict[str, str]:
        """What every answer carries."""
        referrer = _REFERRER_OF_PAGES if content_type.startswith("text/html") else _REFERRER
        headers = {**HEADERS, "Referrer-Policy": referrer}
        if self.origin.startswith("https://"):
            headers["Strict-Transport-Security"] = "max-age=31536000"
        return headers


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
