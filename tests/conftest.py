"""What the tests share: a small configuration, and rows to feed steps with."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from artifactscoder import config as configs
from artifactscoder import tables
from artifactscoder.cluster.profile import Profile
from artifactscoder.config import Config
from artifactscoder.records import PAGE

ROOT = Path(__file__).resolve().parents[1]


LONGEST = ("test_train", "test_kill", "test_workflow", "test_procedural", "test_hosted", "test_render")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that both workers end at about the same time."""

    def rank(item: pytest.Item) -> int:
        name = item.path.stem
        return LONGEST.index(name) if name in LONGEST else len(LONGEST)

    items.sort(key=rank)


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seed files are named relative to the root of the checkout."""
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="session")
def running_slurm() -> None:
    """For tests on a real cluster."""
    try:
        up = " UP" in subprocess.run(["scontrol", "ping"], capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        up = False
    if not up:
        pytest.skip("no Slurm answers `scontrol ping` here: make cluster-up starts one")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A folder for render services to meet in, gone with what they still write."""
    from render_replica import Replica  # here: most tests need no browser

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
        yield Path(made)
        (Path(made) / "end").touch()
        Replica.end_all()


Configure = Callable[..., Config]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """A configuration of two categories, answered procedurally, with its own journal; keywords overlay sections."""

    def make(url: str = "", **sections: Any) -> Config:
        procedural = {"kind": "procedural", "vision": True}
        api = {
            "kind": "api",
            "url": url,
            "model": "test",
            "patience_s": 2,
            "retries": 2,
            "timeout_s": 20,
            "vision": True,
        }
        values: dict[str, Any] = {
            "results": str(tmp_path / "results"),
            "journal": str(tmp_path / "journal"),
            "endpoints": {"it": api if url else procedural},
            "roles": dict.fromkeys(("teacher", "coder", "reference", "judge", "vision_judge"), "it"),
            "sft": {
                "categories": ["game-puzzle", "tool-calculator"],
                "subcategories": 2,
                "tasks": {"per_subcategory": 3},
                "variants": {"kinds": ["layout", "minimalist", "real-time"]},
            },
            "cpt": {
                "websight": {"shards": 1, "sample": 4},
                "tree": {"roots": ["games-play"], "children": [2, 2]},
                "templates": {"count": 6, "per_request": 4},
                "prompts": {"per_leaf": 3, "shards": 2},
                "pack": {"length": 256},
            },
            "rl": {"prompts": {"count": 12, "families": ["dashboards", "forms"]}, "parquet": {"validation": 0.25}},
            "render": {"width": 640, "height": 480},
        }
        for name, section in sections.items():
            values[name] = {**values.get(name, {}), **section} if isinstance(section, dict) else section
        return configs.from_dict(values, "the test's configuration")

    return make


@pytest.fixture
def pages(tmp_path: Path) -> Callable[..., Path]:
    """Writes a PAGE table from a mapping of id to html."""

    def write(name: str, html: dict[str, str], prompt: str = "Make a page.") -> Path:
        path = tmp_path / f"{name}.parquet"
        rows = (
            {
                "id": id_,
                "group": id_.split("/")[0],
                "kind": "layout",
                "prompt": prompt,
                "html": text,
                "answer": text,
                "extracted": "document",
                "maker": "procedural",
                "request": "r",
            }
            for id_, text in html.items()
        )
        tables.write(path, PAGE, rows)
        return path

    return write


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium under Playwright, in which a test looks at a page as its reader does."""
    from playwright.sync_api import sync_playwright  # here: most tests need no browser

    from artifactscoder.render import chromium

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=str(chromium.find()))
        yield found
        found.close()


@pytest.fixture
def profile(tmp_path: Path):
    """Writes a profile; keywords are its keys, `_` for `-`."""

    def write(**values: object) -> Profile:
        (tmp_path / "profile").mkdir(exist_ok=True)
        text = yaml.safe_dump({key.replace("_", "-"): value for key, value in values.items()})
        (tmp_path / "profile/config.yaml").write_text(text)
        return Profile(tmp_path / "profile")

    return write


@pytest.fixture
def settings(configure):
    """The small configuration of the other tests; keywords overlay it key by key, as a second file would."""

    def make(url: str = "", **sections: object) -> Config:
        values = configure(url).model_dump(mode="json")
        configs._overlay(values, sections)
        return configs.from_dict(values)

    return make


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        good = self.headers.get("Authorization") in (None, "Bearer good") and self.path == "/v1/models"
        self.send_response(200 if good else 401)
        self.end_headers()
        self.wfile.write(json.dumps({"data": [{"id": "test"}]}).encode())

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    http = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}/v1"
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    """A whole small run, made once a file of tests."""
    import small_run  # here: most tests need no step

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        yield asyncio.run(small_run.run(tmp_path_factory.mktemp("run")))
