"""A fragmented MP4 as it comes out of a pipe, or lies on a disk that lost its power: whole boxes are told from torn ones.

Nothing is understood but box sizes and kinds, so that nothing here can go wrong with what a camera sends.
"""

from collections.abc import Iterator
from pathlib import Path

_HEAD = 8
_MOST_BOX_BYTES = 64 * 2**20  # half a second of anything is far less
_ENDS = (b"moov", b"mdat", b"mfra")


class NotFragments(ValueError):
    """These bytes are no fragmented MP4."""


class Cutter:
    """Takes bytes as they come; gives them back in whole units: the init (ftyp, moov), then fragments (moof, mdat)."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Each unit that is whole by now. Raises NotFragments."""
        self._waiting += data
        while (length := _unit(self._waiting)) is not None:
            unit = bytes(self._waiting[:length])
            del self._waiting[:length]
            yield unit


def whole_bytes(path: Path) -> int:
    """How many bytes of a file are whole units: what stands behind them was torn. 0 if not even the init is whole."""
    at = 0
    with path.open("rb") as file:
        size = path.stat().st_size
        last = at
        while at + _HEAD <= size:
            file.seek(at)
            head = file.read(16)
            length = int.from_bytes(head[:4])
            if length == 1 and len(head) == 16:
                length = int.from_bytes(head[8:16])
            if not _HEAD <= length <= _MOST_BOX_BYTES or at + length > size:
                break
            at += length
            if head[4:8] in _ENDS:
                last = at
    return last


def _unit(data: bytearray) -> int | None:
    """The length of the first unit, or None while it is not whole."""
    at = 0
    while at + _HEAD <= len(data):
        length, kind = int.from_bytes(data[at : at + 4]), bytes(data[at + 4 : at + 8])
        if not _HEAD <= length <= _MOST_BOX_BYTES or not kind.isalnum():
            raise NotFragments(f"box {kind!r} of {length} bytes")
        if at + length > len(data):
            return None
        at += length
        if kind in _ENDS:
            return at
    return None
