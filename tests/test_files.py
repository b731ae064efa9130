"""Drafts: what a killed process leaves beside a file is gone with the next try, what others write is not touched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from artifactscoder import files, indexed, tables
from artifactscoder.errors import UserError
from artifactscoder.journal import Journal

SCHEMA = pa.schema([("id", pa.string())])
KILLED = """
import os, signal, sys
from pathlib import Path
import pyarrow as pa
from artifactscoder import files, indexed, tables

folder = Path(sys.argv[1])
table = tables.Writer(folder / "a.parquet", pa.schema([("id", pa.string())])).__enter__()
table.write_table(pa.table({"id": ["one"]}))
tokens = indexed.Writer(folder / "a", 100).__enter__()
files.temporary(folder / "data").mkdir()
(files.temporary(folder / "data") / "page").touch()
files.temporary(folder / "folded").touch()
print(len(os.listdir(folder)), flush=True)
os.kill(os.getpid(), signal.SIGTERM)
"""


async def test_drafts_of_killed_processes_are_removed_by_the_next_writer(tmp_path: Path) -> None:
    made = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True)
    assert made.returncode == -15 and made.stdout == "4\n" and len(list(tmp_path.glob(".*.tmp"))) == 4
    host = os.uname().nodename
    kept = {f".a.parquet.{host}.{os.getppid()}.tmp", ".a.parquet.another-host.1.tmp", f".b.parquet.{host}.99999999.tmp"}
    for name in kept:
        (tmp_path / name).touch()
    tables.write(tmp_path / "a.parquet", SCHEMA, [{"id": "two"}])
    with indexed.Writer(tmp_path / "a", 100) as writer:
        writer.add([1])
    assert files.temporary(tmp_path / "data").name.endswith(f".{os.getpid()}.tmp")
    for key in ("one", "two"):
        async with Journal(tmp_path) as journal:
            await journal.put(key, {"answer": {}})
    assert {path.name for path in tmp_path.glob(".*.tmp")} == kept


EXPORT = """
import os, signal, sys
from pathlib import Path
from artifactscoder.config.trainers import ExportSettings
from artifactscoder.train import export

def merge(folder, target, dtype):
    (target / "shards").mkdir(parents=True)
    os.kill(os.getpid(), signal.SIGTERM)

export.merge = merge
export.run(ExportSettings(), Path(sys.argv[1]) / "step", Path(sys.argv[1]) / "export")
"""


def test_an_export_that_was_killed_leaves_nothing_behind_the_next(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from artifactscoder.config.trainers import ExportSettings
    from artifactscoder.train import export

    (tmp_path / "step" / "huggingface").mkdir(parents=True)
    (tmp_path / "step" / "huggingface" / "config.json").write_text("{}")
    assert subprocess.run([sys.executable, "-c", EXPORT, str(tmp_path)]).returncode == -15
    assert len(list(tmp_path.glob(".export.*/merged/shards"))) == 1
    with pytest.raises(UserError, match="could not merge"):
        export.run(ExportSettings(), tmp_path / "step", tmp_path / "export")
    assert [path.name for path in tmp_path.iterdir()] == ["step"]
