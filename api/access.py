"""Who may do what: one function decides, and what it does not know it denies.

There are no accounts yet. Two codes open two doors, one for students and one for staff; a browser then carries a signed
cookie, a program sends its code as a bearer token. Accounts will replace `Codes` and `Sessions` and add fields to `Viewer`;
`can` and `scope_of` stay the only places that decide.
"""

import hashlib
import hmac
import ipaddress
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from archive.model import Lesson, Scope
from archive.settings import Settings, secret

Clock = Callable[[], float]  # seconds since 1970

SESSION_S = 12 * 3600  # a school day on a shared machine
REMEMBERED_S = 30 * 24 * 3600  # the viewer's own phone, on their word
ATTEMPTS = 20  # wrong codes that one address may send within the window: a class behind one address makes typing errors
ATTEMPTS_WINDOW_S = 300
_ADDRESSES_KEPT = 10_000  # bounds memory under a flood; the oldest are forgotten first


class Role(StrEnum):
    NOBODY = "nobody"
    STUDENT = "student"
    STAFF = "staff"

    @property
    def zh(self) -> str:
        return {Role.NOBODY: "访客", Role.STUDENT: "学生", Role.STAFF: "老师"}[self]


class Action(StrEnum):
    BROWSE = "browse"  # the library and the search, within the scope
    WATCH = "watch"  # one lesson: its page, playlists, captions, transcript, pictures
    FOLLOW = "follow"  # how far one lesson is
    REVISE = "revise"  # the editions of a lesson's transcript, and what is corrected in them
    CONSENT = "consent"  # write down the guardians' word on one lesson
    OPERATE = "operate"  # what recorders sent, refusals, metrics


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who is asking. The default may do nothing."""

    role: Role = Role.NOBODY

    @property
    def is_staff(self) -> bool:
        return self.role is Role.STAFF


NOBODY = Viewer()


def can(viewer: Viewer, action: Action, lesson: Lesson | None = None) -> bool:
    """Whether this viewer may do this, to this lesson where the action has one. Everything not said here is denied."""
    if viewer.role is Role.STAFF:
        if action in (Action.WATCH, Action.FOLLOW, Action.REVISE, Action.CONSENT):
            return lesson is not None
        return action in (Action.BROWSE, Action.OPERATE)
    if viewer.role is Role.STUDENT:
        if action is Action.BROWSE:
            return True
        if action is Action.WATCH and lesson is not None:
            return lesson.published_at is not None and lesson.consent is True
    return False


def scope_of(viewer: Viewer) -> Scope:
    """What listings and searches may show. Whoever is neither student nor staff gets a scope without any school."""
    if viewer.role is Role.STAFF:
        return Scope(consented_only=False)
    if viewer.role is Role.STUDENT:
        return Scope(consented_only=True)
    return Scope(consented_only=True, schools=frozenset())


class Codes:
    """The two codes. Compared in constant time, both each time: how long it takes tells nothing."""

    def __init__(self, settings: Settings) -> None:
        self._digests = {
            Role.STAFF: _digest(secret(settings.staff_code)),
            Role.STUDENT: _digest(secret(settings.student_code)),
        }

    def viewer_of(self, code: str) -> Viewer:
        given = _digest(code.strip())
        matching = [role for role, known in self._digests.items() if hmac.compare_digest(given, known)]
        return Viewer(matching[0]) if matching else NOBODY

    def fingerprint(self, role: Role) -> bytes:
        """Changes with the code: sessions are bound to it, so that a new code throws out everybody who used the old."""
        return self._digests[role]


class Sessions:
    """What a browser carries: role and expiry, signed. Opaque to everybody else."""

    def __init__(self, settings: Settings, codes: Codes, clock: Clock) -> None:
        self._key = derived_key(settings, "session")
        self._codes, self._clock = codes, clock
        # __Host- pins the cookie to this host over HTTPS; on a plain-HTTP school network browsers would drop it.
        self.secure = settings.public_url.startswith("https://")
        self.cookie = "__Host-huikan" if self.secure else "huikan"

    def issue(self, viewer: Viewer, lifetime_s: int) -> str:
        head = f"{viewer.role}.{int(self._clock()) + lifetime_s}"
        return f"{head}.{encoded(self._tag(viewer.role, head))}"

    def viewer_of(self, value: str) -> Viewer:
        role, _, rest = value.partition(".")
        expires, _, tag = rest.partition(".")
        if role not in (Role.STUDENT, Role.STAFF) or not (expires.isascii() and expires.isdigit()):
            return NOBODY
        viewer = Viewer(Role(role))
        genuine = hmac.compare_digest(decoded(tag), self._tag(viewer.role, f"{role}.{expires}"))
        return viewer if genuine and int(expires[:15]) > self._clock() else NOBODY

    def _tag(self, role: Role, head: str) -> bytes:
        return hmac.digest(self._key, self._codes.fingerprint(role) + head.encode(), "sha256")


class Attempts:
    """Counts wrong codes by client address in a sliding window. Right codes are not counted, sessions not looked at."""

    def __init__(self, clock: Clock, *, allowed: int = ATTEMPTS, window_s: float = ATTEMPTS_WINDOW_S) -> None:
        self._clock, self._allowed, self._window_s = clock, allowed, window_s
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, address: str) -> int:
        """Seconds until this address may try again; 0 when it may now."""
        with self._lock:
            wrong = self._recent(network_of(address))
            if wrong is None or len(wrong) < self._allowed:
                return 0
            return max(1, int(wrong[0] + self._window_s - self._clock()) + 1)

    def note_wrong(self, address: str) -> None:
        network = network_of(address)
        with self._lock:
            wrong = self._recent(network) or deque[float](maxlen=self._allowed)
            wrong.append(self._clock())
            self._wrong[network] = wrong
            self._wrong.move_to_end(network)
            while len(self._wrong) > _ADDRESSES_KEPT:
                self._wrong.popitem(last=False)

    def _recent(self, network: str) -> deque[float] | None:
        wrong = self._wrong.get(network)
        while wrong and wrong[0] <= self._clock() - self._window_s:
            wrong.popleft()
        return wrong


def network_of(address: str) -> str:
    """The address, or for IPv6 its /64: one subscriber owns all of that."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def derived_key(settings: Settings, purpose: str) -> bytes:
    """One key for each purpose: what is signed for one can never pass for the other."""
    return hmac.digest(secret(settings.signing_key).encode(), f"huikan {purpose} v1".encode(), "sha256")


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def decoded(text: str) -> bytes:
    """The bytes of URL-safe base64, in its one canonical spelling; for anything else no bytes at all."""
    try:
        data = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except ValueError:
        return b""
    return data if encoded(data) == text else b""


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
