"""Tokens on disk as training reads them: Megatron's indexed dataset, which is a memory-mapped token array as well.

`NAME.bin` holds the tokens of all documents one after another (uint16 or int32, by the size of the vocabulary) and
nothing else; `NAME.idx` says where each document begins. Megatron reads the pair as it is; `Reader` maps the same
bytes, so that a window of any length is a slice that costs no memory and any window can be had first. Written
streaming; 12 bytes a document are held until the end. The index is moved into place last: where it stands, the pair
is whole.

Layout of the index, little-endian: 9 bytes of magic, version 1 (u64), type (u8: 8 is uint16, 4 is int32), documents
(u64), documents + 1 (u64), their lengths [tokens] (int32 each), their places in `.bin` [bytes] (int64 each), and
0 ... documents (int64 each). Source: Megatron-core, `IndexedDataset`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifactscoder.errors import UserError
from artifactscoder.files import temporary

MAGIC = b"MMIDIDX\x00\x00"
HEADER = struct.Struct("<9sQBQQ")
TYPES: dict[int, Any] = {8: np.uint16, 4: np.int32}
SHORT = 65_500  # Megatron takes uint16 below this many tokens of the vocabulary


def bin_path(name: Path) -> Path:
    """The token file of `name`, which may hold dots."""
    return name.with_name(f"{name.name}.bin")


def idx_path(name: Path) -> Path:
    """The index of `name`."""
    return name.with_name(f"{name.name}.idx")


class Writer:
    """Write documents in the order given; the pair appears only when the block ends without an error."""

    def __init__(self, name: Path, vocabulary: int) -> None:
        self.name = name
        self.code = 8 if vocabulary < SHORT else 4
        self.tokens = 0
        self._lengths: list[int] = []
        self._draft = temporary(bin_path(name))

    def __enter__(self) -> Writer:
        self._file = open(self._draft, "wb")
        return self

    def add(self, ids: Sequence[int] | NDArray[np.int32]) -> None:
        """Append one document. Raises OverflowError where an id does not fit the vocabulary's type."""
        if isinstance(ids, np.ndarray) and len(ids) and ids.max() > np.iinfo(TYPES[self.code]).max:
            raise OverflowError(f"{ids.max()} is no token of this vocabulary")
        self._file.write(np.array(ids, dtype=TYPES[self.code]).tobytes())
        self._lengths.append(len(ids))
        self.tokens += len(ids)

    @property
    def documents(self) -> int:
        return len(self._lengths)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        index = temporary(idx_path(self.name))
        try:
            with self._file as file:
                file.flush()
                os.fsync(file.fileno())
            if kind is None:
                self._index(index)
                idx_path(self.name).unlink(missing_ok=True)  # never the old index over new tokens
                os.replace(self._draft, bin_path(self.name))
                os.replace(index, idx_path(self.name))
        finally:
            self._draft.unlink(missing_ok=True)
            index.unlink(missing_ok=True)

    def _index(self, path: Path) -> None:
        lengths = np.array(self._lengths, np.int32)
        n = len(lengths)
        places = _starts(lengths)[:n] * np.dtype(TYPES[self.code]).itemsize
        with open(path, "wb") as file:
            file.write(HEADER.pack(MAGIC, 1, self.code, n, n + 1))
            for part in (lengths, places, np.arange(n + 1, dtype=np.int64)):
                file.write(part.tobytes())
            file.flush()
            os.fsync(file.fileno())


class Reader:
    """A pair, mapped: `tokens` [all documents, one after another], `lengths` int32[n], `starts` int64[n + 1]."""

    def __init__(self, name: Path) -> None:
        try:
            head = HEADER.unpack(idx_path(name).open("rb").read(HEADER.size))
            magic, version, code, n, _ = head
            if magic != MAGIC or version != 1 or code not in TYPES:
                raise ValueError("it is no index of this kind")
            self.lengths: NDArray[np.int32] = np.memmap(idx_path(name), np.int32, "r", HEADER.size, n) if n else _NONE
            self.starts: NDArray[np.int64] = _starts(self.lengths)
            size = bin_path(name).stat().st_size
            wanted = int(self.starts[-1]) * np.dtype(TYPES[code]).itemsize
            if size != wanted:
                raise ValueError(f"{bin_path(name).name} has {size} bytes instead of {wanted}")
            self.tokens: NDArray[Any] = np.memmap(bin_path(name), TYPES[code], "r") if size else _NONE
        except FileNotFoundError as error:
            raise UserError(f"there is no file {error.filename}; run the step that makes it") from None
        except (struct.error, ValueError) as error:
            raise UserError(f"{idx_path(name)} cannot be read ({error}); make it again") from None

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, number: int) -> NDArray[Any]:
        """The tokens of one document."""
        return self.tokens[self.starts[number] : self.starts[number + 1]]


_NONE: NDArray[np.int32] = np.empty(0, np.int32)


def _starts(lengths: NDArray[np.int32]) -> NDArray[np.int64]:
    """Where each document begins [tokens], and the end of the last."""
    out = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=out[1:])
    return out
