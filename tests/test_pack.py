"""Packing: what training reads is what the pages say, whoever tokenised it, and a page can end no document early."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from artifactscoder import indexed, tables
from artifactscoder.cpt import fim, mixture, pack
from artifactscoder.errors import UserError
from artifactscoder.ledger import Ledger, beside

PAGE = "<!DOCTYPE html>\n<html><body><h1>Shop {n}</h1>\n<p>Ünïcode, 漢字 🎉 and prices: {n} €</p></body></html>"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A tokenizer as code models have them: byte-level, with marks, of which only the end is called special."""
    folder = tmp_path_factory.mktemp("model")
    make(folder, fim.NAMES[0])
    return folder


def make(folder: Path, marks: tuple[str, ...]) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([PAGE.format(n=n) for n in range(50)], trainer)
    tokenizer.add_tokens([AddedToken(text, special=False) for text in marks])
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))


def documents(name: Path, model: Path) -> list[str]:
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    reader = indexed.Reader(name)
    return [tokenizer.decode(reader[i].tolist(), skip_special_tokens=False) for i in range(len(reader))]


def test_a_page_that_spells_a_control_token_ends_no_document(configure, tmp_path, pages, model) -> None:
    spelled = PAGE.format(n=1) + "<code><|endoftext|> <|fim_prefix|> <||endoftext|></code>"
    path = pages("in", {"a/1": spelled, "a/2": PAGE.format(n=2)})
    pack.run(configure(cpt={"pack": {"fim_rate": 0}}), path, model, tmp_path / "out.idx")
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    end = tokenizer.token_to_id("<|endoftext|>")
    reader = indexed.Reader(tmp_path / "out")
    assert [list(reader[i]).count(end) for i in (0, 1)] == [1, 1] == [int(reader[i][-1] == end) for i in (0, 1)]
    assert documents(tmp_path / "out", model)[0] == f"Make a page.\n\n{spelled}<|endoftext|>"


def test_any_number_of_processes_writes_the_same_bytes(configure, tmp_path, pages, model) -> None:
    config = configure(cpt={"pack": {"fim_rate": 0.5}})
    path = pages("in", {f"a/{n}": PAGE.format(n=n) * (1 + n % 3) for n in range(300)})
    for processes in (1, 2):
        pack.run(config, path, model, tmp_path / f"{processes}.idx", processes)
    for end in (".bin", ".idx"):
        assert (tmp_path / f"1{end}").read_bytes() == (tmp_path / f"2{end}").read_bytes()
    assert list(tables.rows(beside(tmp_path / "1"))) == list(tables.rows(beside(tmp_path / "2")))


def test_tokens_that_are_there_have_their_accounts_beside_them(configure, tmp_path, pages, model, monkeypatch) -> None:
    def killed(ledger: Ledger) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Ledger, "close", killed)
    with pytest.raises(KeyboardInterrupt):
        pack.run(configure(), pages("in", {"a/1": PAGE.format(n=1)}), model, tmp_path / "out.idx")
    assert not list(tmp_path.glob("*out*"))


def test_fill_in_the_middle_comes_back_as_the_page_and_is_drawn_by_seed_and_id(
    configure, tmp_path, pages, model
) -> None:
    texts = {f"a/{n}": PAGE.format(n=n) for n in range(400)}
    path = pages("in", texts)
    settings = {"fim_rate": 0.5, "fim_spm_rate": 0.25}
    pack.run(configure(cpt={"pack": settings}), path, model, tmp_path / "out.idx")
    kinds: Counter[str] = Counter()
    lines = list(tables.rows(beside(tmp_path / "out")))
    prefix, suffix, middle = fim.NAMES[0]
    for text, html, line in zip(documents(tmp_path / "out", model), texts.values(), lines, strict=True):
        head, _, body = text.removesuffix("<|endoftext|>").partition("Make a page.\n\n")
        assert head == ""
        kinds[line["detail"]] += 1
        if line["detail"] == "fim: psm":
            first, rest = body.removeprefix(prefix).split(suffix)
            last, cut = rest.split(middle)
            assert first + cut + last == html
        elif line["detail"] == "fim: spm":
            last, rest = body.removeprefix(prefix + suffix).split(middle)
            assert rest + last == html
        else:
            assert body == html and not line["detail"]
    assert 160 < kinds["fim: psm"] + kinds["fim: spm"] < 240 and 25 < kinds["fim: spm"] < 80
    # Half of the pages, in another order and company: each is cut as before.
    few = dict(reversed(list(texts.items())[:200]))
    pack.run(configure(cpt={"pack": settings}), pages("few", few), model, tmp_path / "few.idx")
    assert documents(tmp_path / "few", model)[::-1] == documents(tmp_path / "out", model)[:200]
    pack.run(configure(cpt={"pack": settings}, seed=7), path, model, tmp_path / "other.idx")
    assert documents(tmp_path / "other", model) != documents(tmp_path / "out", model)


@pytest.mark.parametrize("names", fim.NAMES)
def test_the_marks_of_each_family_of_models_are_found(tmp_path, names) -> None:
    make(tmp_path / "model", names)
    found = fim.marks(Tokenizer.from_file(str(tmp_path / "model/tokenizer.json")))
    assert found.texts == names and len({found.prefix, found.suffix, found.middle}) == 3


