"""`python -m artifactscoder.train.verl_cpt`: verl's SFT trainer on packed windows instead of conversations.

verl's doors: `data.custom_cls` takes the dataset, and the trainer's module looks up sampler, collator and trainer by
name. The windows come in the order of `windows`, so a run is one pass over an order that was drawn up for it.

A window holds several documents, and none may look at another. Each becomes a row of its own: where verl packs a micro
batch, rows are what its engines keep apart, FSDP2 by position ids that begin anew and Megatron by the lengths of rows
(it does not look at position ids). A micro batch may then hold any rows of a step, and the loss is the mean over all
tokens of the step that have one: all but the first of each row, which nothing stands before.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from torch.utils.data import Dataset, Sampler
from verl.trainer import sft_trainer
from verl.utils.dataset.dataset_utils import SFTTensorCollator

from artifactscoder.train.verl_stop.sft import StoppableTrainer
from artifactscoder.train.windows import Windows

Row = dict[str, torch.Tensor]


class PackedWindows(Dataset[list[Row]]):
    """Item k: the documents of the window at place k, a row each."""

    def __init__(self, parquet_files: str, tokenizer: Any, config: Any, **_: Any) -> None:
        """`parquet_files`: mixture.json (verl's name for it). `config.windows`: draws and seed of the order."""
        self.windows = Windows(Path(parquet_files), config.windows.draws, config.windows.seed)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, place: int) -> list[Row]:
        ids, lengths = self.windows[place]
        return [row(part) for part in torch.from_numpy(ids).split(lengths)]


def row(ids: torch.Tensor) -> Row:
    """A document, or a part of one, as verl's trainer takes it."""
    position = torch.arange(len(ids))
    return {"input_ids": ids, "position_ids": position, "loss_mask": (position > 0).long()}


class InOrder(Sampler[int]):
    """A rank's places in the order; any step takes the same windows, whatever the number of ranks."""

    def __init__(self, dataset: Any, num_replicas: int, rank: int, **_: Any) -> None:
        self.places = range(rank, len(dataset), num_replicas)

    def __iter__(self) -> Iterator[int]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def set_epoch(self, epoch: int) -> None:
        """The order holds all passes."""


class RowsOfWindows(SFTTensorCollator):  # type: ignore[misc]
    """verl's collator, on the rows of all windows of a batch."""

    def __call__(self, batch: Any) -> Any:  # of each window the list of its rows
        return super().__call__(list(chain.from_iterable(batch)))


class PackedTrainer(StoppableTrainer):
    """Ranks hold different numbers of rows, so their lengths are gathered as lists."""

    def _get_batch_seqlens(self, data: Any) -> list[int]:
        self.look()
        own: list[int] = data["input_ids"].offsets().diff().tolist()
        ranks, group = self.engine.get_data_parallel_size(), self.engine.get_data_parallel_group()
        if ranks == 1 or group is None:
            return own
        every: list[Any] = [None] * ranks
        torch.distributed.all_gather_object(every, own, group=group)
        return list(chain.from_iterable(every))


if __name__ == "__main__":
    sft_trainer.DistributedSampler = InOrder  # type: ignore[misc,assignment]
    sft_trainer.SFTTensorCollator = RowsOfWindows  # type: ignore[misc]
    sft_trainer.SFTTrainer = PackedTrainer  # type: ignore[misc]
    sft_trainer.main()
