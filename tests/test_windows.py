"""What CPT reads: every token of every source, each source by its share, known from the number of the step alone."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from artifactscoder.errors import UserError
from artifactscoder.indexed import Writer
from artifactscoder.train import windows
from artifactscoder.train.windows import Windows

LENGTH = 16


def mixture(folder: Path, sources: dict[str, tuple[float, list[list[int]]]], length: int = LENGTH) -> Path:
    """`mixture.json` and its token files: source -> (weight, for each file the lengths of its documents).

    Tokens count up from 1 within a source, so that each says where it stands.
    """
    told = []
    for name, (weight, files) in sources.items():
        shards, at = [], 1
        for number, lengths in enumerate(files):
            shard = f"{name}-{number:02d}"
            with Writer(folder / shard, 151_936) as writer:
                for n in lengths:
                    writer.add(range(at, at + n))
                    at += n
            path = f"results/cpt/pack/{shard}"
            shards.append({"path": path, "tokens": writer.tokens, "documents": writer.documents})
        documents = sum(map(len, files))
        told.append({"name": name, "weight": weight, "tokens": at - 1, "documents": documents, "shards": shards})
    path = folder / "mixture.json"
    path.write_text(json.dumps({"length": length, "vocabulary": 151_936, "end_token": 0, "sources": told}))
    return path


def test_a_pass_holds_every_token_once_and_windows_know_their_documents(tmp_path: Path) -> None:
    files = [[5, 40, 0, 3], [1], [], [30, 21]]
    path = mixture(tmp_path, {"tree": (1.0, files)})
    read = Windows(path, windows.read(path).windows, seed=1)
    assert len(read) == 7  # 100 tokens
    seen = Counter[int]()
    documents = []
    at = 1
    for lengths in files:
        for n in filter(None, lengths):
            documents.append(set(range(at, at + n)))
            at += n
    for ids, lengths in (read[place] for place in range(len(read))):
        assert len(ids) == sum(lengths) and all(lengths)
        seen.update(ids.tolist())
        for part in np.split(ids, np.cumsum(lengths)[:-1]):
            assert any(set(part.tolist()) <= document for document in documents)
            assert list(part) == list(range(part[0], part[-1] + 1))
    assert set(seen) == set(range(1, 101)) and set(seen.values()) == {1}


def test_sources_have_their_shares_in_any_stretch_and_no_window_comes_twice_in_a_pass(tmp_path: Path) -> None:
    path = mixture(tmp_path, {"tree": (3.0, [[LENGTH * 30]]), "websight": (1.0, [[LENGTH * 20]])})
    read = windows.read(path)
    sources, numbers = windows.order(read, 160, seed=7)
    for begin in range(0, 160, 8):
        assert abs(int((sources[begin : begin + 8] == 0).sum()) - 6) <= 2
    tree = numbers[sources == 0]
    assert len(tree) == 120 and all(sorted(tree[i : i + 30]) == list(range(30)) for i in range(0, 120, 30))
    assert list(tree[:30]) != list(tree[30:60]) != list(range(30))
    assert len(set(numbers[sources == 1][:20].tolist())) == 20
    assert windows.drawn(read, 160) == [
        {"source": "tree", "windows": 120, "of": 30, "passes": 4.0},
        {"source": "websight", "windows": 40, "of": 20, "passes": 2.0},
    ]


def test_the_order_follows_from_the_seed(tmp_path: Path) -> None:
    read = windows.read(mixture(tmp_path, {"tree": (1.0, [[LENGTH * 50]]), "websight": (1.0, [[LENGTH * 50]])}))
    first, again, other = (windows.order(read, 100, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[1], other[1])


def test_the_order_of_75_billion_tokens_costs_5_bytes_a_window() -> None:
    sources = (
        windows.Source("tree", 70 / 75, (), 70_000_000_000),
        windows.Source("websight", 5 / 75, (), 5_000_000_000),
    )
    tracemalloc.start()
    order = windows.order(windows.Mixture(16_384, sources), 4_577_637, seed=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 250e6
    assert sum(part.nbytes for part in order) == 5 * 4_577_637


@pytest.mark.parametrize(
    "text, said",
    [
        ("{}", "is no mixture of cpt/mixture"),
        ("[", "is no mixture of cpt/mixture"),
        (json.dumps({"length": 16, "sources": [{"tokens": 0, "weight": 1}]}), "is no mixture|holds no tokens"),
    ],
)
def test_another_file_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "mixture.json").write_text(text)
    with pytest.raises(UserError, match=said):
        windows.read(tmp_path / "mixture.json")
    with pytest.raises(UserError, match="there is no file"):
        windows.read(tmp_path / "none.json")
