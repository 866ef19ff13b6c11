"""At the door: whose object this is, whether its sender may send any more today, and what its clock says.

Quotas are kept twice. An object beyond its sender's quota is refused, and stays in the store for a person to decide on;
and the sender's key is suspended until the next day begins, for whoever stole one could else fill the store's disk.
"""

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime

import structlog

from archive.catalog import Catalog
from archive.database import now
from archive.errors import HuikanError, Rejected, Unavailable, Unreadable
from archive.keys import MEDIA_EXTENSIONS, IncomingKey, shown
from archive.recorders import ROOM_ZONE, Quota, Recorder, day_of
from archive.settings import Settings, secret
from archive.store import StoredObject
from ingest.keyring import Keyring
from ingest.recorder import IDENTITY_PREFIX

log = structlog.get_logger()

# What senders may say in an object's own metadata (x-amz-meta-…).
SHA256, SENT_AT, BY = "sha256", "sent-at", "huikan-by"
TEACHER, OPERATOR = "teacher", "operator"


class OverQuota(Rejected):
    """Its sender has sent more today than it may."""

    code = "over-quota"

    def __init__(self, key: str, recorder_id: str) -> None:
        super().__init__(key, recorder_id)
        self.key, self.recorder_id = key, recorder_id

    def __str__(self) -> str:
        return f"{self.key}: {self.recorder_id} is over its daily quota"

    @property
    def reason_zh(self) -> str:
        return (
            f"录播主机 {self.recorder_id} 今天上传的已超过配额，这个文件没有入库，仍在上传桶里。"
            f"如属正常，请用 huikan recorder quota {self.recorder_id} 放宽，再 huikan reconsider {self.key}；"
            "否则密钥可能被盗用，请 huikan recorder revoke。"
        )


def admit(catalog: Catalog, settings: Settings, found: StoredObject) -> None:
    """Writes down whose the object is and what its clock said. Raises OverQuota.

    The arrival must have been noted: it counts.
    """
    sender = sender_of(catalog, settings, found)
    if sender is None:
        return
    catalog.arrivals.attribute(found.key, found.etag, sender.id)
    skew_ms = clock_skew_ms(found)
    if skew_ms is not None:
        catalog.recorders.note_clock(sender.id, skew_ms, found.modified_at.replace(tzinfo=None))
    if not is_media(found.key):
        return
    if catalog.recorders.usage(sender.id, day_of(now())).exceeds(quota_of(sender, settings)):
        raise OverQuota(shown(found.key), sender.id)


def mark(settings: Settings, by: str, key: str) -> dict[str, str]:
    """The metadata by which we know an object that came through us: a gateway's recorder, TEACHER or OPERATOR.

    Signed, for a recorder may write what it likes beside its objects, and nobody else's quota is to be its own.
    """
    return {BY: f"{by}.{_signature(settings, by, key)}"}


def _marked(settings: Settings, found: StoredObject) -> str:
    by, _, signature = found.metadata.get(BY, "").partition(".")
    genuine = hmac.compare_digest(signature.encode(), _signature(settings, by, found.key).encode())
    return by if genuine else ""


def _signature(settings: Settings, by: str, key: str) -> str:
    text = f"huikan sender v1\0{by}\0{key}".encode(errors="surrogatepass")
    return hmac.digest(secret(settings.signing_key).encode(), text, "sha256").hex()[:32]


def sender_of(catalog: Catalog, settings: Settings, found: StoredObject) -> Recorder | None:
    """The recorder that put it: by our own mark, else by the store's word, else the newest that may write there.

    None for what an operator or a teacher put, and for a room without recorders. SeaweedFS tells whose key completed
    an upload in parts; of one in a single piece it names the bucket's owner, which says nothing.
    """
    by = _marked(settings, found)
    if by in (TEACHER, OPERATOR):
        return None
    school, _, rest = found.key.partition("/")
    machines = catalog.recorders.of_place(school[:40], rest.partition("/")[0][:40])
    if by:
        return next((each for each in machines if each.id == by), None)
    if found.owner.startswith(IDENTITY_PREFIX):
        access_key = found.owner.removeprefix(IDENTITY_PREFIX)
        return next((each for each in machines if each.access_key == access_key), None)
    return machines[0] if machines else None


def quota_of(machine: Recorder, settings: Settings) -> Quota:
    """Its own, or else the general one; 0 lifts a limit."""

    def chosen(own: int | None, general: int) -> int | None:
        return (general if own is None else own) or None

    return Quota(
        chosen(machine.quota.daily_bytes, settings.recorder_daily_bytes),
        chosen(machine.quota.daily_recordings, settings.recorder_daily_recordings),
    )


def is_media(key: str) -> bool:
    return key.rpartition(".")[2].lower() in MEDIA_EXTENSIONS


def clock_skew_ms(found: StoredObject) -> int | None:
    """How far the sender's clock is ahead of the store's, as far as the object tells; None if it does not.

    `sent-at` says it exactly. Else a lesson that begins after its recording arrived: its clock is ahead by that at least.
    """
    said = _instant(found.metadata)
    if said is not None:
        return round((said - found.modified_at).total_seconds() * 1000)
    try:
        started_at = IncomingKey.parse(found.key).started_at.replace(tzinfo=ROOM_ZONE)
    except Rejected:
        return None
    ahead_ms = round((started_at - found.modified_at).total_seconds() * 1000)
    return ahead_ms if ahead_ms > 0 else None


def _instant(metadata: Mapping[str, str]) -> datetime | None:
    try:
        said = datetime.fromisoformat(metadata.get(SENT_AT, ""))
    except ValueError:
        return None
    return said.replace(tzinfo=said.tzinfo or ROOM_ZONE).astimezone(UTC)


def check_declared(found: StoredObject, sha256: str) -> None:
    """Raises Unreadable when the sender said another hash than what was stored has: something changed it on the way."""
    declared = found.metadata.get(SHA256, "").strip().lower()
    if declared and declared != sha256:
        zh = "收到的内容与上传方声明的 SHA-256 不同：传输或存储中出了错，请重新上传。"
        raise Unreadable(shown(found.key), f"sha256 is {sha256}, not the declared {declared[:64]}", zh)


def watch_quotas(settings: Settings, catalog: Catalog, keyring: Keyring) -> list[str]:
    """Suspends the keys of machines that are over their quota, and gives them back when a new day has begun.

    Returns the ids of those that changed. Raises Unavailable when the catalog cannot be asked.
    """
    used, changed = catalog.recorders.used_on(day_of(now())), list[str]()
    for machine in catalog.recorders.every():
        if not machine.is_active:
            continue
        over = machine.id in used and used[machine.id].exceeds(quota_of(machine, settings))
        if over == (machine.suspended_at is not None):
            continue
        try:
            (keyring.suspend if over else keyring.resume)(machine.access_key)
        except HuikanError as error:  # what arrives is refused all the same
            log.warning("a key could not be changed", recorder=machine.id, suspended=over, reason=str(error))
            if isinstance(error, Unavailable):
                continue
        catalog.recorders.suspend(machine.id, now() if over else None)
        log.warning("recorder over quota" if over else "recorder may send again", recorder=machine.id)
        changed.append(machine.id)
    return changed
