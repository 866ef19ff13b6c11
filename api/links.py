"""Signed paths: `/v/<token>/<lesson>/<file>`. One token opens all files of one lesson, for one role, for two hours at most.

The token stands in the path, so that the relative addresses in a playlist inherit it: native players need neither a
cookie nor a script. It is checked against the lesson it was made for, and the lesson's consent is looked at again.
"""

import hmac
from dataclasses import dataclass

from api.access import Clock, Role, Viewer, decoded, derived_key, encoded
from archive.settings import Settings

LONGEST_S = 2 * 3600
# Tokens made within the same hour are equal: a page opened again, and a class that opens it together, find what they
# have already loaded in the cache. So a token lives one to two hours.
_STEP_S = 3600
_LETTERS = {Role.STUDENT: b"s", Role.STAFF: b"t"}
_ROLES = {letter: role for role, letter in _LETTERS.items()}
_EXPIRY_BYTES = 5
_LENGTH = 1 + _EXPIRY_BYTES + 32


class Forged(Exception):
    """Not our token, or not for this lesson."""


class Expired(Exception):
    """Ours, and too old."""


@dataclass(frozen=True, slots=True)
class Link:
    """A base that file names are appended to; it ends with a slash."""

    base: str
    expires_at: int


class Links:
    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._key = derived_key(settings, "media")
        self._clock = clock

    def to(self, lesson_id: str, viewer: Viewer) -> Link:
        """The caller has made sure that the viewer may watch the lesson."""
        expires_at = (int(self._clock()) // _STEP_S) * _STEP_S + LONGEST_S
        head = _LETTERS[viewer.role] + expires_at.to_bytes(_EXPIRY_BYTES, "big")
        return Link(f"/v/{encoded(head + self._tag(lesson_id, head))}/{lesson_id}/", expires_at)

    def viewer_of(self, token: str, lesson_id: str) -> Viewer:
        """Whom the token was given to. Raises Forged or Expired."""
        data = decoded(token)
        head, tag = data[: 1 + _EXPIRY_BYTES], data[1 + _EXPIRY_BYTES :]
        role = _ROLES.get(head[:1])
        if len(data) != _LENGTH or role is None or not hmac.compare_digest(tag, self._tag(lesson_id, head)):
            raise Forged
        if int.from_bytes(head[1:], "big") <= self._clock():
            raise Expired
        return Viewer(role)

    def _tag(self, lesson_id: str, head: bytes) -> bytes:
        return hmac.digest(self._key, head + lesson_id.encode(errors="surrogatepass"), "sha256")
