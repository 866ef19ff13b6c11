"""What a process really has: a container's share counts, not the host's."""

from pathlib import Path

from transcribe import machine


def test_a_quota_of_a_core_and_a_half_is_one_core(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert machine.cores(tmp_path) == 1


def test_without_a_quota_all_cores_that_we_may_run_on_count(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert machine.cores(tmp_path) == machine.cores(tmp_path / "absent") >= 1


def test_a_containers_limit_is_all_the_memory_there_is(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    assert machine.available_bytes(tmp_path) == 600_000
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.available_bytes(tmp_path) > 1_000_000


def test_this_process_is_somewhere_in_memory() -> None:
    assert machine.resident_bytes() > 1_000_000
