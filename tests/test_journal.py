"""The journal: what was answered is never lost, and never asked again."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifactscoder import journal as journals
from artifactscoder.config import write as write_config
from artifactscoder.errors import UserError
from artifactscoder.journal import Journal, in_use
from openai_server import Server

ENVIRONMENT = {**os.environ, "PYTHONPATH": "workflow"}
WRITER = """
import asyncio, sys
from pathlib import Path
from artifactscoder.journal import Journal, in_use
async def main():
    async with Journal(Path(sys.argv[1])) as journal:
        n = len(journal)
        print(n, flush=True)
        while True:
            await asyncio.gather(*(journal.put(f"key-{n + i}", {"answer": "x" * 200}) for i in range(5)))
            n += 5
            print(n, flush=True)
asyncio.run(main())
"""


async def test_entries_come_back_after_reopening(tmp_path: Path) -> None:
    async with Journal(tmp_path) as journal:
        await asyncio.gather(*(journal.put(str(i), {"answer": i}) for i in range(100)))
    async with Journal(tmp_path) as journal:
        assert [journal.get(str(i)) for i in range(100)] == [{"answer": i} for i in range(100)]
        assert journal.get("missing") is None


async def test_a_torn_end_costs_only_the_torn_entry(tmp_path: Path) -> None:
    async with Journal(tmp_path) as journal:
        for i in range(10):
            await journal.put(str(i), {"answer": "long " * 50})
    [path] = tmp_path.glob("*.jsonl")
    data = path.read_bytes()
    for cut in random.Random(0).sample(range(1, len(data)), 30):
        path.write_bytes(data[:cut])
        async with Journal(tmp_path, shared=True) as journal:
            whole = data[:cut].count(b"\n")
            assert len(journal) == whole
            assert all(journal.get(str(i)) == {"answer": "long " * 50} for i in range(whole))


async def test_garbage_in_the_middle_is_stepped_over(tmp_path: Path) -> None:
    async with Journal(tmp_path) as journal:
        for i in range(3):
            await journal.put(str(i), {"answer": i})
    [path] = tmp_path.glob("*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\0" * 40 + b"\n" + lines[2])
    async with Journal(tmp_path, shared=True) as journal:
        assert journal.get("0") and journal.get("2") and journal.get("1") is None


def test_what_was_put_survives_kill_9(tmp_path: Path) -> None:
    """Whatever a killed process said it had recorded is there; five kills, one folder."""
    said = 0
    for number in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
        )
        assert writer.stdout is not None
        first = int(writer.stdout.readline())
        assert first >= said
        time.sleep(0.1 + 0.05 * number)
        writer.send_signal(signal.SIGKILL)
        said = max([first, *(int(line) for line in writer.stdout.read().split())])
        writer.wait()

    async def read() -> int:
        async with Journal(tmp_path) as journal:
            return sum(journal.get(f"key-{i}") == {"answer": "x" * 200} for i in range(said))

    assert asyncio.run(read()) == said > 0


async def test_finished_shards_are_folded_into_one_file(tmp_path: Path) -> None:
    for part in range(4):
        async with Journal(tmp_path, shared=True) as journal:
            await journal.put(f"k{part}", {"answer": part})
    assert len(list(tmp_path.glob("*.jsonl"))) == 4
    async with Journal(tmp_path) as journal:
        pass
    assert len(list(tmp_path.glob("*.jsonl"))) == 1
    async with Journal(tmp_path) as journal:
        assert [journal.get(f"k{part}") for part in range(4)] == [{"answer": part} for part in range(4)]


async def test_the_first_answer_of_a_request_stays(tmp_path: Path) -> None:
    async with Journal(tmp_path) as journal:
        await journal.put("k", {"answer": 1})
        await journal.put("k", {"answer": 2})
        assert journal.get("k") == {"answer": 1}


async def test_a_full_disk_is_one_sentence_for_all_who_still_wait(tmp_path: Path, monkeypatch) -> None:
    def full(data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with Journal(tmp_path) as journal:
        puts = [asyncio.create_task(journal.put(f"k{i}", {"answer": i})) for i in range(3)]
        with monkeypatch.context() as patch:
            patch.setattr(journal, "_append", full)
            await asyncio.sleep(0)
            puts[0].cancel()
            ends = await asyncio.wait_for(asyncio.gather(*puts, return_exceptions=True), 10)
        assert isinstance(ends[0], asyncio.CancelledError)
        for end in ends[1:]:
            assert isinstance(end, UserError) and "cannot write the journal" in str(end) and "No space" in str(end)
        await journal.put("k3", {"answer": 3})
        assert journal.get("k3") == {"answer": 3}, "what is asked once there is room again is recorded"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KB and 40 files."""
    folder = tmp_path / "small"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=40", "none", str(folder)]
    if os.geteuid() or subprocess.run(words, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def fill(journal: Journal, name: str) -> None:
    for i in range(100):
        await journal.put(f"{name}-{i}", {"answer": "x" * 8_000}, (1, 1, 0.5, 0.1))


async def test_a_journal_on_a_disk_that_is_really_full_says_so_and_keeps_what_it_has(small_disk: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write the journal in .* \(No space left"):
        async with Journal(small_disk / "j") as journal:
            await fill(journal, "first")
    async with Journal(small_disk / "j", frozen=True) as journal:
        kept = len(journal)
        assert 20 < kept < 40 and all(journal.get(f"first-{i}") for i in range(kept))


async def test_a_disk_without_room_for_another_file_closes_no_file_of_another(small_disk: Path) -> None:
    with pytest.raises(UserError, match="cannot write the journal"):
        async with Journal(small_disk / "j") as journal:
            with pytest.raises(UserError, match="cannot write the journal"):
                await fill(journal, "first")
            with pytest.raises(OSError, match="No space"):
                for i in range(40):
                    (small_disk / f"{i}").touch()
            with pytest.raises(UserError, match="cannot write the journal"):
                await journal.put("second", {"answer": 2})
            with open(os.devnull, "rb") as other:  # takes the number of the file that was closed
                with pytest.raises(UserError, match="cannot write the journal"):
                    await journal.put("third", {"answer": 3})
                assert other.read() == b""
            await journal.put("fourth", {"answer": 4})


@pytest.mark.parametrize(("room", "sentence"), [(8, "cannot write the journal"), (40, "cannot be written")])
async def test_a_step_on_a_full_disk_ends_with_one_sentence_and_goes_on_when_there_is_room(
    configure, tmp_path: Path, small_disk: Path, room: int, sentence: str
) -> None:
    sections = {"categories": ["game-puzzle"], "subcategories": 12, "tasks": {"per_subcategory": 4}}
    (small_disk / "full").write_bytes(b"x" * ((256 - room) << 10))
    async with Server().open() as url:
        write_config(configure(url, sft=sections, journal=str(small_disk / "journal")), tmp_path / "config.yaml")
        words = ["sft", "tasks", "--config", str(tmp_path / "config.yaml"), "--category", "game-puzzle"]
        words = [sys.executable, "-m", "artifactscoder.cli", *words, "--output", str(small_disk / "tasks.parquet")]

        async def run() -> tuple[int, str]:
            done = await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, env=ENVIRONMENT)
            return done.returncode, done.stderr

        code, said = await run()
        assert code == 2 and sentence in said.splitlines()[-1] and "Traceback" not in said, said
        assert not (small_disk / "tasks.parquet").exists()
        (small_disk / "full").unlink()
        code, said = await run()
    assert code == 0 and (small_disk / "tasks.parquet").exists(), said


async def test_a_journal_is_known_to_be_open_until_it_is_closed_or_its_process_is_silent(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(journals, "TOUCH_S", 0.01)
    async with Journal(tmp_path, shared=True):
        [mark] = tmp_path.glob("*.open")
        os.utime(mark, (0, 0))
        time.sleep(0.2)  # what holds up the loop does not matter
        assert in_use(tmp_path)
    assert not in_use(tmp_path) and not list(tmp_path.glob("*.open"))
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, env=ENVIRONMENT)
    assert writer.stdout is not None and writer.stdout.readline() and in_use(tmp_path)
    writer.kill()
    writer.wait()
    monkeypatch.setattr(journals, "SILENT_S", 0.0)
    assert not in_use(tmp_path)
    async with Journal(tmp_path):
        pass
    assert not list(tmp_path.glob("*.open")), "what a killed process left is cleared away"
