"""The last step of every way in that is not S3's own: a file on our disk becomes an object in the incoming bucket.

An object there that nobody has taken in yet is never overwritten: S3 keeps one object a key, and what was overwritten
would be lost before it was seen. Once it is taken in, another at the same key is another take.
"""

from collections.abc import Mapping
from pathlib import Path

from archive.catalog import Catalog
from archive.store import ObjectStore, StoredObject


def is_free(store: ObjectStore, catalog: Catalog, bucket: str, key: str) -> bool:
    """Whether `key` may be written: nothing lies there, or what does has been taken in or refused."""
    there = store.stat(bucket, key)
    if there is None:
        return True
    known = catalog.arrivals.find(key, there.etag)
    return known is not None and known.is_settled


def deliver(store: ObjectStore, bucket: str, key: str, path: Path, metadata: Mapping[str, str]) -> StoredObject:
    """Puts the file; whoever sees the object sees all of it. Idempotent: the same bytes are the same object."""
    return store.put_file(bucket, key, path, metadata=metadata)
