"""Settings: where they come from, and that secrets are made, kept and never shown."""

import stat
from pathlib import Path
from threading import Thread

import pytest

from archive.errors import Misconfigured
from archive.settings import Settings, secret


def test_the_environment_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "huikan.toml"
    file.write_text('port = 9000\nspeech_model = "medium"\n', encoding="utf-8")
    monkeypatch.setenv("HUIKAN_CONFIG", str(file))
    monkeypatch.setenv("HUIKAN_PORT", "9001")
    found = Settings()
    assert (found.port, found.speech_model) == (9001, "medium")


def test_an_unknown_name_in_the_file_is_an_error_not_a_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "huikan.toml"
    file.write_text("prot = 9000\n", encoding="utf-8")
    monkeypatch.setenv("HUIKAN_CONFIG", str(file))
    with pytest.raises(ValueError, match="prot"):
        Settings()


def test_secrets_are_made_once_private_and_kept(tmp_path: Path) -> None:
    first = Settings(home=tmp_path / "h").with_secrets()
    second = Settings(home=tmp_path / "h").with_secrets()
    assert secret(first.signing_key) == secret(second.signing_key)
    assert len({secret(first.signing_key), secret(first.student_code), secret(first.staff_code)}) == 3
    assert stat.S_IMODE((tmp_path / "h" / "secrets.toml").stat().st_mode) == 0o600
    assert secret(first.signing_key) not in repr(first)


def test_two_processes_starting_together_agree_on_the_secrets(tmp_path: Path) -> None:
    seen: list[str] = []

    def load() -> None:
        seen.append(secret(Settings(home=tmp_path).with_secrets().signing_key))

    threads = [Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert len(set(seen)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.toml"]


@pytest.mark.parametrize("weak", ["minioadmin", "", "short", "Password"])
def test_a_weak_or_well_known_secret_does_not_start(tmp_path: Path, weak: str) -> None:
    with pytest.raises(Misconfigured, match="STORE_SECRET_KEY"):
        Settings(home=tmp_path, store_secret_key=weak).with_secrets()  # pyright: ignore[reportArgumentType]


def test_the_databases_follow_the_home_or_the_catalog(tmp_path: Path) -> None:
    plain = Settings(home=tmp_path)
    assert plain.catalog_address == f"sqlite:///{tmp_path}/catalog.sqlite"
    assert plain.engine_address == f"sqlite:///{tmp_path}/engine.sqlite"
    city = Settings(home=tmp_path, catalog_url="postgresql://db/huikan")
    assert city.engine_address == "postgresql://db/huikan"
