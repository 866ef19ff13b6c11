"""Recorders' keys on a MinIO server: its admin API, which is its own and encrypts what it carries.

A MinIO user may have policies of its own name only; one that is disabled is refused from its next request on.
"""

import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import urllib3
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException, MinioException
from minio.minioadmin import MinioAdmin
from urllib3.util import Retry, Timeout

from archive.errors import Absent, Unavailable

_WHAT = "对象存储的密钥管理"
_REMEDY_ZH = "请确认 MinIO 正在运行，且 HUIKAN_STORE_ACCESS_KEY 是它的管理员。"
_NO_SUCH_USER = "XMinioAdminNoSuchUser"


class MinioKeys:
    """The users of one MinIO server, as far as they are recorders. All calls raise Unavailable when it cannot be asked."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str, *, secure: bool, region: str) -> None:
        pool = urllib3.PoolManager(
            timeout=Timeout(connect=3.0, read=30.0), retries=Retry(total=1, status=0, redirect=0), maxsize=2
        )
        self._admin = MinioAdmin(
            endpoint=endpoint,
            credentials=StaticProvider(access_key, secret_key),
            region=region,
            secure=secure,
            http_client=pool,
        )

    def add(self, access_key: str, secret_key: str, policy_name: str, policy: dict[str, Any]) -> None:
        """The user exists, and may do what `policy` (AWS's language) says and nothing else. Again is no error."""
        with _translated(access_key):
            self._admin.policy_add(policy_name, policy=policy)  # pyright: ignore[reportUnknownMemberType]
            self._admin.user_add(access_key, secret_key)
            self._admin.policy_set(policy_name, user=access_key)

    def enable(self, access_key: str) -> None:
        """Raises Absent."""
        with _translated(access_key):
            self._admin.user_enable(access_key)

    def disable(self, access_key: str) -> None:
        """Raises Absent."""
        with _translated(access_key):
            self._admin.user_disable(access_key)

    def remove(self, access_key: str) -> None:
        """Raises Absent."""
        with _translated(access_key):
            self._admin.user_remove(access_key)

    def users(self) -> dict[str, bool]:
        """Every user: whether it is enabled."""
        with _translated(_WHAT):
            told: dict[str, dict[str, Any]] = json.loads(self._admin.user_list())
        return {name: user.get("status") == "enabled" for name, user in told.items()}


@contextmanager
def _translated(name: str) -> Generator[None]:
    try:
        yield
    except MinioAdminException as error:
        if _NO_SUCH_USER in str(error):
            raise Absent(name) from error
        raise Unavailable(_WHAT, str(error).replace("\n", " ")[:300], _REMEDY_ZH) from error
    except (MinioException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise Unavailable(_WHAT, str(error).replace("\n", " ")[:300], _REMEDY_ZH) from error
