"""Scoring by several judges, several times, in groups: every vote is kept, none is guessed, agreement is measured."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import fmean, pstdev

import orjson
import pytest
from aiohttp import web
from sklearn.metrics import cohen_kappa_score

from artifactscoder import recipe, seeds, tables
from artifactscoder.errors import UserError
from artifactscoder.ledger import beside
from artifactscoder.llm import prompts
from artifactscoder.records import scored
from artifactscoder.report import build, data
from artifactscoder.reward import scoring
from artifactscoder.sft import agreement, score
from openai_server import Server, completion

Rule = Callable[[str, str, int], float | web.Response]


class Judge(Server):
    """Scores by `rule(html, dimension, number of the request)`, which may answer the whole request instead."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(self.score)
        self.rule = rule
        self.asked: Counter[tuple[str, str]] = Counter()
        self.pictures = 0

    async def score(self, number: int, request: web.Request) -> web.Response:
        messages = orjson.loads(await request.read())["messages"]
        fields = prompts.load("sft_score").read(messages)
        assert fields is not None
        self.pictures += len(prompts.images_of(messages[1]))
        out = []
        for slug in re.findall(r"^- ([a-z-]+): ", fields["dimensions"], re.MULTILINE):
            self.asked[fields["html"], slug] += 1
            value = self.rule(fields["html"], slug, number)
            if isinstance(value, web.Response):
                return value
            out.append({"dimension": slug, "score": value, "reason": f"{slug} looks like {value}"})
        return web.json_response(completion(json.dumps({"scores": out})))


def page(number: int) -> str:
    return f"<!DOCTYPE html><html><body><h1>Page {number}</h1><p>Some text to be seen on it.</p></body></html>"


def number_of(html: str) -> int:
    return int(re.findall(r"Page (\d+)", html)[0])


@asynccontextmanager
async def judges(configure, *rules: Rule, score=(), **sections):
    """(configuration, servers): an endpoint a rule, named a, b ..., whose models are called model-a, model-b ..."""
    servers = [Judge(rule) for rule in rules]
    names = "abcdef"[: len(rules)]
    async with servers[0].open() as first:
        other = [server.open() for server in servers[1:]]
        urls = [first, *[await one.__aenter__() for one in other]]
        base = {"kind": "api", "retries": 0, "patience_s": 2, "timeout_s": 20}
        endpoints = {n: {**base, "url": url, "model": f"model-{n}"} for n, url in zip(names, urls, strict=True)}
        endpoints["a"]["vision"] = True
        roles = dict.fromkeys(("teacher", "coder", "reference", "judge", "vision_judge"), "a")
        settings = {"judges": list(names), **dict(score)}
        yield configure(endpoints=endpoints, roles=roles, sft={"score": settings}, **sections), servers
        for one in other:
            await one.__aexit__(None, None, None)


async def test_two_judges_give_two_votes_a_mean_and_a_measure_of_agreement(configure, pages, tmp_path) -> None:
    def first(html: str, slug: str, number: int) -> float:
        return scoring.LEVELS[number_of(html)]

    def second(html: str, slug: str, number: int) -> float:
        return scoring.LEVELS[4 if number_of(html) == 3 else number_of(html)]

    table = pages("in", {f"g/{i}": page(i) for i in range(4)})
    async with judges(configure, first, second, score={"screenshots": 1}) as (config, servers):
        await score.run(config, table, "in", tmp_path / "one.parquet", 1)
        received = [server.received for server in servers]
        await score.run(config, table, "in", tmp_path / "two.parquet", 1)
        assert [server.received for server in servers] == received == [4, 4], "a second run asks nothing"
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert servers[0].pictures == 4 and servers[1].pictures == 0, "one that does not see is shown no picture"
    rows = list(tables.rows(tmp_path / "one.parquet"))
    for row, given in zip(rows, [(0, 0), (2.5, 2.5), (5, 5), (7.5, 10)], strict=True):
        votes = json.loads(row["votes"])
        assert [(v["judge"], v["time"]) for v in votes] == [("model-a", 0), ("model-b", 0)]
        assert [v["scores"]["readability"] for v in votes] == list(given)
        assert votes[1]["reasons"]["readability"] == f"readability looks like {float(given[1])}"
        assert row["score:readability"] == fmean(given) and row["percent"] == 10 * fmean(given)
        assert row["spread"] == pstdev(given) and row["judge"] == "model-a, model-b"

    agreement.run(config, [tmp_path / "one.parquet"], tmp_path / "agreement.parquet")
    found = {(row["dimension"], row["judge"]): row for row in tables.rows(tmp_path / "agreement.parquet")}
    both = found["readability", ""]
    # By hand: one pair of four differs, by one level: 1/4; by chance the mean squared distance is 56/16.
    assert both["kappa"] == pytest.approx(1 - (1 / 4) / (56 / 16), abs=1e-6)
    assert both["kappa"] == pytest.approx(cohen_kappa_score([0, 1, 2, 3], [0, 1, 2, 4], weights="quadratic"), abs=1e-6)
    assert both["mean"] == pytest.approx(fmean([0, 2.5, 5, 8.75])) and both["spread"] == pytest.approx(1.25 / 4)
    assert found["readability", "model-b"]["bias"] == pytest.approx(0.3125)
    assert found["percent", "model-a"]["bias"] == pytest.approx(-3.125) and found["percent", ""]["votes"] == 2
    assert found["percent", "model-a"]["kappa"] is None, "one vote has nothing to agree with"

    shown = build.templates().get_template("judges.html.j2")
    text = shown.render(judging=data.judges(tmp_path / "agreement.parquet"))
    assert "model-b" in text and "0.93" in text and "+0.3" in text and "nothing is known of agreement" not in text


