"""An exported model as a folder of its own: its files, a card, the licences, a manifest without this machine's paths.

Weights are linked, not copied, where the file system can: whoever edits those in place edits the exported model. All
smaller files are copies. The licence files of the base model come along.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.models import fingerprint
from artifactscoder.publish import cards, secrets

TEXTS = (".json", ".jinja", ".md", ".txt", ".py")
LICENCES = ("LICENSE*", "LICENCE*", "NOTICE*")
SMALL = 10 << 20  # bytes of a file that is copied
LARGEST = 64 << 20  # bytes of a text file that is searched: a tokenizer of 200K words has 20 MB


def source(config: Config, name: str) -> Path:
    """The folder of an exported model."""
    return config.results / "train" / name / "export"


def there(config: Config, name: str) -> bool:
    """Whether the model is there."""
    return (source(config, name) / "manifest.json").exists()


def prepare(config: Config, name: str, licence: str, target: Path, base: str = "", sets: Sequence[str] = ()) -> None:
    """Write the folder of a model. Raises UserError where it is not the one that was exported.

    `base`, `sets`: the base model and the sets it learned from as the Hub knows them.
    """
    folder = source(config, name)
    told = json.loads((folder / "manifest.json").read_text())
    if fingerprint(folder) != told["fingerprint"]:
        raise UserError(
            f"{folder} is not the model that its manifest names: a file was changed since; run train_export again"
        )
    draft = target.with_name(f".{target.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    search = secrets.Search(config)
    try:
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.name != "manifest.json":
                _put(path, draft / path.name)
        (draft / "manifest.json").write_text(json.dumps(cards.training(config, name), indent=1) + "\n")
        of_base = [
            path
            for pattern in (LICENCES if config.train.tiny_model is None else ())
            for path in sorted(Path(str(config.train.base)).glob(pattern))
        ]
        for path in of_base:
            shutil.copy(path, draft / path.name)
        card = cards.model(config, name, licence, base, sets, [path.name for path in of_base])
        (draft / "README.md").write_text(card)
        cards.put_licence(draft, licence)
        for path in sorted(draft.iterdir()):
            # A tokenizer's words are no texts of anybody.
            if path.suffix in TEXTS and path.name != "tokenizer.json" and path.stat().st_size < LARGEST:
                search.text(path.name, path.read_text(encoding="utf-8", errors="replace"))
        search.refuse(target, "take it out of the file that is named")
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _put(path: Path, target: Path) -> None:
    """A copy, or a second name of a large file where the file system can."""
    if path.stat().st_size >= SMALL:
        with contextlib.suppress(OSError):
            os.link(path.resolve(), target)
            return
    shutil.copy2(path, target)
