"""What operators do with recorders: issue, rotate and revoke keys, set quotas, and keep store and catalog in step.

The store is changed first and the catalog after it: a key that exists and is not written down is adopted at the next
start; one that is written down and does not exist would be a machine that cannot upload and nobody knows why.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from api.state import store_endpoint
from archive.catalog import Catalog
from archive.errors import Misconfigured, Unacceptable
from archive.keys import IncomingKey
from archive.recorders import NO_QUOTA, Quota, Recorder, token_of
from archive.settings import Settings, secret
from archive.store import ObjectStore
from ingest.keyring import keyring_of, makes_keys
from ingest.recorder import RecorderKey, RecorderKeys, issue, tokens_of


@dataclass(frozen=True, slots=True)
class Issued:
    """A recorder and its key, whose secret is shown once and not kept by us. `url` is where it uploads to."""

    recorder: Recorder
    key: RecorderKey
    url: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a recorder stands: slugs, and the names that people read ("" leaves what is known)."""

    school: str
    room: str
    school_name: str = ""
    room_name: str = ""


def store_url(settings: Settings) -> str:
    """Under which address recorders and browsers reach the store. Raises Unavailable while the embedded one is down."""
    if settings.store_public_url:
        return settings.store_public_url.rstrip("/")
    return f"http{'s' if settings.store_secure else ''}://{store_endpoint(settings)}"


def add(
    settings: Settings,
    catalog: Catalog,
    place: Place,
    *,
    label: str = "",
    quota: Quota = NO_QUOTA,
    brought: tuple[str, str] | None = None,
) -> Issued:
    """A new recorder with a key of its own. `brought` is the (access key, secret key) that an operator made by hand.

    Raises Unacceptable for a place that is no slug, Misconfigured where the store's keys are not ours to make and none
    was brought.
    """
    url = store_url(settings)  # first: it may raise, and a key whose secret nobody saw would be left
    key = _fresh_key(settings, place, brought)
    keyring_of(settings).add(key)
    recorder_id = f"r{secrets.token_hex(4)}"
    token = token_of(key.access_key, key.secret_key)
    catalog.recorders.name_place(place.school, place.room, place.school_name, place.room_name)
    made = catalog.recorders.enrol(
        recorder_id, place.school, place.room, key.access_key, token, label=label, quota=quota
    )
    if made.id != recorder_id:
        raise Unacceptable(key.access_key, "known already", f"这把密钥已经属于录播主机 {made.id}。")
    return Issued(made, key, url)


def rotate(settings: Settings, catalog: Catalog, name: str, brought: tuple[str, str] | None = None) -> Issued:
    """Another key for the same recorder; the old one is refused from now on. Also for one that was revoked."""
    adopt(settings, catalog)
    known = catalog.recorders.get(name)
    url, keyring = store_url(settings), keyring_of(settings)
    key = _fresh_key(settings, Place(known.school, known.room), brought)
    keyring.add(key)
    catalog.recorders.rekey(known.id, key.access_key, token_of(key.access_key, key.secret_key))
    if known.is_active:
        keyring.revoke(known.access_key)
    return Issued(catalog.recorders.get(known.id), key, url)


def revoke(settings: Settings, catalog: Catalog, name: str) -> Recorder:
    """Its key is refused from now on, by the store, the gateways and the API. Raises Absent. Again is no error."""
    adopt(settings, catalog)
    known = catalog.recorders.get(name)
    if known.is_active:
        try:
            keyring_of(settings).revoke(known.access_key)
        finally:  # the gateways and the API refuse it in any case
            catalog.recorders.revoke(known.id)
    return catalog.recorders.get(known.id)


def adopt(settings: Settings, catalog: Catalog) -> int:
    """Brings the catalog in step with the embedded store's keys: one that it does not know is written down, one that the
    store revoked is revoked. Returns how many changed."""
    if not settings.embedded_store:
        return 0
    home = settings.home / "store"
    known = {each.access_key: each for each in catalog.recorders.every()}
    tokens: dict[str, str] = {}
    changed = 0
    for record in RecorderKeys(home).list():
        machine = known.get(record.access_key)
        if record.revoked_at is not None:
            if machine is not None and machine.is_active:
                catalog.recorders.revoke(machine.id)
                changed += 1
            continue  # one that nobody wrote down was rotated away, or is of no more interest
        if machine is None:
            tokens = tokens or tokens_of(home)
            catalog.recorders.enrol(
                f"r{secrets.token_hex(4)}",
                record.school,
                record.room,
                record.access_key,
                tokens[record.access_key],
                issued_at=record.issued_at.replace(tzinfo=None),
            )
            changed += 1
    return changed


def gateway_password(catalog: Catalog, name: str) -> tuple[Recorder, str]:
    """A fresh password for the gateways, shown once; an older one stops working."""
    known = catalog.recorders.get(name)
    if not known.is_active:
        raise Unacceptable(known.id, "revoked", "这台录播主机的密钥已收回；请先用 huikan recorder rotate 换一把新的。")
    password = secrets.token_hex(10)
    catalog.recorders.set_gateway_password(known.id, password)
    return catalog.recorders.get(known.id), password


def presign(settings: Settings, catalog: Catalog, name: str, file: str, lifetime: timedelta) -> str:
    """An address at which a tool may PUT this one file of the recorder's, without a key, until it expires.

    Raises Unacceptable for a name outside the grammar, and for a recorder whose key was revoked.
    """
    machine = catalog.recorders.get(name)
    if not machine.is_active:
        raise Unacceptable(machine.id, "revoked", "这台录播主机的密钥已收回。")
    key = machine.prefix + file
    IncomingKey.parse(key)
    return public_store(settings).presigned_put(settings.incoming_bucket, key, lifetime)


def public_store(settings: Settings) -> ObjectStore:
    """The store by the address that others reach it by: signatures name the host."""
    url = urlsplit(store_url(settings))
    return ObjectStore(
        url.netloc,
        settings.store_access_key,
        secret(settings.store_secret_key),
        secure=url.scheme == "https",
        region=settings.store_region,
    )


def _fresh_key(settings: Settings, place: Place, brought: tuple[str, str] | None) -> RecorderKey:
    key = issue(place.school, place.room, settings.incoming_bucket)
    if makes_keys(settings):
        return key
    if brought is None:
        raise Misconfigured(
            "这个对象存储的密钥要用它自己的工具来发：请按 docs/recorders.md 的策略建好，再用 --access-key 告诉回看；"
            "MinIO 可设 HUIKAN_STORE_KEYS=minio，由回看来发"
        )
    return RecorderKey(brought[0], brought[1], place.school, place.room, settings.incoming_bucket)
