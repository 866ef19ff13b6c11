"""Where recorders' keys are kept: one small port, and who stands behind it for each kind of store.

    embedded SeaweedFS   ingest.recorder.RecorderKeys: a file that the store reads again at SIGHUP
    MinIO                its admin API
    any other            its operator makes the key with our policy; we can neither make nor revoke it, and say so

All of them give a key the one policy of `upload_policy`; a contract suite runs over each that can be had.
"""

from dataclasses import dataclass
from typing import Protocol

from archive.errors import Absent, Misconfigured
from archive.minio_keys import MinioKeys
from archive.settings import Settings, secret
from ingest.recorder import RecorderKey, RecorderKeys, upload_policy


class Keyring(Protocol):
    """Keys that exist at the store. Every change is in force when the call returns. All may raise Unavailable."""

    def add(self, key: RecorderKey) -> object:
        """Make it known. Again is no error; a revoked key stays revoked."""
        ...

    def revoke(self, access_key: str) -> None:
        """The store refuses it from its next request on, for good. Raises Absent if it was never issued."""
        ...

    def suspend(self, access_key: str) -> None:
        """The store refuses it until `resume`."""
        ...

    def resume(self, access_key: str) -> None: ...


@dataclass(frozen=True, slots=True)
class MinioKeyring:
    users: MinioKeys

    def add(self, key: RecorderKey) -> None:
        policy = upload_policy(key.school, key.room, key.bucket)
        self.users.add(key.access_key, key.secret_key, f"upload-{key.bucket}-{key.school}-{key.room}", policy)

    def revoke(self, access_key: str) -> None:
        """Disabled first, which is quick on every node, then gone: its name is never given to another."""
        self.users.disable(access_key)
        self.users.remove(access_key)

    def suspend(self, access_key: str) -> None:
        self.users.disable(access_key)

    def resume(self, access_key: str) -> None:
        self.users.enable(access_key)


@dataclass(frozen=True, slots=True)
class OperatorsKeyring:
    """A store whose keys an operator makes with its own tools: keys are only written down here."""

    def add(self, key: RecorderKey) -> None:
        """Nothing to do: it was made before it was told to us."""

    def revoke(self, access_key: str) -> None:
        raise Misconfigured(f"{access_key}: 这个对象存储的密钥不归回看管，请用它自己的工具停用这把密钥。")

    def suspend(self, access_key: str) -> None:
        raise Misconfigured(f"{access_key}: 这个对象存储的密钥不归回看管，超过配额时不能自动停用。")

    def resume(self, access_key: str) -> None:
        raise Absent(access_key)


def keyring_of(settings: Settings) -> Keyring:
    if settings.embedded_store:
        return RecorderKeys(settings.home / "store")
    if settings.store_keys == "minio":
        return MinioKeyring(
            MinioKeys(
                settings.store_endpoint,
                settings.store_access_key,
                secret(settings.store_secret_key),
                secure=settings.store_secure,
                region=settings.store_region,
            )
        )
    return OperatorsKeyring()


def makes_keys(settings: Settings) -> bool:
    """Whether `recorder add` can make a key itself; else the operator brings one along."""
    return settings.embedded_store or settings.store_keys == "minio"
