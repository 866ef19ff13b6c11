"""Finding a model: on this machine, in the cache, at the hub; and what a technician reads when it is nowhere.

The hub is a small server of our own that speaks as much of its protocol as the library asks for; the library reads the
hub's address once, at import, so what needs a hub runs in a process of its own.
"""

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from archive.errors import ModelMissing
from transcribe import weights

HUB_TIMEOUT_S = 2.0  # for hubs on this machine; the real one gets longer
COMMIT = "a" * 40
REPOSITORY = "Systran/faster-whisper-small"


def model_folder(folder: Path, *, vocabulary: int = 51_865) -> Path:
    """The files of a model, as far as anybody looks at them without loading it."""
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"weights" * 1000)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "vocabulary.json").write_text(json.dumps([str(i) for i in range(vocabulary)]))
    return folder


@contextmanager
def hub(model: Path | None) -> Iterator[str]:
    """A model hub at the yielded address. It has one model, or answers that it is out of order."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if model is None:
                self._send(503, b"{}")
            elif path in (f"/api/models/{REPOSITORY}", f"/api/models/{REPOSITORY}/revision/main"):
                self._send(200, json.dumps({"id": REPOSITORY, "sha": COMMIT, "siblings": []}).encode())
            elif path.startswith(f"/api/models/{REPOSITORY}/tree/{COMMIT}"):
                files = [
                    {"type": "file", "path": f.name, "size": f.stat().st_size, "oid": _oid(f)} for f in model.iterdir()
                ]
                self._send(200, json.dumps(files).encode())
            elif path.startswith(f"/{REPOSITORY}/resolve/{COMMIT}/"):
                file = model / Path(path).name
                self._send(200, file.read_bytes(), {"ETag": f'"{_oid(file)}"', "X-Repo-Commit": COMMIT})
            else:
                self._send(404, b"{}")

        do_HEAD = do_GET  # noqa: N815

        def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _oid(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()  # noqa: S324 (git's blob names are no secret)


def locate_in_a_process(address: str, models_dir: Path) -> str:
    """What `locate` finds for "small", or why it does not, with the hub at `address`."""
    program = (
        "import sys; from pathlib import Path; from archive.errors import ModelMissing; from transcribe import weights\n"
        f"weights.HUB_TIMEOUT_S = {HUB_TIMEOUT_S}\n"
        "try: print(weights.locate('small', models_dir=Path(sys.argv[1]), download=True))\n"
        "except ModelMissing as error: print(error.reason_zh)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_ENDPOINT": address, "HF_HOME": str(models_dir / "home")}
    argv = [sys.executable, "-W", "error", "-c", program, str(models_dir)]
    return subprocess.run(argv, env=environment, check=True, capture_output=True, text=True, timeout=120).stdout.strip()


def test_a_model_is_downloaded_once_and_then_found_without_a_network(tmp_path: Path) -> None:
    original = model_folder(tmp_path / "at the hub")
    with hub(original) as address:
        found = Path(locate_in_a_process(address, tmp_path / "models"))
    assert {file.name for file in found.iterdir()} == {file.name for file in original.iterdir()}
    assert (found / "model.bin").read_bytes() == (original / "model.bin").read_bytes()
    assert weights.locate("small", models_dir=tmp_path / "models", download=False) == found


def test_a_hub_that_is_down_or_gone_is_a_missing_model_with_the_remedy(tmp_path: Path) -> None:
    with hub(None) as address:
        answers = [locate_in_a_process(address, tmp_path)]
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    answers.append(locate_in_a_process(nobody, tmp_path))
    for answer in answers:
        assert "hf download Systran/faster-whisper-small" in answer
        assert str(tmp_path / "small") in answer
        assert "HUIKAN_SPEECH_MODEL" in answer


def test_a_hub_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes the connection and never says a word
        answer = locate_in_a_process(f"http://127.0.0.1:{mute.getsockname()[1]}", tmp_path)
    assert "下载也未成功" in answer


def test_a_folder_put_beside_the_others_is_found_by_its_name(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "models" / "small")
    assert weights.locate("small", models_dir=tmp_path / "models", download=True) == folder
    assert weights.locate(str(folder), models_dir=tmp_path, download=False) == folder


def test_downloading_can_be_forbidden(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="不允许下载") as caught:
        weights.locate("small", models_dir=tmp_path, download=False)
    assert "HUIKAN_SPEECH_DOWNLOAD" in caught.value.reason_zh


@pytest.mark.parametrize("name", ["smal", "no such model", "a/b/c"])
def test_a_name_nobody_knows_is_answered_with_those_that_are_known(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelMissing) as caught:
        weights.locate(name, models_dir=tmp_path, download=False)
    assert "没有这个名字" in caught.value.reason_zh
    assert "large-v3-turbo" in caught.value.reason_zh


@pytest.mark.parametrize(
    ("name", "reason"),
    [("model.bin", "缺少 model.bin"), ("tokenizer.json", "缺少 tokenizer.json"), ("vocabulary.json", "vocabulary")],
)
def test_a_folder_that_lacks_a_file_says_which(tmp_path: Path, name: str, reason: str) -> None:
    folder = model_folder(tmp_path / "model")
    (folder / name).unlink()
    with pytest.raises(ModelMissing, match=reason):
        weights.locate(str(folder), models_dir=tmp_path, download=True)


def test_a_folder_that_is_not_there_or_damaged_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="不存在"):
        weights.locate(str(tmp_path / "nowhere"), models_dir=tmp_path, download=True)
    folder = model_folder(tmp_path / "model")
    (folder / "tokenizer.json").write_text('{"half": ')
    with pytest.raises(ModelMissing, match="损坏"):
        weights.locate(str(folder), models_dir=tmp_path, download=True)


def test_whether_a_model_knows_chinese_is_seen_without_loading_it(tmp_path: Path) -> None:
    assert weights.is_multilingual(model_folder(tmp_path / "small"))
    assert not weights.is_multilingual(model_folder(tmp_path / "small.en", vocabulary=51_864))


def test_the_english_model_of_the_package_is_whole(tmp_path: Path) -> None:
    folder = weights.builtin_english_model()
    assert folder is not None
    assert weights.locate(str(folder), models_dir=tmp_path, download=False) == folder
    assert not weights.is_multilingual(folder)


def test_without_the_package_there_is_no_english_model() -> None:
    # -I and -S: an interpreter that sees the standard library and our code, and no package
    ours = Path(weights.__file__).parents[1]
    program = f"import sys; sys.path.append({str(ours)!r}); from transcribe import weights\n"
    program += "print(weights.builtin_english_model())"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "None"
