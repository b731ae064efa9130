"""The funnel from seeds to the SFT set, in places for a page, so that what enters a step is what leaves it.

A subcategory is asked for so many tasks and each task for so many kinds; each product is a place for one page. A task
that is lost takes all its places with it. In: the accounts. Out: flows between steps, and one for each loss by name.
"""

from __future__ import annotations

from dataclasses import dataclass

from artifactscoder.report.accounts import Account
from artifactscoder.report.lives import OF_PAGE, OF_TASK, SELECT

SEEDS, SET = "seeds", "SFT set"


@dataclass(frozen=True)
class Flow:
    """`places` go from node `source` to node `target`; a loss has a `status`, what stays in has none."""

    source: str
    target: str
    places: int
    status: str = ""


def flows(books: list[Account], kinds: int) -> list[Flow]:
    """Flows of all steps that ran, in order. `kinds`: pages asked for a task."""
    known = {account.step: account for account in books}
    steps = [step for step in (*OF_TASK, *OF_PAGE, SELECT) if step in known]
    out: list[Flow] = []
    for step, before in zip(steps, [SEEDS, *steps], strict=False):
        each = kinds if step in OF_TASK else 1
        out.append(Flow(before, step, known[step].entered * each))
        for (status, reason), count in known[step].reasons.most_common():
            out.append(Flow(step, f"{step.removeprefix('sft/')}: {reason or status}", count * each, status))
    if steps and steps[-1] == SELECT:
        out.append(Flow(SELECT, SET, known[SELECT].counts["ok"]))
    return out