async def test_groups_of_any_size_give_the_same_scores_and_ask_each_dimension_once(configure, pages, tmp_path) -> None:
    def rule(html: str, slug: str, number: int) -> float:
        return scoring.LEVELS[len(slug) % 5]

    table = pages("in", {"g/1": page(1)})
    rows = []
    for size, requests in ((0, 1), (1, 25), (7, 4), (25, 1)):
        async with judges(configure, rule, rule, score={"group": size}) as (config, servers):
            await score.run(config, table, f"by-{size}", tmp_path / f"{size}.parquet", 1)
        for server in servers:
            assert server.received == requests and len(server.asked) == 25 and set(server.asked.values()) == {1}
        [row] = tables.rows(tmp_path / f"{size}.parquet")
        [line] = tables.rows(beside(tmp_path / f"{size}.parquet"))
        assert (line["attempts"], line["tokens_in"]) == (2 * requests, 2 * requests * 10)
        rows.append(row)
    assert all(row == rows[0] for row in rows)


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (lambda: web.Response(status=400, text="too long"), "failed", "http_400"),
        (lambda: web.json_response(completion("I would rather not.")), "rejected", "bad_json"),
    ],
)
async def test_one_group_without_an_answer_gives_no_score_and_every_request_is_accounted_for(
    answer, status, reason, configure, pages, tmp_path
) -> None:
    def rule(html: str, slug: str, number: int) -> float | web.Response:
        return answer() if slug == "accessibility" and number_of(html) == 2 else 5

    table = pages("in", {"g/1": page(1), "g/2": page(2)})
    async with judges(configure, lambda *_: 5, rule, score={"group": 5, "asks": 2}) as (config, servers):
        await score.run(config, table, "in", tmp_path / "out.parquet", 1)
        answered = servers[0].received
        servers[1].rule = lambda *_: 5
        await score.run(config, table, "in", tmp_path / "again.parquet", 1)
        assert servers[0].received == answered == 10, "what was answered is not asked again"
    assert [row["id"] for row in tables.rows(tmp_path / "out.parquet")] == ["g/1"]
    good, bad = tables.rows(beside(tmp_path / "out.parquet"))
    assert (bad["status"], bad["reason"]) == (status, reason) and bad["detail"].startswith("model-b: ")
    # Nine groups were answered well; the tenth was refused, or asked twice for a form it never had.
    assert bad["attempts"] == (10 if status == "failed" else 11)
    assert bad["tokens_in"] == (90 if status == "failed" else 110)
    assert (good["attempts"], good["tokens_in"]) == (10, 100)
    assert tables.count(tmp_path / "again.parquet") == (2 if status == "failed" else 1)


async def test_a_judge_asked_three_times_gives_three_votes_of_its_own(configure, pages, tmp_path) -> None:
    def rule(html: str, slug: str, number: int) -> float:
        return scoring.LEVELS[number]

    settings = {"times": 3, "sampling": {"temperature": 0.5}}
    async with judges(configure, rule, score=settings) as (config, [server]):
        await score.run(config, pages("in", {"g/1": page(1)}), "in", tmp_path / "out.parquet", 1)
        assert server.received == 3
    [row] = tables.rows(tmp_path / "out.parquet")
    votes = json.loads(row["votes"])
    assert [vote["time"] for vote in votes] == [0, 1, 2]
    assert sorted(vote["scores"]["readability"] for vote in votes) == [2.5, 5, 7.5]
    assert row["score:readability"] == 5 and row["spread"] == pytest.approx(pstdev([2.5, 5, 7.5]), abs=1e-4)


