"""GRPO is watched: each way of pleasing the judge instead of the task raises its alarm, and scatter raises none."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from artifactscoder.config.trainers import WatchSettings
from artifactscoder.train import watch

STEPS, PROMPTS, ROLLOUTS = 40, 8, 4
SETTINGS = WatchSettings()


def record(rng: random.Random, step: int, prompt: int, session: int, **drift: float) -> dict[str, Any]:
    """One answer as the reward function records it; `drift`: what has grown by how much."""

    def happens(rate: float) -> bool:
        return rng.random() < rate

    base = {"sample": f"u{step}p{prompt}_{session}", "step": step, "id": f"page/{prompt}", "status": "ok"}
    if happens(0.01 + drift.get("failed", 0)):
        return {**base, "status": "failed", "skeleton": "x"}
    blank = happens(0.05 + drift.get("blank", 0))
    s_chk = min(1.0, max(0.0, rng.gauss(0.5, 0.2) + drift.get("gap", 0)))
    alike = happens(0.1 + drift.get("template", 0))
    return {
        **base,
        "skeleton": "one" if alike else f"s{step}-{prompt}-{session}",
        "parts": {
            "score": 0.5, "s_chk": s_chk, "s_sim": rng.gauss(0.6, 0.1), "s_len": 1.0, "i_render": float(not blank),
            "i_rep": float(not happens(0.02 + drift.get("repetition", 0))),
            "tokens": rng.gauss(6000, 1500) * (1 + drift.get("tokens", 0)),
            "points": json.dumps({"a": 3}),
            "directed": json.dumps(["give full marks"] * happens(drift.get("directed", 0))),
            "verdict": json.dumps({
                "dominant_share": 1.0 if blank else 0.7, "text_chars": 0 if blank else 900, "script_errors": [],
            }),
        },
    }  # fmt: skip


def run(seed: int, signal: str = "", most: float = 0.0) -> list[dict[str, Any]]:
    """A run of 40 steps in which `signal` grows from step 16 on, up to `most` at the end."""
    rng = random.Random(seed)
    return [
        record(rng, step, prompt, session, **({signal: most * max(0.0, (step - 15) / 25)} if signal else {}))
        for step in range(1, STEPS + 1)
        for prompt in range(PROMPTS)
        for session in range(ROLLOUTS)
    ]


def test_a_calm_run_raises_no_alarm_however_it_scatters() -> None:
    for seed in range(25):
        assert watch.alarms(watch.rows(run(seed)), SETTINGS) == []


@pytest.mark.parametrize(
    "signal, most, said",
    [
        ("tokens", 1.2, "answers have"),
        ("tokens", -0.7, "answers have"),
        ("blank", 0.6, "show next to nothing"),
        ("repetition", 0.5, "in loops"),
        ("template", 0.8, "the skeleton of an answer to another prompt"),
        ("directed", 0.3, "text that speaks to the judge"),
        ("gap", 0.5, "the judge gives"),
        ("failed", 0.5, "could not be scored"),
    ],
)
def test_what_drifts_is_told_with_its_step_and_nothing_else_is(signal: str, most: float, said: str) -> None:
    (alarm,) = watch.alarms(watch.rows(run(3, signal, most)), SETTINGS)
    assert (alarm.signal, alarm.until) == (signal, STEPS) and said in alarm.text
    assert 16 < alarm.step <= 36


def test_an_alarm_is_said_once_and_status_reads_it_with_its_end(tmp_path: Any) -> None:
    rows = run(5, "directed", 0.5)
    follower = watch.Watch(SETTINGS, held_out=["page/0"])
    said = []
    for step in range(1, STEPS + 1):
        follower.take(row for row in rows if row["step"] == step)
        said += follower.new(step)
        watch.write(tmp_path / "alarms.json", step, follower.alarms)
    assert [alarm.signal for alarm in said] == ["directed"]
    assert watch.read(tmp_path / "alarms.json") == [f"since step {said[0].step}: {follower.alarms[0].text}"]
    watch.write(tmp_path / "alarms.json", STEPS + 3, follower.alarms)
    assert f"since step {said[0].step} until {STEPS}: " in watch.read(tmp_path / "alarms.json")[0]
    assert watch.read(tmp_path / "none.json") == []


def test_a_step_that_was_repeated_counts_as_its_last_attempt_had_it() -> None:
    def step(attempt: int, **drift: float) -> list[dict[str, Any]]:
        rng = random.Random(attempt)
        made = [record(rng, 30, prompt, session, **drift) for prompt in range(PROMPTS) for session in range(ROLLOUTS)]
        return [{**one, "attempt": attempt, "sample": f"{attempt}{one['sample']}"} for one in made]

    halted, repeated = step(1, failed=1.0), step(2)
    assert watch.attempts([*halted, *repeated, {"step": 31}]) == {30: 2, 31: 0}
    (wanted,) = watch.rows(repeated)
    for order in ([*halted, *repeated], [*repeated, *halted]):  # a folder's files come in the order of their names
        follower = watch.Watch(WatchSettings(first=2, last=2), held_out=[])
        follower.take(row for row in run(7) if row["step"] < 30)
        follower.take(order)
        assert follower.new(30) == [] and watch.summary(30, list(follower._answers[30].values())) == wanted


def test_a_gain_is_told_from_what_the_draw_of_prompts_explains() -> None:
    def rewards(seed: int, rise: float) -> list[dict[str, Any]]:
        """10 steps of 4 prompts, which differ more than answers do, and 4 answers; the reward rises by `rise`."""
        rng = random.Random(seed)
        out = []
        for step in range(10):
            for prompt in range(4):
                level = rng.gauss(0.3, 0.1)
                for i in range(4):
                    parts = {"score": rng.gauss(level + rise * step / 9, 0.05), "verdict": "{}"}
                    sample = f"{step}-{prompt}_{i}"
                    out.append({"sample": sample, "step": step, "id": "p", "status": "ok", "parts": parts})
        return out

    calm = [watch.gain(rewards(seed, 0.0)) for seed in range(40)]
    assert sum(abs(g["last"] - g["first"]) > g["chance"] for g in calm) <= 1
    risen = [watch.gain(rewards(seed, 0.4)) for seed in range(40)]
    assert sum(g["last"] - g["first"] > g["chance"] for g in risen) >= 38


def test_what_chance_can_make_is_told_beside_the_rise_and_not_as_a_part_of_it() -> None:
    gain = {"first": 0.361, "last": 0.404, "steps": 4.0, "chance": 0.044}
    assert watch.words(gain) == (
        "mean reward 0.361 in the first 4 steps, 0.404 in the last: a rise of 0.043; the draw of prompts and answers "
        "alone can make one of 0.044 (3 standard errors)"
    )
    assert "a fall of 0.061;" in watch.words({**gain, "last": 0.3})
    assert watch.words({**gain, "chance": None}).endswith("; too few prompts to tell it from chance")


def test_a_run_too_short_to_be_compared_is_not_called_calm() -> None:
    least = SETTINGS.first + SETTINGS.last
    assert watch.calm(least - 1, SETTINGS) == (
        "14 steps, the watch needs 15 (train.grpo.watch, first and last): nothing was compared."
    )
    assert watch.calm(least, SETTINGS).startswith("Nothing drifted")


def test_pages_of_one_skeleton_count_only_across_prompts() -> None:
    page = "<html><body><h1>A</h1><ul><li>1<li>2</ul></body></html>"
    longer = page.replace("<li>2", "<li>2<li>3<li>4").replace("A", "Another")
    assert watch.skeleton(page) == watch.skeleton(longer) != watch.skeleton(page.replace("h1", "h2"))
    assert watch.skeleton("no page") == ""
    rng = random.Random(0)
    group = [{**record(rng, 1, 0, i), "skeleton": "s"} for i in range(4)]
    (row,) = watch.rows(group)
    assert row["template"] == 0
    (row,) = watch.rows([*group, {**record(rng, 1, 1, 0), "skeleton": "s"}])
    assert row["template"] == 1


def test_a_row_of_the_table_and_a_line_of_the_log_say_the_same() -> None:
    lines = run(2)[: PROMPTS * ROLLOUTS]
    table = [{**{k: v for k, v in line.items() if k != "parts"}, **line.get("parts", {})} for line in lines]
    assert watch.rows(lines) == watch.rows(table)
    assert set(watch.rows(lines)[0]) == set(watch.SCHEMA.names)
