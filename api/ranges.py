"""Byte ranges and entity tags as RFC 9110 has them. Pure: headers go in, a decision comes out; no header is an error."""

import re
from dataclasses import dataclass

_ONE_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,15})-([0-9]{0,15})[ \t]*", re.IGNORECASE)
_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


@dataclass(frozen=True, slots=True)
class ByteRange:
    """`length` bytes from `start` on, all of them inside the representation."""

    start: int
    length: int

    def content_range(self, size_bytes: int) -> str:
        return f"bytes {self.start}-{self.start + self.length - 1}/{size_bytes}"


class Unsatisfiable(Exception):
    """A well-formed range of which not one byte exists: 416."""


def range_of(header: str, size_bytes: int) -> ByteRange | None:
    """The one range asked for, or None for the whole: no header, not a byte range, or several (a server may ignore those,
    and answering many small ones is how servers were worn down)."""
    found = _ONE_RANGE.fullmatch(header)
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        length = min(int(last), size_bytes)
        if length == 0:
            raise Unsatisfiable
        return ByteRange(size_bytes - length, length)
    start = int(first)
    end = min(int(last), size_bytes - 1) if last else size_bytes - 1
    if last and int(last) < start:
        return None
    if start >= size_bytes:
        raise Unsatisfiable
    return ByteRange(start, end - start + 1)


def matches_any(if_none_match: str, etag: str) -> bool:
    """Weak comparison, for If-None-Match: the client has this, or something as good."""
    if if_none_match.strip() == "*":
        return True
    return any(_bare(tag) == _bare(etag) for tag in _TAG.findall(if_none_match))


def still_the_same(if_range: str, etag: str) -> bool:
    """Strong comparison, for If-Range: the parts may be put together. A date never is strong enough for us."""
    return not if_range or (if_range == etag and not etag.startswith("W/"))


def _bare(tag: str) -> str:
    return tag.removeprefix("W/")
