"""Shingles, signatures and bands: what datasketch, plain Python and the formulas say of the same texts."""

from __future__ import annotations

import os
import random
import sys

import numpy as np
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from artifactscoder.config.data import DedupSettings
from artifactscoder.dedup import bands, kernels, minhash
from artifactscoder.errors import UserError

WORDS = ["".join(random.Random(i).choices("abcdefghijklmnop", k=3 + i % 6)) for i in range(3000)]


@pytest.mark.parametrize("threshold", [0.7, 0.8, 0.85])
def test_bands_chosen_find_what_is_asked_at_any_size_and_fewer_texts_get_more(threshold: float) -> None:
    made = DedupSettings(threshold=threshold, recall=0.95)
    chosen = [bands.choose(made, texts) for texts in (2, 300, 3000, 240_000, 18_000_000)]
    assert all(one.recall >= 0.95 and one.bands * one.rows <= 128 for one in chosen)
    assert [one.recall for one in chosen] == sorted((one.recall for one in chosen), reverse=True)
    assert chosen[0].rows < chosen[-1].rows and chosen[1].recall > 0.9999
    assert bands.recall(0.7, 14, 9) == pytest.approx(0.438, abs=0.001), "datasketch's own choice for 0.7"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"threshold": 0.8, "bands": 9, "rows": 13}, "finds 39.9% of the pairs at its threshold"),
        ({"threshold": 0.8, "recall": 0.9}, "95% is the least for SFT"),
        ({"threshold": 0.8, "bands": 9}, "rows must be given"),
        ({"threshold": 0.01, "permutations": 16}, "16 permutations cannot find 98% of the pairs"),
    ],
)  # fmt: skip
def test_bands_that_miss_too_much_are_refused_in_one_sentence(change: dict, sentence: str, configure) -> None:
    with pytest.raises(UserError, match=sentence) as error:
        configure(sft={"dedup": change})
    assert "\n" not in str(error.value)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(max_size=200), min_size=1, max_size=4))
def test_signatures_are_datasketchs_own(texts: list[str]) -> None:
    """Bit for bit, by the same engine that the configuration offers for comparison."""
    compared = minhash.normal([text.encode("utf-8", "surrogatepass") for text in texts])
    ours = minhash.signatures(compared, 5, 64)
    assert np.array_equal(ours, minhash.signatures(compared, 5, 64, "datasketch"))
    for text, row in zip(texts, ours, strict=True):
        oracle = MinHash(num_perm=64, scheme="affine32", hashfunc=int, seed=1)
        oracle.update_batch(minhash.shingles(text).astype(np.uint32).tolist())
        assert np.array_equal(row, oracle.hashvalues)


def test_the_estimate_is_unbiased() -> None:
    rng = random.Random(3)
    errors = []
    for _ in range(60):
        words = rng.choices(WORDS, k=150)
        changed = [w if rng.random() > 0.1 else rng.choice(WORDS) for w in words]
        pair = [" ".join(words), " ".join(changed)]
        x, y = minhash.signatures(minhash.normal([text.encode() for text in pair]), 5, 128)
        errors.append((x == y).mean() - minhash.jaccard(*map(minhash.shingles, pair)))
    assert abs(np.mean(errors)) < 0.015 and np.std(errors) < 0.06


def plain(text: str) -> list[int]:
    """What the module says of normalisation, in Python."""
    return [ord(c) for c in "".join(map(str.lower, text)).strip()]


def normalised(texts: list[str]) -> list[list[int]]:
    made = minhash.normal([text.encode("utf-8", "surrogatepass") for text in texts])
    return [made.codes[a:b].tolist() for a, b in zip(made.starts, made.ends, strict=True)]


def test_every_character_is_lowered_by_itself_and_white_space_at_the_ends_is_not_text() -> None:
    codes = [*range(0x1F000), *range(0x1F000, sys.maxunicode + 1, 97)]  # the last cases stand at 0x1E943
    texts = [f"{chr(code)}x{chr(code)}" for code in codes]
    assert normalised(texts) == list(map(plain, texts))
    assert normalised(["ΟΔΟΣ", "İ"]) == [[ord(c) for c in "οδοσ"], [ord("i"), 0x307]]
    assert normalised(["\u00e9"]) != normalised(["e\u0301"]), "no normal form is applied"


def shingles_in_python(text: str, n: int = 5) -> set[tuple[int, ...]]:
    codes = plain(text)
    return {tuple(codes[i : i + n]) for i in range(max(1, len(codes) - n + 1))}


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60), st.integers(1, 8))
def test_shingles_are_the_distinct_sequences_of_characters(x: str, y: str, n: int) -> None:
    """As many as there are, and as many in common; a shorter text is one, the empty one too."""
    ours, theirs = minhash.shingles(x, n), minhash.shingles(y, n)
    first, second = shingles_in_python(x, n), shingles_in_python(y, n)
    assert len(ours) == len(first) and len(np.intersect1d(ours, theirs)) == len(first & second)


def test_a_page_of_ten_million_characters_has_the_shingles_of_what_it_repeats(tmp_path) -> None:
    unit = "".join(random.Random(2).choices("abcdefghij äöü日本語", k=40_000))
    long, short = unit * 250, unit + unit[:4]
    assert len(long) == 10_000_000 and np.array_equal(minhash.shingles(long), minhash.shingles(short))
    x, y = minhash.signatures(minhash.normal([long.encode(), short.encode()]), 5, 128)
    assert np.array_equal(x, y)


def test_bytes_that_are_no_utf8_are_never_read_beyond() -> None:
    for raw in (b"abc\xf0", b"abc\xe0\x80", b"\xff\xfe", b"\x80"):
        assert len(minhash.normal([raw, b"next"])) == 2 and normalised(["next"])[0] == plain("next")


def test_compiled_code_is_kept_where_this_user_alone_can_write(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert kernels.cache_folder() == tmp_path / "cache/artifactscoder/numba"
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")  # a read-only home
    monkeypatch.setattr(kernels.tempfile, "gettempdir", lambda: str(tmp_path))
    assert kernels.cache_folder() == tmp_path / f"artifactscoder-{os.getuid()}/numba"
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/proc/nowhere")
    with pytest.raises(UserError, match="name a folder for compiled code in NUMBA_CACHE_DIR"):
        kernels.cache_folder()
