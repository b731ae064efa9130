"""The windows that train/cpt draws from the token files of cpt/pack, in an order that is known from its beginning.

In comes `mixture.json`, which names the token files of each source and its weight; out come windows of `length`
tokens, each with the lengths of the documents, or parts of documents, that lie in it. The token files of a source are
read as one long text, so no token is left out; its last window is shorter.

The order is a function of the seed and of how many windows the run draws, and a window is known from its place in it:
that is how a resumed run goes on exactly. Every source has its share in any stretch of the order, to within two
windows. A source is shuffled anew for each pass over it, and no window comes again before all others of its source
have come. Held for each drawn window: 5 bytes (4.6 million windows of 16K tokens: 23 MB in each process), for each
document 8 bytes; tokens stay on disk, mapped. Drawing up the order of 4.6 million takes 1 s and 200 MB for a moment.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifactscoder.errors import UserError
from artifactscoder.indexed import Reader, bin_path, idx_path


@dataclass(frozen=True)
class Source:
    """One source of a mixture: its share of what is drawn, its token files and all their tokens."""

    name: str
    share: float
    files: tuple[Path, ...]
    tokens: int

    def windows(self, length: int) -> int:
        """Windows of one pass; the last may be shorter."""
        return -(-self.tokens // length)


@dataclass(frozen=True)
class Mixture:
    """What `mixture.json` says: window length [tokens] and the sources that have tokens and weight."""

    length: int
    sources: tuple[Source, ...]
    tokenizer: str = ""  # its digest, by html.tokens

    @property
    def windows(self) -> int:
        """Windows of one pass over every source."""
        return sum(source.windows(self.length) for source in self.sources)

    @property
    def files(self) -> list[Path]:
        """Every file of tokens and every index."""
        names = [name for source in self.sources for name in source.files]
        return [part for name in names for part in (bin_path(name), idx_path(name))]


def read(path: Path) -> Mixture:
    """The mixture of a file that cpt/mixture wrote; the token files stand beside it. Raises UserError for another."""
    try:
        told = json.loads(path.read_text())
        weights = sum(source["weight"] for source in told["sources"] if source["tokens"])
        sources = [
            Source(
                name=source["name"],
                share=source["weight"] / weights,
                files=tuple(path.parent / Path(shard["path"]).name for shard in source["shards"] if shard["tokens"]),
                tokens=source["tokens"],
            )
            for source in told["sources"]
            if source["tokens"] and source["weight"]
        ]
        length = int(told["length"])
    except FileNotFoundError:
        raise UserError(f"there is no file {path}; run cpt/mixture, or correct the path") from None
    except (ValueError, LookupError, TypeError, ZeroDivisionError):
        raise UserError(f"{path} is no mixture of cpt/mixture; give its mixture.json") from None
    if not sources:
        raise UserError(f"{path} holds no tokens; run cpt/pack on pages first")
    return Mixture(length, tuple(sources), told.get("tokenizer", ""))


def counts(mixture: Mixture, draws: int) -> list[int]:
    """Windows drawn of each source: its share of `draws`, rounded so that they add up."""
    exact = [source.share * draws for source in mixture.sources]
    out = [int(value) for value in exact]
    by_rest = sorted(range(len(exact)), key=lambda i: out[i] - exact[i])
    for i in by_rest[: draws - sum(out)]:
        out[i] += 1
    return out


def order(mixture: Mixture, draws: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """(source, window of that source) at each place of the order, [draws] each."""
    numbers = counts(mixture, draws)
    places = np.empty(draws, np.float64)
    sources = np.repeat(np.arange(len(numbers), dtype=np.uint8), numbers)
    windows = np.empty(draws, np.int32)
    begin = 0
    for i, (source, count) in enumerate(zip(mixture.sources, numbers, strict=True)):
        whole, at = source.windows(mixture.length), 0
        for number in range(-(-count // whole)):
            taken = min(whole, count - at)
            shuffled = np.random.default_rng([seed, i, number]).permutation(whole)[:taken]
            windows[begin + at : begin + at + taken] = shuffled
            at += taken
        # The j-th of a source's n stands somewhere in the j-th of n equal parts of the order.
        jitter = np.random.default_rng([seed, i]).random(count)
        places[begin : begin + count] = (np.arange(count) + jitter) / max(count, 1)
        begin += count
    sorting = np.argsort(places, kind="stable")
    return sources[sorting], windows[sorting]


class Tokens:
    """The token files of one source as one text, mapped."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.readers = [Reader(name) for name in files]
        sizes = [len(reader.tokens) for reader in self.readers]
        self.begins = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    def window(self, number: int, length: int) -> tuple[NDArray[np.int64], list[int]]:
        """(token ids, lengths of the documents or parts of documents in it) of the window `number`."""
        begin, end = number * length, min((number + 1) * length, int(self.begins[-1]))
        ids, lengths = [], list[int]()
        for i in range(int(np.searchsorted(self.begins, begin, "right")) - 1, len(self.readers)):
            low, high = max(begin - self.begins[i], 0), min(end - self.begins[i], len(self.readers[i].tokens))
            if low >= high:
                break
            starts = self.readers[i].starts
            first, last = np.searchsorted(starts, [low, high], "right")
            cuts = starts[first:last]
            lengths += [n for n in np.diff([low, *cuts[cuts < high], high]).tolist() if n]
            ids.append(self.readers[i].tokens[low:high].astype(np.int64))
        return np.concatenate(ids), lengths


class Windows:
    """The windows of a run, by their place in its order."""

    def __init__(self, path: Path, draws: int, seed: int) -> None:
        mixture = read(path)
        self.length = mixture.length
        self._sources, self._windows = order(mixture, draws, seed)
        self._tokens = [Tokens(source.files) for source in mixture.sources]

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, place: int) -> tuple[NDArray[np.int64], list[int]]:
        """(token ids, lengths of the documents in it)."""
        return self._tokens[self._sources[place]].window(int(self._windows[place]), self.length)


def drawn(mixture: Mixture, draws: int) -> list[dict[str, Any]]:
    """What a run of so many windows reads of each source, for its manifest."""
    return [
        {
            "source": source.name,
            "windows": count,
            "of": source.windows(mixture.length),
            "passes": round(count / source.windows(mixture.length), 4),
        }
        for source, count in zip(mixture.sources, counts(mixture, draws), strict=True)
    ]
