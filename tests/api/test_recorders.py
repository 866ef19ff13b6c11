"""What operators do with recorders, from the command line and over the store and the catalog together."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from minio import Minio
from typer.testing import CliRunner

from api import recorders
from api.cli import app
from api.doctor import Check, _gateways, _recorders  # pyright: ignore[reportPrivateUsage]
from api.recorders import Place
from api.state import Serving, announce
from archive.catalog import Catalog
from archive.database import now
from archive.errors import Absent, Misconfigured, Unacceptable
from archive.recorders import Quota, token_of
from archive.settings import Settings
from archive.store import ObjectStore
from ingest.recorder import RecorderKeys, issue
from tests.ingest.recorders import OWN, put, refused
from tests.live_store import LiveStore


@pytest.fixture
def home(seaweed: LiveStore, incoming_bucket: str, tmp_path: Path) -> Path:
    """A data directory whose embedded store is the session's."""
    (tmp_path / "store").symlink_to(seaweed.home)
    announce(tmp_path, Serving("http://127.0.0.1:8000", seaweed.endpoint, os.getpid()))
    return tmp_path


@pytest.fixture
def settings(home: Path, seaweed: LiveStore) -> Settings:
    return Settings.model_validate(
        {"home": home, "store_access_key": seaweed.access_key, "store_secret_key": seaweed.secret_key}
    ).with_secrets()


@pytest.fixture
def catalog(settings: Settings) -> Iterator[Catalog]:
    opened = Catalog(settings.catalog_address)
    opened.migrate()
    yield opened
    opened.close()


def client(issued: recorders.Issued) -> Minio:
    endpoint = issued.url.removeprefix("http://")
    return Minio(endpoint, issued.key.access_key, issued.key.secret_key, secure=False, region="us-east-1")


def huikan(home: Path, seaweed: LiveStore, *command: str, code: int = 0) -> str:
    environment = {
        "HUIKAN_HOME": str(home),
        "HUIKAN_STORE_ACCESS_KEY": seaweed.access_key,
        "HUIKAN_STORE_SECRET_KEY": seaweed.secret_key,
        "COLUMNS": "300",
    }
    done = CliRunner().invoke(app, ["recorder", *command], env=environment)
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


class TestKeys:
    def test_a_recorder_gets_a_key_and_the_catalog_knows_its_place(self, settings: Settings, catalog: Catalog) -> None:
        issued = recorders.add(settings, catalog, Place("xinghuo", "301", "星火小学", "三楼一班"), label="后墙")
        put(client(issued), "incoming", OWN)
        (known,) = catalog.recorders.every()
        assert (known.id, known.place, known.label, known.prefix) == (
            issued.recorder.id,
            "星火小学 三楼一班",
            "后墙",
            "xinghuo/301/",
        )
        assert issued.key.secret_key not in repr(known) + repr(issued)
        assert issued.key.secret_key.encode() not in (settings.home / "catalog.sqlite").read_bytes()

    def test_rotating_takes_the_old_key_away_and_revoking_the_new(self, settings: Settings, catalog: Catalog) -> None:
        first = recorders.add(settings, catalog, Place("xinghuo", "301"))
        second = recorders.rotate(settings, catalog, first.recorder.id)
        assert second.recorder.id == first.recorder.id
        assert refused(lambda: put(client(first), "incoming", OWN))
        put(client(second), "incoming", OWN)
        assert not recorders.revoke(settings, catalog, second.key.access_key).is_active
        assert refused(lambda: put(client(second), "incoming", OWN))
        recorders.revoke(settings, catalog, first.recorder.id)  # again is no error
        put(client(recorders.rotate(settings, catalog, first.recorder.id)), "incoming", OWN)  # and back to life

    def test_keys_of_before_the_catalog_knew_recorders_are_adopted_once(
        self, settings: Settings, catalog: Catalog
    ) -> None:
        keys, old = RecorderKeys(settings.home / "store"), issue("guangming", "b-2", "incoming")
        keys.add(old)
        recorders.adopt(settings, catalog)
        recorders.adopt(settings, catalog)
        mine = [each for each in catalog.recorders.every() if each.access_key == old.access_key]
        assert [each.prefix for each in mine] == ["guangming/b-2/"]
        assert catalog.recorders.by_token(token_of(old.access_key, old.secret_key)) == mine[0]
        keys.revoke(old.access_key)
        recorders.adopt(settings, catalog)
        assert not catalog.recorders.get(old.access_key).is_active

    def test_a_place_that_could_widen_the_prefix_is_refused(self, settings: Settings, catalog: Catalog) -> None:
        for place in (Place("*", "301"), Place("xinghuo", "../302")):
            with pytest.raises(Unacceptable):
                recorders.add(settings, catalog, place)
        assert catalog.recorders.every() == []

    def test_a_store_whose_keys_are_its_operators_wants_one_brought_along(
        self, settings: Settings, catalog: Catalog
    ) -> None:
        external = settings.model_copy(update={"store_endpoint": "s3.example.edu.cn"})
        with pytest.raises(Misconfigured):
            recorders.add(external, catalog, Place("xinghuo", "301"))
        issued = recorders.add(external, catalog, Place("xinghuo", "301"), brought=("MINE", "secret-of-mine"))
        assert issued.url == "http://s3.example.edu.cn"
        with pytest.raises(Misconfigured):  # it says that the store's operator has to do it
            recorders.revoke(external, catalog, "MINE")
        assert not catalog.recorders.get("MINE").is_active  # gateways and API refuse it all the same

    def test_an_unknown_recorder_is_absent(self, settings: Settings, catalog: Catalog) -> None:
        for act in (recorders.rotate, recorders.revoke):
            with pytest.raises(Absent):
                act(settings, catalog, "r00000000")


