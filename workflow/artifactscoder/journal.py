"""Answers on disk before they count, so that no kill loses one and none is asked for twice.

A journal is a folder of JSON Lines files. Each process appends to a file of its own (its name holds time, host and
process, so no lock is needed, also on a network file system) and waits until its line is synced before it hands the
answer on; lines that arrive together share one sync. A line cut short by a kill or a crash is not a line: reading
skips a torn end. When a shard is done its files are folded into one. Keys are digests of the request.

What an entry cost and which model gave it stand at the head of its line, so opening sums it up without parsing the
answers: 100,000 answers of 16 KB are ready in about two seconds. `paid.json` beside them holds the sums, whole and by
model, for others to read (budget, watch, plan); it is written anew every few seconds and is never needed to resume.
`unused.json` lists the entries that the last complete run did not ask for (an older prompt's, say): `artifactscoder
journal prune` removes those, but not while a process has the journal open: each touches a file of its own (`.open`)
every minute, also while it waits a day for a batch, and no lock is needed for that either.

In memory: one (file, offset, length) a key, about 150 bytes; answers are read from disk when they are asked for.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import orjson

from artifactscoder import files
from artifactscoder.errors import UserError

Entry = dict[str, Any]
Cost = tuple[int, int, float, float]
PAID, UNUSED = "paid.json", "unused.json"
PAID_EVERY_S = 5.0
OPEN, TOUCH_S, SILENT_S = ".open", 60.0, 600.0
_HEAD = re.compile(
    rb'\{"key":"([^"]+)"(?:,"paid":\[(\d+),(\d+),([\d.e+-]+),([\d.e+-]+)\](?:,"model":"([^"\\]*)")?)?[,}]'
)


@dataclass
class Paid:
    """What answers cost: how many, their prompt and answer tokens, money, and seconds of waiting for them."""

    answers: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    seconds: float = 0.0

    def add(self, tokens_in: int, tokens_out: int, cost: float, seconds: float) -> None:
        self.answers += 1
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        self.cost += cost
        self.seconds += seconds

    def __add__(self, other: Paid) -> Paid:
        return Paid(*(mine + its for mine, its in zip(vars(self).values(), vars(other).values(), strict=True)))

    def __sub__(self, other: Paid) -> Paid:
        return Paid(*(mine - its for mine, its in zip(vars(self).values(), vars(other).values(), strict=True)))

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out


def in_use(folder: Path) -> bool:
    """Whether a process of any host has the journal open; one that was killed counts for another SILENT_S."""
    return any(not _stale(path) for path in folder.glob(f"*{OPEN}"))


def _stale(mark: Path) -> bool:
    try:
        return time.time() - mark.stat().st_mtime > SILENT_S
    except FileNotFoundError:
        return True


def paid(folder: Path) -> Paid:
    """What the answers in a journal's folder cost, by their own lines: to the last one, of any number of writers."""
    journal = Journal(folder, frozen=True)
    for path in sorted(folder.glob("*.jsonl")):
        journal._read(path)
    return journal.paid


