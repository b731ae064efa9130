"""Token files: the same bytes for Megatron and for a memory map, whole or not there at all."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from artifactscoder.errors import UserError
from artifactscoder.indexed import Reader, Writer, bin_path, idx_path

DOCUMENTS = [[1, 2, 3], [4], [], [5, 6, 7, 8]]


@pytest.mark.parametrize("vocabulary, type_", [(1_000, np.uint16), (151_936, np.int32)])
def test_documents_come_back_and_a_window_is_a_slice(tmp_path: Path, vocabulary: int, type_: type) -> None:
    name = tmp_path / "games-play.00"
    with Writer(name, vocabulary) as writer:
        for ids in DOCUMENTS:
            writer.add(ids)
    assert (writer.documents, writer.tokens) == (4, 8)
    reader = Reader(name)
    assert [list(reader[i]) for i in range(len(reader))] == DOCUMENTS
    assert reader.tokens.dtype == type_ and list(reader.tokens[2:6]) == [3, 4, 5, 6]
    assert list(reader.starts) == [0, 3, 4, 4, 8]


def test_the_index_is_laid_out_as_megatron_reads_it(tmp_path: Path) -> None:
    with Writer(tmp_path / "a", 151_936) as writer:
        for ids in DOCUMENTS:
            writer.add(ids)
    data = idx_path(tmp_path / "a").read_bytes()
    assert data[:9] == b"MMIDIDX\x00\x00" and struct.unpack_from("<QBQQ", data, 9) == (1, 4, 4, 5)
    body = data[34:]
    assert list(np.frombuffer(body, np.int32, 4)) == [3, 1, 0, 4]
    assert list(np.frombuffer(body, np.int64, 4, 16)) == [0, 12, 16, 16]
    assert list(np.frombuffer(body, np.int64, 5, 48)) == [0, 1, 2, 3, 4] and len(body) == 88


def test_an_error_leaves_no_file_and_the_old_pair_untouched(tmp_path: Path) -> None:
    name = tmp_path / "a"
    with Writer(name, 100) as writer:
        writer.add([1])
    with pytest.raises(OverflowError), Writer(name, 100) as writer:
        writer.add([2])
        writer.add([70_000])
    assert [list(document) for document in Reader(name)] == [[1]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "a.idx"]


def test_missing_foreign_and_cut_files_are_one_sentence(tmp_path: Path) -> None:
    name = tmp_path / "a"
    with pytest.raises(UserError, match="there is no file .*a.idx"):
        Reader(name)
    with Writer(name, 100) as writer:
        writer.add([1, 2])
    bin_path(name).write_bytes(b"\x01\x00")
    with pytest.raises(UserError, match="2 bytes instead of 4"):
        Reader(name)
    idx_path(name).write_bytes(b"x" * 60)
    with pytest.raises(UserError, match="no index of this kind"):
        Reader(name)
    idx_path(name).write_bytes(b"x")
    with pytest.raises(UserError, match="cannot be read"):
        Reader(name)
