"""sft/rules: pages that cannot work are left out before anybody pays for judging them, and private data is masked.

In: the pages that are not duplicates. Out: those that break no rule (html/validate.py names them). The first rule
that a page breaks is its reason in the ledger, what was seen its detail. About 5 ms a page.

Secrets and personal data in prompt, page and answer are replaced first (html/mask.py; `mask: false` leaves them), and
the ledger says how many: here, because everything after, from the checks to the browser and the judge, then sees the
page that is trained on.
"""

from __future__ import annotations

from pathlib import Path

from artifactscoder import tables
from artifactscoder.config import Config
from artifactscoder.html import validate
from artifactscoder.ledger import Ledger, beside
from artifactscoder.llm.generate import Outcome
from artifactscoder.progress import Progress
from artifactscoder.records import PAGE
from artifactscoder.tables import Row


def run(config: Config, input: Path, output: Path) -> Ledger:
    """Check every page of `input` and write table and ledger."""
    ledger = Ledger(beside(output))
    progress = Progress(f"sft/rules {output.stem}", tables.count(input))
    with tables.Writer(output, PAGE) as writer:
        for row in tables.rows(input, PAGE.names):
            ledger.enter([row["id"]])
            outcome = checked(config, row)
            ledger.leave(row["id"], outcome.status, outcome.reason, outcome.detail)
            if outcome.row is not None:
                writer.write(outcome.row)
            progress.step()
        ledger.close()
    progress.end(ledger.summary())
    return ledger


def checked(config: Config, row: Row) -> Outcome:
    """The outcome of one page: masked, then checked."""
    row, detail, broken = validate.cleared(row, config.sft.rules, config.mask)
    if broken:
        return Outcome(row["id"], "rejected", *broken)
    return Outcome(row["id"], detail=detail, row=row)