class Journal:
    """`async with Journal(folder) as journal`: `get(key)` is the recorded entry or None; `put(key, entry)` records."""

    def __init__(self, folder: Path, shared: bool = False, frozen: bool = False) -> None:
        """`shared`: other processes write in the same folder, so its files are not folded. `frozen`: only read."""
        self.folder = Path(folder)
        self.shared = shared
        self.frozen = frozen
        self.paid = Paid()  # for all that is here, this process' and those before it
        self._of: dict[str, Paid] = {}  # the same by model
        self._before, self._before_of = Paid(), dict[str, Paid]()
        self._index: dict[str, tuple[int, int, int]] = {}
        self._used: set[str] = set()
        self._files: list[Path] = []
        self._readers: dict[int, BinaryIO] = {}
        self._own: int | None = None
        self._descriptor = -1
        self._size = 0
        self._waiting: list[tuple[str, bytes, asyncio.Future[None]]] = []
        self._flusher: asyncio.Task[None] | None = None
        self._said = 0.0
        self._mark = self.folder / f"{_own_name()}{OPEN}"
        self._closed = threading.Event()

    async def __aenter__(self) -> Journal:
        if not self.frozen:
            self.folder.mkdir(parents=True, exist_ok=True)
            with suppress(OSError):  # no room: nothing can be written either
                self._mark.touch()
                # A thread, for a model that decodes in this process holds up the loop.
                threading.Thread(target=_touch, args=(self._mark, self._closed), daemon=True).start()
            for other in self.folder.glob(f"*{OPEN}"):
                if _stale(other):
                    other.unlink(missing_ok=True)
        for path in sorted(self.folder.glob("*.jsonl")):
            self._read(path)
        self._before, self._before_of = self.paid + Paid(), {model: one + Paid() for model, one in self._of.items()}
        self._say()
        return self

    def _read(self, path: Path) -> None:
        number = len(self._files)
        self._files.append(path)
        offset = 0
        with open(path, "rb", buffering=1 << 20) as file:
            for line in file:
                # What is torn in the middle of the file, by a power cut, is found when it is read, and asked again.
                head = _HEAD.match(line[:512]) if line.endswith(b"}\n") else None
                if head is not None:
                    key = head[1].decode()
                    if key not in self._index:
                        self._index[key] = (number, offset, len(line))
                        if head[2] is not None:
                            paid = (int(head[2]), int(head[3]), float(head[4]), float(head[5]))
                            self._count(paid, (head[6] or b"").decode())
                offset += len(line)

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, key: str) -> bool:
        return key in self._index

    def get(self, key: str) -> Entry | None:
        """What was recorded under `key`."""
        place = self._index.get(key)
        if place is None:
            return None
        number, offset, length = place
        reader = self._readers.get(number)
        if reader is None:
            reader = self._readers[number] = open(self._files[number], "rb")  # noqa: SIM115
        reader.seek(offset)
        try:
            entry = orjson.loads(reader.read(length))
            if entry.pop("key") != key:
                raise ValueError
        except (ValueError, LookupError):
            del self._index[key]
            return None
        self._used.add(key)
        return dict(entry)

    def _count(self, paid: Cost, model: str) -> None:
        self.paid.add(*paid)
        self._of.setdefault(model, Paid()).add(*paid)

    async def put(self, key: str, entry: Entry, paid: Cost | None = None, model: str = "") -> None:
        """Record `entry`; returns when it is on disk. A key that is there already keeps its first entry.

        `paid`: prompt tokens, answer tokens, money, seconds; for what had to be paid for. `model`: who was paid.
        """
        if self.frozen:
            raise RuntimeError(f"{self.folder} is only read here")
        if key in self._index:
            return
        head: Entry = {"key": key, "paid": paid, "model": model} if paid else {"key": key}
        line = orjson.dumps(head | entry) + b"\n"
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, line, done))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        await done
        self._used.add(key)
        if paid:
            self._count(paid, model)
            if time.monotonic() - self._said >= PAID_EVERY_S:
                self._say()

    async def _flush(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(self._append, b"".join(line for _, line, _ in group))
            except OSError as error:
                self._own = None  # what reached the file is torn: a next write begins a file of its own
                stop = UserError(
                    f"cannot write the journal in {self.folder} ({error.strerror}); "
                    "make room or mend the file system, then start the same command again"
                )
                for _, _, done in group:
                    if not done.done():
                        done.set_exception(stop)
                continue
            assert self._own is not None
            for key, line, done in group:
                self._index.setdefault(key, (self._own, self._size, len(line)))
                self._size += len(line)
                if not done.done():
                    done.set_result(None)

    def _append(self, data: bytes) -> None:
        if self._own is None:
            if self._descriptor >= 0:
                torn, self._descriptor = self._descriptor, -1
                with suppress(OSError):  # its trouble was told already
                    os.close(torn)
            path = self.folder / f"{_own_name()}.jsonl"
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            self._own, self._size = len(self._files), 0
            self._files.append(path)
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        os.fsync(self._descriptor)

    def _say(self) -> None:
        """Write what was paid for all that is here; of several writers each for its own answers."""
        paid, of, path = self.paid, self._of, self.folder / PAID
        if self.shared:
            paid = paid - self._before
            of = {model: one - self._before_of.get(model, Paid()) for model, one in of.items()}
            path = path.with_name(f"{os.uname().nodename}-{os.getpid()}.{PAID}")
        if paid.answers and not self.frozen:
            self._said = time.monotonic()
            with suppress(OSError):  # the answers themselves tell of a full disk
                files.write_bytes(path, orjson.dumps({**vars(paid), "models": of}), sync=False)

    def fold(self) -> None:
        """Fold all files into one and remove the others; called when the shard is done, never while asking."""
        unused = sorted(self._index.keys() - self._used)
        if unused:
            files.write_bytes(self.folder / UNUSED, orjson.dumps(unused))
        else:
            (self.folder / UNUSED).unlink(missing_ok=True)
        if len(self._files) > 1:
            self.rewrite(self._index)

    def rewrite(self, keys: Any, unless: Callable[[], bool] = lambda: False) -> bool:
        """Write the entries of `keys` into one new file and remove the others; `unless` is asked when the new one is
        written. Returns whether all was done."""
        target = self.folder / f"{_own_name()}-folded.jsonl"
        draft = files.temporary(self.folder / "folded")
        with open(draft, "wb") as file:
            for key in keys:
                number, offset, length = self._index[key]
                if number not in self._readers:
                    self._readers[number] = open(self._files[number], "rb")  # noqa: SIM115
                self._readers[number].seek(offset)
                file.write(self._readers[number].read(length))
            file.flush()
            os.fsync(file.fileno())
        if unless():
            draft.unlink()
            return False
        os.replace(draft, target)
        self._close()
        for path in self._files:
            path.unlink()
        return True

    def _close(self) -> None:
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._flusher is not None:
                await self._flusher
            self._say()
            if kind is None and not (self.shared or self.frozen):
                self.fold()
        finally:
            self._close()
            self._closed.set()
            with suppress(OSError):
                self._mark.unlink(missing_ok=True)


def _own_name() -> str:
    """The beginning of the names of a process' own files; in the order of time."""
    return f"{time.time_ns():020d}-{os.uname().nodename}-{os.getpid()}"


def _touch(mark: Path, closed: threading.Event) -> None:
    """Keep a mark fresh until the journal is closed, or its folder is gone.

    Of a process that stood still for longer than SILENT_S another one may have removed it: it is made again.
    """
    while not closed.wait(TOUCH_S):
        try:
            mark.touch()
        except FileNotFoundError:
            return
        except OSError:
            pass  # a file system that is away for a while
        if closed.is_set():
            mark.unlink(missing_ok=True)