async def test_a_judge_that_is_not_there_stops_the_job_and_the_others_answers_stay(configure, pages, tmp_path) -> None:
    async with judges(configure, lambda *_: 5, lambda *_: 5) as (config, servers):
        gone = config.endpoints["b"].model_copy(update={"url": "http://127.0.0.1:9/v1", "patience_s": 0.5})
        config = config.model_copy(update={"endpoints": {**config.endpoints, "b": gone}})
        with pytest.raises(UserError, match="endpoint 'b' at http://127.0.0.1:9/v1 cannot be reached"):
            await score.run(config, pages("in", {"g/1": page(1)}), "in", tmp_path / "out.parquet", 1)
        assert servers[0].received == 1 and not (tmp_path / "out.parquet").exists()
        [journal] = (config.journal / "sft/score/in").glob("*.jsonl")
        assert sum('"answer"' in line for line in journal.read_text().splitlines()) == 1


def write_scores(path: Path, slugs: list[str], pages: list[tuple[str, int, float]]) -> Path:
    """A table of sft/score with one vote a page, from (category, characters, score)."""

    def rows():
        for number, (category, chars, value) in enumerate(pages):
            vote = {"judge": "m", "time": 0, "scores": dict.fromkeys(slugs, value), "reasons": {}}
            yield {"id": f"{category}/{number}", "group": category, "html": "x" * chars, "votes": json.dumps([vote])}

    tables.write(path, scored(slugs), rows())
    return path


@pytest.mark.parametrize(
    ("value", "overall", "within"),
    [
        (lambda category, chars, rng: scoring.LEVELS[chars // 1000], (0.9, 1), (0.9, 1)),
        (lambda category, chars, rng: rng.choice(scoring.LEVELS), (-0.1, 0.1), (-0.1, 0.1)),
        (lambda category, chars, rng: rng.choice(scoring.LEVELS[3:] if category == "long" else scoring.LEVELS[:2]),
         (0.6, 1), (-0.1, 0.1)),
    ],
    ids=["by length", "by chance", "a category is long and good"],
)  # fmt: skip
def test_a_judge_that_pays_for_length_is_shown_to(value, overall, within, configure, tmp_path) -> None:
    config = configure()
    rng = random.Random(1)
    pages = []
    for number in range(1000):
        category = "long" if number % 2 else "short"
        chars = rng.randrange(2500) + (2500 if category == "long" else 0)
        pages.append((category, chars, value(category, chars, rng)))
    slugs = [dimension["slug"] for dimension in seeds.dimensions(config)]
    agreement.run(config, [write_scores(tmp_path / "in.parquet", slugs, pages)], tmp_path / "out.parquet")
    rows = [row for row in tables.rows(tmp_path / "out.parquet") if row["judge"] == ""]
    assert len(rows) == 26
    for row in rows:
        assert overall[0] <= row["length"] <= overall[1] and within[0] <= row["length_within"] <= within[1]
        assert row["kappa"] is None and row["spread"] is None
    text = build.templates().get_template("judges.html.j2").render(judging=data.judges(tmp_path / "out.parquet"))
    assert "nothing is known of agreement" in text and f"{rows[0]['length']:+.2f}" in text


def test_pages_scored_on_other_dimensions_are_one_sentence(configure, tmp_path) -> None:
    path = write_scores(tmp_path / "in.parquet", ["beauty"], [("a", 10, 5.0)])
    with pytest.raises(UserError, match="was scored on other dimensions"):
        agreement.run(configure(), [path], tmp_path / "out.parquet")


BASE = {"kind": "api", "url": "http://x/v1", "model": "m"}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"judges": ["a", "nobody"]}, "sft.score.judges names the endpoint 'nobody', which endpoints does not define"),
        ({"judges": ["a", "twin"]}, "names 'a' and 'twin', which are the same judge \\(m\\)"),
        ({"times": 2}, "sft.score.times is 2, but at sft.score.sampling.temperature 0 a judge repeats itself"),
    ],
)
def test_a_panel_that_cannot_be_is_one_sentence(settings, sentence, configure) -> None:
    endpoints = {"it": BASE, "a": BASE, "twin": {**BASE, "url": "http://y/v1"}}
    with pytest.raises(UserError, match=sentence) as error:
        configure(endpoints=endpoints, sft={"score": settings})
    assert "\n" not in str(error.value)


def test_scoring_depends_on_who_the_judges_are_and_on_no_role_that_they_replace(configure) -> None:
    def digest(model: str, role: str, url: str = "http://x/v1") -> str:
        other = {**BASE, "model": model, "url": url, "key_env": "KEY_OF_B"}
        endpoints = {"it": {**BASE, "model": role, "key_env": "KEY_OF_ROLE"}, "a": BASE, "b": other}
        roles = {"judge": "it", **dict.fromkeys(("teacher", "coder", "reference", "vision_judge"), "a")}
        config = configure(endpoints=endpoints, roles=roles, sft={"score": {"judges": ["a", "b"]}})
        assert list(config.in_use) == ["a", "b"], "nobody asks for the key of a role that nobody plays"
        return recipe.digest(config, "sft/score")

    assert digest("n", "r") == digest("n", "other role") == digest("n", "r", "http://elsewhere/v1")
    assert digest("n", "r") != digest("n2", "r")
