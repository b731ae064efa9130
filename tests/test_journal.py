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
from pathlib import Path

from artifactscoder.errors import UserError
from artifactscoder.journal import Journal

WRITER = """
import asyncio, sys
from pathlib import Path
from artifactscoder.journal import Journal
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
        environment = {**os.environ, "PYTHONPATH": "workflow"}
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
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
