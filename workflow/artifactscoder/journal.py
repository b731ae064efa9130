"""Answers on disk before they count, so that no kill loses one and none is asked for twice.

A journal is a folder of JSON Lines files. Each process appends to a file of its own (its name holds time, host and
process, so no lock is needed, also on a network file system) and waits until its line is synced before it hands the
answer on; lines that arrive together share one sync. A line cut short by a kill or a crash is not a line: reading
skips a torn end. When a shard is done its files are folded into one. Keys are digests of the request.

In memory: one (file, offset, length) a key, about 150 bytes; answers are read from disk when they are asked for.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import orjson

from artifactscoder.errors import UserError

Entry = dict[str, Any]


class Journal:
    """`async with Journal(folder) as journal`: `get(key)` is the recorded entry or None; `put(key, entry)` records."""

    def __init__(self, folder: Path, shared: bool = False) -> None:
        """`shared`: other processes write in the same folder, so its files are not folded."""
        self.folder = Path(folder)
        self.shared = shared
        self._index: dict[str, tuple[int, int, int]] = {}
        self._files: list[Path] = []
        self._readers: dict[int, BinaryIO] = {}
        self._own: int | None = None
        self._descriptor = -1
        self._size = 0
        self._waiting: list[tuple[str, bytes, asyncio.Future[None]]] = []
        self._flusher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Journal:
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(self.folder.glob("*.jsonl")):
            self._read(path)
        return self

    def _read(self, path: Path) -> None:
        number = len(self._files)
        self._files.append(path)
        offset = 0
        with open(path, "rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    try:
                        key = orjson.loads(line)["key"]
                    except (orjson.JSONDecodeError, KeyError, TypeError):
                        key = None  # torn by a power cut in the middle of the file: asked again
                    if key is not None and key not in self._index:
                        self._index[key] = (number, offset, len(line))
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
        entry = orjson.loads(reader.read(length))
        del entry["key"]
        return entry

    async def put(self, key: str, entry: Entry) -> None:
        """Record `entry`; returns when it is on disk. A key that is there already keeps its first entry."""
        if key in self._index:
            return
        line = orjson.dumps({"key": key, **entry}) + b"\n"
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, line, done))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        await done

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
                os.close(self._descriptor)
            path = self.folder / f"{time.time_ns():020d}-{os.uname().nodename}-{os.getpid()}.jsonl"
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            self._own, self._size = len(self._files), 0
            self._files.append(path)
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        os.fsync(self._descriptor)

    def fold(self) -> None:
        """Fold all files into one and remove the others; called when the shard is done, never while asking."""
        if len(self._files) < 2:
            return
        target = self.folder / f"{time.time_ns():020d}-{os.uname().nodename}-{os.getpid()}-folded.jsonl"
        draft = target.with_suffix(".tmp")
        with open(draft, "wb") as file:
            for key in self._index:
                entry = self.get(key)
                assert entry is not None
                file.write(orjson.dumps({"key": key, **entry}) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
        self._close()
        for path in self._files:
            path.unlink()

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
        if self._flusher is not None:
            await self._flusher
        if kind is None and not self.shared:
            self.fold()
        self._close()
