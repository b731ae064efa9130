"""The data of continual pre-training: what is drawn, asked for and refused on the way to pages."""

from __future__ import annotations

import io
import json
import random
import re
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from artifactscoder import config as configs
from artifactscoder import seeds, tables
from artifactscoder.cpt import prompts, stats, templates, tree, websight
from artifactscoder.errors import UserError
from artifactscoder.ledger import Ledger, Usage, beside
from artifactscoder.llm.client import Client
from artifactscoder.records import NODE, TEMPLATE
from artifactscoder.report import duplicates

PAGE = "<html><head><title>Tea shop</title></head><body><h1>Tea shop</h1><p>Oolong, sencha, pu-erh.</p></body></html>"


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(out, "PNG")
    return out.getvalue()


def write_websight(path: Path, rows: int, idea: bool, groups: int = 1) -> None:
    """A file as the `datasets` library writes WebSight: the picture is a struct of bytes and path."""
    columns = {
        "image": pa.array([{"bytes": png(), "path": None}] * rows),
        "text": pa.array([PAGE.replace("Tea", f"Tea {n}") for n in range(rows)]),
    }
    if idea:
        columns["llm_generated_idea"] = pa.array([f"Tea shop {n}: a shop for tea" for n in range(rows)])
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=-(-rows // groups))


def listen(monkeypatch) -> list[tuple[str, int]]:
    """(text, pictures) of every request that clients send."""
    from artifactscoder.llm.prompts import images_of, text_of

    heard: list[tuple[str, int]] = []
    ask = Client.ask

    async def overheard(self, messages, *rest, **more):
        heard.append((text_of(messages[1]), len(images_of(messages[1]))))
        return await ask(self, messages, *rest, **more)

    monkeypatch.setattr(Client, "ask", overheard)
    return heard


@pytest.mark.parametrize("vision", [True, False])
@pytest.mark.parametrize("idea", [True, False])
async def test_both_versions_of_websight_are_read_with_the_picture_where_the_endpoint_sees(
    configure, tmp_path, monkeypatch, idea, vision
) -> None:
    config = configure(endpoints={"it": {"kind": "procedural", "vision": vision}}, cpt={"websight": {"shards": 2}})
    write_websight(tmp_path / "train-00000-of-00738.parquet", 7, idea, groups=3)
    websight.source([tmp_path / "train-00000-of-00738.parquet"], tmp_path / "source.json")
    heard = listen(monkeypatch)
    read = pq.ParquetFile.iter_batches
    columns: list[list[str]] = []

    def overheard(*args, **more):
        if more.get("row_groups"):
            columns.append(more["columns"])
        return read(*args, **more)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", overheard)
    ids, made = [], []
    for shard in range(2):
        output = tmp_path / f"websight-{shard:04d}.parquet"
        await websight.run(config, tmp_path / "source.json", shard, output)
        lines = list(tables.rows(beside(output)))
        made += list(pq.read_table(output).to_pylist())
        ids += [line["id"] for line in lines]
        seen = ["text", *(["idea"] if idea else []), *(["picture"] if vision else [])]
        assert {line["detail"].split(";")[0] for line in lines} == {"seen: " + ", ".join(seen)}
        assert all(line["attempts"] == 3 for line in lines if line["status"] == "ok")
    assert ids == [f"websight/train-00000-of-00738/{n:07d}" for n in range(7)]
    assert columns and all(("image" in names) == vision for names in columns)  # 200 KB a row are not read for nothing
    assert len(heard) >= 21 and [pictures for _, pictures in heard].count(1) == (7 if vision else 0)
    assert sum("Somebody had this idea" in text for text, _ in heard) == (7 if idea else 0)
    assert made and all("<html" in row["html"] and len(row["prompt"]) > 50 for row in made)


async def test_a_websight_row_without_a_page_is_rejected_and_one_without_a_picture_is_read_as_text(
    configure, tmp_path
) -> None:
    path = tmp_path / "train.parquet"
    image = [{"bytes": png(), "path": None}, {"bytes": None, "path": "a.png"}, None]
    pq.write_table(pa.table({"image": image, "text": ["", PAGE, PAGE]}), path)
    websight.source([path], tmp_path / "source.json")
    await websight.run(configure(), tmp_path / "source.json", 0, tmp_path / "out.parquet")
    lines = [(line["status"], line["reason"], line["detail"]) for line in tables.rows(beside(tmp_path / "out.parquet"))]
    assert lines == [("rejected", "malformed", "text is empty"), ("ok", "", "seen: text"), ("ok", "", "seen: text")]


def test_files_that_are_not_websight_or_name_their_rows_alike_are_one_sentence(configure, tmp_path) -> None:
    write_websight(tmp_path / "a/train-0.parquet", 1, True)
    write_websight(tmp_path / "b/train-0.parquet", 1, False)
    with pytest.raises(UserError, match="a/train-0.parquet and .*b/train-0.parquet would give their rows the same ids"):
        websight.source(sorted(tmp_path.glob("*/*.parquet")), tmp_path / "source.json")
    pq.write_table(pa.table({"html": ["x"]}), tmp_path / "c.parquet")
    with pytest.raises(UserError, match="has no column text"):
        websight.source([tmp_path / "c.parquet"], tmp_path / "source.json")


async def test_a_websight_file_that_changed_after_counting_is_one_sentence(configure, tmp_path) -> None:
    write_websight(tmp_path / "train.parquet", 3, True)
    websight.source([tmp_path / "train.parquet"], tmp_path / "source.json")
    write_websight(tmp_path / "train.parquet", 2, True)
    with pytest.raises(UserError, match="has changed since its rows were counted"):
        await websight.run(configure(), tmp_path / "source.json", 0, tmp_path / "out.parquet")


@pytest.mark.parametrize(
    "name, other",
    [
        ("Returns and refunds", "Refunds & Returns"),
        ("Online shops", "the online shop"),
        ("Café menus", "CAFÉ MENU"),
        ("支付 与 退款", "退款 与 支付"),
    ],
)
def test_names_that_say_the_same_are_one_topic(name, other) -> None:
    assert tree.key(name) == tree.key(other) != ()


def test_names_that_say_different_things_are_two_topics() -> None:
    names = [
        "Bus",
        "Buses at night",
        "To do",
        "To do lists",
        "Gas",
        "支付",
        "退款",
        "C++",
        "C# games",
        "Glass",
        "Class",
    ]
    assert len({tree.key(name) for name in names}) == len(names) and () not in map(tree.key, names)


async def test_a_tree_drops_cycles_repeated_names_and_what_is_no_name(configure, tmp_path, monkeypatch, capsys) -> None:
    answers = {
        "Games and play": ["Board games", "Card games"],
        "Board games": ["Chess", "Play: games", "{topic}", "Card game"],  # a cycle, a placeholder, an aunt
        "Card games": ["Poker", "chess", "x" * 101],  # a cousin, too long, and one place left empty
    }

    async def ask_json(self, messages, sampling, form, asks):
        from artifactscoder.ledger import Usage

        path = next(re.finditer(r"root: (.*)\n", messages[1]["content"]))[1]
        return form(topics=answers[path.split(" > ")[-1]]), Usage(attempts=1), "key"

    monkeypatch.setattr(Client, "ask_json", ask_json)
    root = next(row for row in seeds.cpt_roots(configure()) if row["slug"] == "games-play")
    answers[root["name"]] = answers.pop("Games and play")
    answers["Board games"][1] = root["name"].upper()
    await tree.run(configure(cpt={"tree": {"children": [2, 4]}}), "games-play", tmp_path / "out.parquet")
    rows = list(tables.rows(tmp_path / "out.parquet"))
    assert [row["path"][-1] for row in rows] == ["Board games", "Card games", "Chess", "Poker"]
    assert [row["leaf"] for row in rows] == [False, False, True, True]
    reasons = [line["reason"] for line in tables.rows(beside(tmp_path / "out.parquet")) if line["reason"]]
    assert reasons == ["cycle", "no_name", "same_name", "same_name", "no_name", "missing"]
    said = capsys.readouterr().err
    assert "level 2: 2 topics, 0 places empty" in said and "level 3: 2 topics, 6 places empty" in said


async def test_a_tree_that_is_made_again_asks_no_answered_node_again(configure, tmp_path) -> None:
    config = configure()
    await tree.run(config, "games-play", tmp_path / "one.parquet")
    size = {path: path.read_bytes() for path in (tmp_path / "journal").rglob("*") if path.is_file()}
    await tree.run(config, "games-play", tmp_path / "two.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert size == {path: path.read_bytes() for path in (tmp_path / "journal").rglob("*") if path.is_file()} != {}


@pytest.mark.parametrize("children", [[], [8] * 9, [0], [51]])
def test_depth_and_children_of_the_tree_have_limits(configure, children) -> None:
    with pytest.raises(UserError, match="cpt.tree.children"):
        configure(cpt={"tree": {"children": children}})


def test_a_template_is_near_another_by_its_words_and_not_by_case_or_signs() -> None:
    taken = templates.Taken(0.7)
    first = "Build one self-contained HTML page on {topic} for {audience}, with {feature} and a clear layout."
    assert taken.add("a", first) == ""
    assert taken.add("b", first.upper().replace(",", ";")) == "1.0000 like a"
    assert taken.add("c", first.replace("clear", "tidy")).endswith(" like a")
    assert (
        taken.add("d", "I want {topic} explained on a single page; {style}, please, and nothing I must install.") == ""
    )
    assert templates.Taken(1.0).add("a", first) == ""


async def test_near_duplicate_templates_are_asked_for_again(configure, tmp_path, monkeypatch) -> None:
    verbs = ("Draw", "Compose", "Prototype", "Write")
    sentence = "one page about {{topic}} number {} where {} can {} every {} and also {} it".format
    asked = []

    async def ask_json(self, messages, sampling, form, asks):
        from artifactscoder.ledger import Usage

        batch = int(re.search(r"Batch (\d+)", messages[1]["content"])[1])
        asked.append(batch)
        own = random.Random(batch)
        words = ["".join(own.choices("abcdefghijklmnop", k=9)) for _ in range(8)]
        fresh = [f"{verbs[n % 4]} {sentence(*words[:4], words[4 + n % 4])} {' '.join(reversed(words))}" for n in (0,)]
        return (
            form(templates=[fresh[0], fresh[0].replace("one page", "a page"), "Make {place}", fresh[0] + "!"]),
            (Usage(attempts=1)),
            "key",
        )

    monkeypatch.setattr(Client, "ask_json", ask_json)
    await templates.run(configure(), tmp_path / "out.parquet")  # 6 templates, 4 a request
    lines = list(tables.rows(beside(tmp_path / "out.parquet")))
    counts = Counter(line["reason"] for line in lines)
    assert tables.count(tmp_path / "out.parquet") == 6 and len(asked) >= 6 == counts[""]
    assert counts["near_duplicate"] >= 10 and counts["bad_template"] == len(asked)
    assert all(re.fullmatch(r"[01]\.\d{4} like templates/\d{4}/01", line["detail"])
               for line in lines if line["reason"] == "near_duplicate")  # fmt: skip


def write_inputs(folder: Path, roots: list[str], leaves: int, texts: list[str]) -> None:
    for number, root in enumerate(roots):
        rows = [
            {"id": f"r{number}/01/{n:03d}", "root": f"r{number}", "level": 3, "leaf": True, "maker": "m",
             "request": "r", "path": [root, "Customer service", f"Complaint {n}"]}
            for n in range(leaves)
        ]  # fmt: skip
        tables.write(folder / f"r{number}.parquet", NODE, rows)
    rows = [{"id": f"t/{n}", "template": text, "maker": "m", "request": "r"} for n, text in enumerate(texts)]
    tables.write(folder / "templates.parquet", TEMPLATE, rows)


HOSTILE = [
    "A page on {topic} for {audience}",
    "A page on “Complaint 1 · Customer service · Two” and {topic}",  # spells another leaf's topic
    "A page on {topic} · Customer service · Two",
    "Show “{topic}” in {style} with {feature}",
    "{topic}",
]


def test_no_two_prompts_are_the_same_in_any_leaf_root_or_shard(configure, tmp_path) -> None:
    """Roots of equal topics, and templates and fillers that spell what marks a topic."""
    roots = ["One", "Two", "One · Customer service", "“Two”"]
    write_inputs(tmp_path, roots, 12, HOSTILE)
    values = {"audience": ["people", "“Complaint 2 · Customer service · One”"], "style": ["a", "b"], "feature": ["c"]}
    fillers = tmp_path / "fillers.jsonl"
    fillers.write_text("".join(json.dumps({"slug": k, "values": v}) + "\n" for k, v in values.items()))
    config = configure(seeds={"cpt_fillers": str(fillers)}, cpt={"prompts": {"per_leaf": 7, "shards": 3}})
    found: list[str] = []
    for number in range(len(roots)):
        for shard in range(3):
            output = tmp_path / f"out-{number}-{shard}.parquet"
            prompts.run(config, tmp_path / f"r{number}.parquet", tmp_path / "templates.parquet", shard, output)
            rows = list(tables.rows(output))
            for row in rows:  # whose it is can be read back
                (leaf, parent, root) = re.fullmatch(r"[^“]*“([^·]*) · ([^·]*) · ([^”]*)”.*", row["prompt"]).groups()
                assert f"/{int(leaf.removeprefix('Complaint ')):03d}/" in row["id"] and parent == "Customer service"
                assert root == roots[number].replace("·", "-").replace("“", '"').replace("”", '"')
            found += [row["prompt"] for row in rows]
    assert len(found) == 4 * 12 * 7 == len(set(found))


def test_prompts_are_drawn_by_seed_and_leaf_whatever_the_shards(configure, tmp_path) -> None:
    write_inputs(tmp_path, ["One"], 10, HOSTILE * 3)

    def drawn(shards: int, **more) -> dict[str, str]:
        config = configure(cpt={"prompts": {"per_leaf": 4, "shards": shards}}, **more)
        out = {}
        for shard in range(shards):
            prompts.run(
                config, tmp_path / "r0.parquet", tmp_path / "templates.parquet", shard, tmp_path / "out.parquet"
            )
            out.update({row["id"]: row["prompt"] for row in tables.rows(tmp_path / "out.parquet")})
        return out

    assert drawn(1) == drawn(3) == drawn(7) != drawn(1, seed=99)


def test_a_tree_with_one_leaf_twice_is_one_sentence(configure, tmp_path) -> None:
    write_inputs(tmp_path, ["One"], 2, HOSTILE)
    rows = list(tables.rows(tmp_path / "r0.parquet"))
    rows[1]["path"] = rows[0]["path"]
    tables.write(tmp_path / "r0.parquet", NODE, rows)
    with pytest.raises(UserError, match="holds “Complaint 0 · Customer service · One” twice"):
        prompts.run(configure(), tmp_path / "r0.parquet", tmp_path / "templates.parquet", 0, tmp_path / "out.parquet")


def test_two_roots_of_one_name_are_one_sentence(tmp_path) -> None:
    path = tmp_path / "roots.jsonl"
    rows = [{"slug": slug, "name": name, "brief": "b"} for slug, name in (("a", "Health care"), ("b", "Health, care"))]
    path.write_text("\n".join(map(json.dumps, rows)))
    config = configs.load([Path("config.yaml")])
    config = config.model_copy(update={"seeds": config.seeds.model_copy(update={"cpt_roots": path})})
    with pytest.raises(UserError, match="gives two roots the same name"):
        seeds.cpt_roots(config)


LOADS = """<!DOCTYPE html><HTML class=x lang='de-CH'><head>
<link href="https://cdn.jsdelivr.net/npm/bootstrap@5.3.0/dist/css/bootstrap.min.css" rel="stylesheet">
<link rel="icon" href="https://unpkg.com/icons/a.png"><script src=//cdn.tailwindcss.com></script>
<script src="https://cdnjs.cloudflare.com/ajax/libs/three.js/r128/three.min.js"></script>
<script type="importmap">{"imports": {"react": "https://esm.sh/react@18", "a": "./b.js"}}</script>
<script type=module>import x from "https://esm.sh/preact"; const y = await import('https://esm.sh/d3@7');
let z = "https://unpkg.com/vue";</script><script src="https://own.example/z.js"></script>
<a href="https://unpkg.com/lit">x</a></html>"""


def test_libraries_are_those_that_a_page_loads_and_the_language_the_one_it_declares() -> None:
    loaded = {"bootstrap", "tailwindcss-cdn", "three", "react", "preact", "d3", "elsewhere"}
    assert stats.libraries(LOADS) == loaded and stats.language(LOADS) == "de"
    assert stats.libraries("<p>// from nothing</p>") == set() and stats.language("<html><p lang=fr>") == "none"


@pytest.mark.parametrize("text", ["<script ", "<link rel=stylesheet href ", "<html lang ", "<script type=importmap>"])
def test_a_page_of_a_megabyte_of_half_tags_is_read_in_seconds(text) -> None:
    page = text * (1_000_000 // len(text)) + "//</script"
    start = time.process_time()
    stats.libraries(page), stats.language(page)
    assert time.process_time() - start < 5


def test_statistics_add_up_over_pages_and_refuse_the_ledger_of_another_shard(tmp_path, pages) -> None:
    path = pages("in", {"a/1": LOADS, "a/2": PAGE, "b/1": PAGE})

    def ledger(name: str, ids: list[str]) -> Path:
        made = Ledger(tmp_path / f"{name}.ledger.parquet")
        made.enter(ids)
        for id_ in ids:
            made.leave(id_, "ok", usage=Usage(tokens_out=7))
        made.close()
        return made.path

    stats.run(path, ledger("in", ["a/1", "a/2", "b/1"]), tmp_path / "out.json")
    found = json.loads((tmp_path / "out.json").read_text())
    size = len(PAGE.encode())
    assert found["groups"]["b"] == {"documents": 1, "bytes": size, "tokens": 7}
    assert found["groups"]["a"] == {"documents": 2, "bytes": size + len(LOADS.encode()), "tokens": 14}
    assert found["languages"] == {"de": 1, "none": 2} and found["libraries"]["three"] == 1
    for ids in (["a/1", "a/2"], ["a/1", "b/1", "a/2"]):
        with pytest.raises(UserError, match="does not belong to"):
            stats.run(path, ledger("other", ids), tmp_path / "out.json")


def test_clusters_of_near_duplicates_are_counted_over_all_shards(tmp_path) -> None:
    dropped = {"x": ["a/1", "a/1", "b/9"], "y": ["a/1", "c/3"]}
    for name, twins in dropped.items():
        ledger = Ledger(tmp_path / f"{name}.ledger.parquet")
        ledger.enter([f"{name}/{n}" for n in range(5)])
        for n in range(5):
            twin = twins[n] if n < len(twins) else None
            status, detail = ("rejected", f"0.91{n}0 like {twin}") if twin else ("ok", "")
            ledger.leave(f"{name}/{n}", status, "near_duplicate" if twin else "", detail)
        ledger.close()
    assert duplicates.clusters(tmp_path / f"{name}.parquet" for name in dropped) == {2: 2, 4: 1}
