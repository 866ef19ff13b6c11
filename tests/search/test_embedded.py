"""What is tantivy's alone: files, locks and processes. The rest is in the contract and the relevance suites."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from archive.errors import Unavailable
from search.embedded import TantivyIndex
from search.index import NAME
from search.query import Query
from tests.search.engines import lesson_ids, said

ROOT = Path(__file__).parents[2]


def found(index: TantivyIndex, text: str = "重力") -> list[str]:
    return sorted({hit.lesson_id for hit in index.search(Query(text)).hits})


def other_process(program: str, folder: Path) -> subprocess.Popen[str]:
    """A process of its own with `index` over the folder; it talks through its pipes."""
    setting = """
        import sys
        from pathlib import Path
        from search.embedded import TantivyIndex
        from search.query import Query
        from tests.search.engines import said
        index = TantivyIndex(Path(sys.argv[1]))
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(setting) + textwrap.dedent(program), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def told(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def test_a_reader_in_another_process_sees_each_commit_at_once(tmp_path: Path) -> None:
    program = """
        for line in sys.stdin:
            print(len(index.search(Query("重力")).hits), flush=True)
    """
    writer = TantivyIndex(tmp_path)
    with other_process(program, tmp_path) as reader:
        counts: list[str] = []
        for number in range(4):
            tell(reader, "search")
            counts.append(told(reader))
            writer.replace("a", said("a", *["重力"] * (number + 1)))
        writer.drop([NAME])
        tell(reader, "search")
        counts.append(told(reader))
        assert reader.stdin is not None
        reader.stdin.close()
    assert counts == ["0", "1", "2", "3", "0"]


def test_a_reader_makes_no_files(tmp_path: Path) -> None:
    index = TantivyIndex(tmp_path / "never")
    assert found(index) == []
    assert lesson_ids(index) == set()
    assert not (tmp_path / "never").exists()


def test_a_writer_killed_in_the_middle_blocks_nobody_and_leaves_what_was_there(tmp_path: Path) -> None:
    program = """
        with index._writer() as writer:
            writer.delete_documents_by_term("lesson_id", "a")
            print("writing", flush=True)
            sys.stdin.read()
    """
    index = TantivyIndex(tmp_path)
    index.replace("a", said("a", "重力"))
    with other_process(program, tmp_path) as writer:
        assert told(writer) == "writing"
        assert found(index) == ["a"]  # nothing of it is seen before its commit
        writer.send_signal(signal.SIGKILL)
    assert found(index) == ["a"]
    index.replace("b", said("b", "重力"))
    assert found(index) == ["a", "b"]


def test_a_writer_waits_for_another_and_gives_up_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = """
        with index._locked():
            print("locked", flush=True)
            sys.stdin.read()
    """
    index = TantivyIndex(tmp_path)
    with other_process(program, tmp_path) as holder:
        assert told(holder) == "locked"
        monkeypatch.setattr("search.embedded._LOCK_WAIT_S", 0.0)
        with pytest.raises(Unavailable) as refused:
            index.replace("a", said("a", "重力"))
        assert refused.value.remedy_zh
        assert holder.stdin is not None
        holder.stdin.close()
    index.replace("a", said("a", "重力"))
    assert found(index) == ["a"]


def write_some(folder: Path, writer: int) -> None:
    index = TantivyIndex(folder)
    for number in range(5):
        index.replace(f"{writer}-{number}", said(f"{writer}-{number}", "重力"))


def test_processes_that_write_at_once_take_turns(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=write_some, args=(tmp_path, writer)) for writer in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len(lesson_ids(TantivyIndex(tmp_path))) == 10


def damaged(folder: Path, damage: str) -> None:
    files = sorted(file for file in folder.iterdir() if file.suffix in (".store", ".idx", ".term", ".pos"))
    match damage:
        case "meta garbled":
            (folder / "meta.json").write_text("{")
        case "meta empty":
            (folder / "meta.json").write_bytes(b"")
        case "a file gone":
            files[0].unlink()
        case "files cut short":
            for file in files:
                os.truncate(file, file.stat().st_size // 2)
        case "bytes flipped":
            for file in files:
                whole = bytearray(file.read_bytes())
                middle = len(whole) // 3
                whole[:middle] = bytes(byte ^ 0xFF for byte in whole[:middle])
                file.write_bytes(whole)
        case _:
            raise AssertionError(damage)


@pytest.mark.parametrize("damage", ["meta garbled", "meta empty", "a file gone", "files cut short", "bytes flipped"])
def test_a_damaged_index_says_how_to_rebuild_and_dropping_it_heals_it(tmp_path: Path, damage: str) -> None:
    TantivyIndex(tmp_path).replace("a", said("a", *["今天我们学习重力"] * 50))
    damaged(tmp_path / NAME, damage)
    index = TantivyIndex(tmp_path)
    with pytest.raises(Unavailable) as refused:
        index.search(Query("重力"))
    assert "huikan reindex" in refused.value.reason_zh
    index.drop([NAME])
    index.replace("a", said("a", "重力"))
    assert found(index) == ["a"]


def test_an_index_of_another_edition_serves_until_it_is_dropped(tmp_path: Path) -> None:
    TantivyIndex(tmp_path, name="e1").replace("a", said("a", "重力"))
    newer = TantivyIndex(tmp_path)
    assert newer.others() == ["e1"]
    assert found(newer) == []
    newer.replace("b", said("b", "重力"))
    assert found(TantivyIndex(tmp_path, name="e1")) == ["a"]
    newer.drop(newer.others())
    assert newer.others() == []
    assert found(newer) == ["b"]
    assert [folder.name for folder in tmp_path.glob("e*")] == [NAME]
    assert list(tmp_path.glob("dropped*")) == []


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    index = TantivyIndex(tmp_path / "file")
    with pytest.raises(Unavailable):
        index.replace("a", said("a", "重力"))
    with pytest.raises(Unavailable):
        index.search(Query("重力"))


def test_a_write_that_fails_in_the_middle_changes_nothing_and_the_next_one_works(tmp_path: Path) -> None:
    index = TantivyIndex(tmp_path)
    index.replace("a", said("a", "重力"))
    with pytest.raises(Unavailable) as kept, index._writer() as writer:  # pyright: ignore[reportPrivateUsage]
        writer.delete_documents_by_term("lesson_id", "a")
        raise OSError("no more")
    assert found(index) == ["a"]
    index.replace("b", said("b", "重力"))  # although the error still holds on to the failed writer
    assert found(index) == ["a", "b"]
    del kept


def test_an_index_that_vanishes_under_a_reader_is_empty(tmp_path: Path) -> None:
    index = TantivyIndex(tmp_path)
    index.replace("a", said("a", "重力"))
    assert found(index) == ["a"]
    shutil.rmtree(tmp_path / NAME)
    assert found(index) == []
    index.replace("a", said("a", "重力"))
    assert found(index) == ["a"]


def segments(folder: Path) -> list[tuple[int, int]]:
    """Of each segment on disk how many passages were written, and how many of those are deleted."""
    meta = json.loads((folder / NAME / "meta.json").read_text())
    return [
        (one["max_doc"], (one["deletes"] or {"num_deleted_docs": 0})["num_deleted_docs"]) for one in meta["segments"]
    ]


def test_of_a_lesson_that_was_edited_only_what_changed_is_written(tmp_path: Path) -> None:
    index = TantivyIndex(tmp_path)
    texts = [f"第{number}段讲重力" for number in range(100)]
    index.replace("a", said("a", *texts))
    index.replace("b", said("b", "重力"))
    before = segments(tmp_path)
    texts[40] = "这一段讲引力"
    index.replace("a", said("a", *texts))
    assert sorted(segments(tmp_path)) == sorted([(100, 1), (1, 0), (1, 0)])
    assert [hit.text for hit in index.search(Query("引力")).hits] == [texts[40]]
    assert index.size() == 101
    now = segments(tmp_path)
    index.replace("a", said("a", *texts))  # nothing is
    assert segments(tmp_path) == now != before
    index.replace("a", said("a", *texts[:50]))
    assert (index.size(), len(index.search(Query("重力", limit=200)).hits)) == (51, 50)


def test_passages_whose_ids_do_not_tell_them_apart_are_written_all(tmp_path: Path) -> None:
    index = TantivyIndex(tmp_path)
    for texts in (("重力", "引力"), ("重力", "浮力"), ("浮力",)):
        index.replace("a", [replace(one, id="same") for one in said("a", *texts)])
        assert sorted(hit.text for hit in index.search(Query("力")).hits) == sorted(texts)