class TestProofs:
    def test_a_token_and_a_gateway_password_prove_one_recorder_until_it_is_revoked(
        self, settings: Settings, catalog: Catalog
    ) -> None:
        issued = recorders.add(settings, catalog, Place("xinghuo", "301"))
        token = token_of(issued.key.access_key, issued.key.secret_key)
        machine, password = recorders.gateway_password(catalog, issued.recorder.id)
        desk = catalog.recorders
        assert desk.by_token(token) == desk.by_gateway_password(machine.id, password) == machine
        for wrong in ("", token[:-1], token.upper(), f"{issued.key.access_key}.", issued.key.secret_key):
            assert desk.by_token(wrong) is None
        for wrong in ("", password[:-1], token):
            assert desk.by_gateway_password(machine.id, wrong) is None
        recorders.revoke(settings, catalog, machine.id)
        assert desk.by_token(token) is desk.by_gateway_password(machine.id, password) is None
        with pytest.raises(Unacceptable):
            recorders.gateway_password(catalog, machine.id)

    def test_without_a_password_a_gateway_takes_none(self, settings: Settings, catalog: Catalog) -> None:
        machine = recorders.add(settings, catalog, Place("xinghuo", "301")).recorder
        for password in ("", "None", "null"):
            assert catalog.recorders.by_gateway_password(machine.id, password) is None


class TestCommands:
    def test_add_tells_the_secret_once_and_the_settings_ready_made(self, home: Path, seaweed: LiveStore) -> None:
        said = huikan(home, seaweed, "add", "xinghuo", "301", "--school-name", "星火小学", "--settings", "all")
        (secret_key,) = set(re.findall(r"\b[0-9a-f]{40}\b", said))
        for tool in ("录播主机", "boto3", "rclone", "s3cmd", "AWS CLI", "星火小学"):
            assert tool in said
        (known,) = json.loads(huikan(home, seaweed, "list", "--json"))[-1:]
        shown = huikan(home, seaweed, "show", known["recorder"]["id"])
        assert secret_key not in shown + huikan(home, seaweed, "list")
        assert "<Secret Key>" in shown

    def test_a_presigned_address_takes_one_file_and_no_other(
        self, home: Path, seaweed: LiveStore, store: ObjectStore
    ) -> None:
        huikan(home, seaweed, "add", "xinghuo", "301", "--settings", "none")
        (name,) = [
            each["recorder"]["id"]
            for each in json.loads(huikan(home, seaweed, "list", "--json"))
            if each["recorder"]["school"] == "xinghuo" and each["recorder"]["label"] == ""
        ][-1:]
        url = huikan(home, seaweed, "presign", name, "20260901T0800.mp4").strip()
        http = urllib3.PoolManager()
        assert http.request("PUT", url, body=b"lesson").status == 200
        assert store.get_bytes("incoming", OWN) == b"lesson"
        assert http.request("PUT", url.replace("T0800", "T0900"), body=b"evil").status == 403
        for method in ("GET", "DELETE", "HEAD"):
            assert http.request(method, url).status == 403
        huikan(home, seaweed, "presign", name, "../302/20260901T0800.mp4", code=1)

    def test_quota_rotate_gateway_and_revoke(self, home: Path, seaweed: LiveStore, catalog: Catalog) -> None:
        huikan(home, seaweed, "add", "xinghuo", "309", "--daily-gb", "2.5", "--settings", "none")
        (machine,) = [each for each in catalog.recorders.every() if each.room == "309"]
        assert machine.quota == Quota(2_500_000_000, None)
        huikan(home, seaweed, "quota", machine.id, "--daily-recordings", "7")
        assert catalog.recorders.get(machine.id).quota == Quota(None, 7)
        assert machine.id in huikan(home, seaweed, "gateway", machine.id)
        assert catalog.recorders.get(machine.id).has_gateway
        huikan(home, seaweed, "gateway", machine.id, "--off")
        assert not catalog.recorders.get(machine.id).has_gateway
        huikan(home, seaweed, "rotate", machine.id)
        assert catalog.recorders.get(machine.id).access_key != machine.access_key
        huikan(home, seaweed, "revoke", machine.id)
        assert not catalog.recorders.get(machine.id).is_active


def test_the_doctor_names_recorders_that_need_a_person_and_gateways_that_are_stuck(
    settings: Settings, catalog: Catalog, tmp_path: Path
) -> None:
    def told() -> dict[str, Check]:
        return {check.name_zh: check for check in (_recorders(settings), _gateways(settings))}

    assert all(check.ok for check in told().values())
    machine = recorders.add(settings, catalog, Place("xinghuo", "301")).recorder
    catalog.recorders.note_clock(machine.id, -600_000, now())
    assert machine.id in told()["录播主机"].note_zh
    assert "NTP" in told()["录播主机"].remedy_zh
    catalog.recorders.suspend(machine.id, now())
    assert "超过配额" in told()["录播主机"].note_zh
    settings = settings.model_copy(update={"watched_folder": tmp_path / "not mounted"})
    assert "not mounted" in told()["网关"].remedy_zh
    settings = settings.model_copy(update={"watched_folder": None, "ftp_port": 21, "ftp_host": "10.0.0.5"})
    assert "不加密" in told()["网关"].note_zh