def test_a_cut_at_every_place_gives_the_text_again(model) -> None:
    marks = fim.marks(Tokenizer.from_file(str(model / "tokenizer.json")))
    seen = set()
    for number in range(300):
        parts, kind = fim.order("abc", marks, random.Random(number), 0.5)
        texts = [part for part in parts if isinstance(part, str)]
        order = texts if kind == "psm" else [texts[1], texts[0], texts[2]]
        text = order[0] + order[2] + order[1] if kind == "psm" else "".join([order[0], order[2], order[1]])
        assert text == "abc"
        seen.add((len(order[0]), len(order[1])))
    assert len(seen) == 10  # every pair of places in a text of three letters


def test_fill_in_the_middle_without_tokens_for_it_is_one_sentence(configure, tmp_path, pages) -> None:
    make(tmp_path / "model", ())
    with pytest.raises(UserError, match="no fill-in-the-middle tokens .*set cpt.pack.fim_rate to 0"):
        pack.run(
            configure(cpt={"pack": {"fim_rate": 0.5}}), pages("in", {"a/1": "x"}), tmp_path / "model",
            tmp_path / "out.idx",
        )  # fmt: skip
    assert not list(tmp_path.glob("out*"))


def test_a_killed_step_leaves_no_process_and_no_half_file(configure, tmp_path, pages, model) -> None:
    config = configure()
    (tmp_path / "config.yaml").write_text(json.dumps(config.model_dump(mode="json")))
    path = pages("in", {f"a/{n}": PAGE.format(n=n) * 100 for n in range(3000)})
    words = ["--config", "config.yaml", "--input", str(path), "--model", str(model), "--output", "out.idx"]
    command = [sys.executable, "-m", "artifactscoder.cli", "cpt", "pack", *words, "--processes", "2"]
    step = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".out.bin*.tmp")) or len(psutil.Process(step.pid).children(recursive=True)) < 3:
        assert time.monotonic() < deadline and step.poll() is None
        time.sleep(0.05)
    children = psutil.Process(step.pid).children(recursive=True)
    os.kill(step.pid, signal.SIGKILL)
    step.wait()
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
    assert not (tmp_path / "out.idx").exists() and not (tmp_path / "out.bin").exists()


def test_the_mixture_says_what_each_source_holds_and_weighs(configure, tmp_path, pages, model) -> None:
    config = configure(cpt={"pack": {"length": 100}, "mixture": {"plan": {"websight": 1000}}})
    names = ["websight-0000", "games-play-00", "games-play-01"]
    for number, name in enumerate(names):
        path = pages(name, {f"{name}/{n}": PAGE.format(n=n) for n in range(5 * (number + 1))})
        pack.run(config, path, model, tmp_path / f"{name}.idx")
    mixture.run(config, [tmp_path / f"{name}.idx" for name in names], tmp_path / "mixture.json")
    made = json.loads((tmp_path / "mixture.json").read_text())
    tokens = {name: len(indexed.Reader(tmp_path / name).tokens) for name in names}
    websight, tree = made["sources"]
    assert (websight["name"], tree["name"]) == ("websight", "tree")
    assert (websight["planned"], tree["planned"]) == (1000, 0)
    assert websight["documents"] == 5 and [s["documents"] for s in tree["shards"]] == [10, 15]
    assert tree["tokens"] == tokens["games-play-00"] + tokens["games-play-01"]
    assert made["tokens"] == sum(tokens.values()) and made["windows"] == sum(-(-n // 100) for n in tokens.values())
    assert websight["weight"] == pytest.approx(tokens["websight-0000"] / made["tokens"])
    vocabulary = Tokenizer.from_file(str(model / "tokenizer.json")).get_vocab_size()
    assert made["length"] == 100 and made["vocabulary"] == vocabulary and made["end_token"] == 0
    for shard in tree["shards"]:
        assert indexed.Reader(Path(shard["path"])).starts[-1] == shard["tokens"]
    own = configure(cpt={"mixture": {"weights": {"websight": 1, "tree": 3}}})
    mixture.run(own, [tmp_path / f"{name}.idx" for name in names], tmp_path / "mixture.json")
    assert [s["weight"] for s in json.loads((tmp_path / "mixture.json").read_text())["sources"]] == [0.25, 0.75]


def test_shards_of_two_tokenizers_do_not_mix(configure, tmp_path, pages, model) -> None:
    make(tmp_path / "model", ("<x>",))
    path = pages("in", {"a/1": "<p>one</p>"})
    pack.run(configure(), path, model, tmp_path / "games-play-00.idx")
    pack.run(configure(), path, tmp_path / "model", tmp_path / "games-play-01.idx")
    with pytest.raises(UserError, match="games-play-01 was packed with another tokenizer than .*games-play-00"):
        mixture.run(configure(), sorted(tmp_path.glob("*.idx")), tmp_path / "mixture.json")


@pytest.mark.parametrize(
    "weights, sentence",
    [({"websight": 1.0}, "gives 'websight' 1.0 but no shard"), ({"tree": 0}, "must hold one above 0")],
)
def test_weights_that_cannot_be_are_one_sentence(configure, tmp_path, pages, model, weights, sentence) -> None:
    pack.run(configure(), pages("in", {"a/1": "<p>one</p>"}), model, tmp_path / "games-play-00.idx")
    with pytest.raises(UserError, match=sentence):
        config = configure(cpt={"mixture": {"weights": weights}})
        mixture.run(config, [tmp_path / "games-play-00.idx"], tmp_path / "mixture.json")
