"""Claims about pages that mean harm: nothing leaves, nothing is read, nothing hangs, nothing is left behind.

Each claim about networks and files has its control: the same pages in an unprotected browser, where the canaries do
fire. The pool here gives its browsers loopback, which it otherwise takes away where it can, so that what is shown is
the interception, on every machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Peer
from playwright.sync_api import Error as PeerError
from playwright.sync_api import sync_playwright

import hostile_pages
from artifactscoder.render import Render, RenderOptions, RenderPool, chromium
from artifactscoder.render.containment import choose
from hostile_pages import Cage, Canary, PageServer

# Their canaries stay silent without protection too.
NO_CONTROL = {
    "network/attribution": "the headless shell has no Attribution Reporting",
    "network/dns_prefetch": "a name is asked of the system's resolver, where no canary can sit",
    "network/policy_reports": "Chromium ignores report addresses in a meta element",
    "network/preconnect": "the headless shell opens no connection ahead of a request",
    "network/removed_frame": "Chromium ends what a removed document asks for",
    "network/view_source": "a page may not open view-source: addresses",
    "network/xml_entities": "Chromium reads no external entities",
    "files/directory": "a listing of a folder has no colour to tell it by",
    "files/fetch": "Chromium's file origins may not read each other, only show",
    "files/pickers": "a picker needs a user's gesture",
    "files/schemes": "the schemes are refused to pages",
}
# What these pages show has no heading: they loop, or throw themselves away.
NO_HEADING = {
    "network/early_loop",
    "network/crash_after",
    "antics/crash_urls",
    "antics/no_document",
    "antics/top_data_url",
}
LONG = 2.0
# More than a page's limit: a second try, ending both, starting a browser, on a busy machine.
GRACE = 15.0
QUICK = RenderOptions(width=800, height=600, timeout_s=15)
HASTY = RenderOptions(width=800, height=600, timeout_s=1.0)
# One of each kind of hanging is in the quick tests, all are in the slow ones.
HANGING = ["hang/regular_expression", "hang/web_assembly_loop", "hang/getter_loop", "hang/document_write_loop"]
BUSY = [
    "busy/dialogs_in_frames",
    "busy/shared_worker_bomb",
    "busy/print_storm",
    "busy/debugger_storm",
    "busy/huge_messages",
]
PROOF = "<h1>The next page</h1><script>document.body.append(' is as it should be')</script>"


class Den:
    """A pool of two browsers whose traces are all in one folder, the canary and the cage."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hostile-"))
        self.folder.chmod(0o1777)
        self.cage_folder = Path(tempfile.mkdtemp(prefix="cage-"))
        self.cage_folder.chmod(0o755)
        self.canary, self.cage = Canary(), Cage(self.cage_folder)
        self.before, tempfile.tempdir = tempfile.tempdir, str(self.folder)
        self.runner = asyncio.Runner()
        with_loopback = dataclasses.replace(choose(chromium.find()), no_network=False)
        self.pool = RenderPool(QUICK, browsers=2, containment=with_loopback)
        self.runner.run(self.pool.__aenter__())

    def render(self, pages: dict[str, str], options: RenderOptions) -> dict[str, Render]:
        async def all_at_once() -> list[Render]:
            return await asyncio.gather(*(self.pool.render(html, options) for html in pages.values()))

        return dict(zip(pages, self.runner.run(all_at_once()), strict=True))

    def face(self, names: list[str], options: RenderOptions) -> dict[str, Render]:
        """Render these pages and check what holds for all of them."""
        renders = self.render({name: hostile_pages.page(name, self.canary, self.cage) for name in names}, options)
        self.check(renders, options)
        return renders

    def check(self, renders: dict[str, Render], options: RenderOptions) -> None:
        """Nothing left, nothing was read, nothing took longer than it may, both browsers render the next page."""
        assert self.canary.heard == []
        for name, render in renders.items():
            # The time counts from when a browser was free.
            assert render.verdict.seconds < 2 * options.timeout_s + GRACE, name
            assert "TOPSECRET" not in str(render.verdict), name
        for render in self.render({"one": PROOF, "two": PROOF + " "}, QUICK).values():
            assert render.verdict.rendered
            assert render.verdict.visible_text == "The next page is as it should be"

    def close(self) -> None:
        self.runner.run(self.pool.close())
        self.runner.close()
        tempfile.tempdir = self.before
        self.canary.close()
        left = [path.name for path in self.folder.iterdir()]
        for folder in (self.folder, self.cage_folder):
            shutil.rmtree(folder)
        assert left == [], "left behind"
        assert processes_at(self.folder) == [], "still running"


def processes_at(folder: Path) -> list[int]:
    """The processes whose command line names this folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


@pytest.fixture(scope="module")
def den(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Den]:
    tmp_path_factory.getbasetemp()  # is made now, lest it be made in the den, and end with it
    made = Den()
    yield made
    made.close()


def test_nothing_leaves(den: Den) -> None:
    renders = den.face(hostile_pages.names("network"), dataclasses.replace(QUICK, timeout_s=LONG))
    for name, render in renders.items():
        if name not in NO_HEADING and render.verdict.reason != "timeout":
            assert render.verdict.rendered, (name, render.verdict)
    # What was refused is on record, whichever way it was asked for.
    for name in ("base_and_srcset", "css_exfiltration", "fonts", "nested_workers", "svg_references", "web_socket"):
        assert renders[f"network/{name}"].verdict.requests_refused_count > 0, name


def test_nothing_is_read(den: Den) -> None:
    for name, render in den.face(hostile_pages.names("files"), QUICK).items():
        assert render.verdict.rendered, (name, render.verdict)
        assert all(hostile_pages.red_pixels(picture) == 0 for picture in render.screenshots), name


def test_nothing_hangs(den: Den) -> None:
    renders = den.face(HANGING + BUSY, HASTY)
    assert {renders[name].verdict.reason for name in HANGING} == {"timeout"}


def test_odd_behaviour_is_seen_for_what_it_is(den: Den) -> None:
    renders = den.face(hostile_pages.names("antics"), dataclasses.replace(QUICK, timeout_s=4))
    assert renders["antics/builtins"].verdict.visible_text == "Builtins seen as it is"
    assert renders["antics/named_elements"].verdict.visible_text == "Named elements seen as it is and this"
    assert "FAKED" not in "".join(str(render.verdict) for render in renders.values())
    assert renders["antics/no_document"].verdict.reason == "no_content"
    errors = renders["antics/uncaught_oddities"].verdict
    assert {"null", "undefined", "Symbol(s)"} <= set(errors.script_errors)
    # Half a surrogate pair would break whoever writes the verdict down.
    str(errors).encode()


def test_odd_documents_are_answered(den: Den) -> None:
    documents = hostile_pages.odd_documents()
    for few in ("deep_source", "long_attribute", "long_script"):
        documents.pop(few)
    renders = den.render(documents, QUICK)
    den.check(renders, QUICK)
    assert renders["empty"].verdict.reason == "no_content"
    assert all(render.verdict.rendered for name, render in renders.items() if name != "empty")
    too_large = den.render({"large": "x" * 60_000_001}, QUICK)["large"]
    assert (too_large.verdict.reason, too_large.screenshots) == ("navigation_failed", [])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hang", "busy", "memory"])
def test_every_hostile_page_is_answered_and_the_next_one_renders(den: Den, kind: str) -> None:
    """One page at a time a browser, the next page after each."""
    options = dataclasses.replace(QUICK, timeout_s=LONG)
    for name in hostile_pages.names(kind):
        den.face([name], options)


@pytest.mark.slow
def test_large_documents_are_answered(den: Den) -> None:
    options = dataclasses.replace(QUICK, timeout_s=6)
    for name, html in (hostile_pages.odd_documents() | hostile_pages.large_documents()).items():
        den.check(den.render({name: html}, options), options)


# The control


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    """The same browser without any protection, in real time."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium.find()), chromium_sandbox=os.geteuid() != 0)
        yield browser
        browser.close()


def alarm(peer: Peer, name: str, folder: Path, patience: float) -> bool:
    """Whether a canary fires for this page within so many seconds, without protection.

    A page about files is opened as a file, one about networks from an origin that may use every feature; it is left
    after a while, because some send when they end.
    """
    canary, cage = Canary(), Cage(folder)
    html = hostile_pages.page(name, canary, cage)
    server = None if name.startswith("files") else PageServer(html)
    (folder / "page.html").write_text(html)
    context = peer.new_context(viewport={"width": 800, "height": 600})
    page = context.new_page()
    end, leave = time.monotonic() + patience, time.monotonic() + patience / 3
    fired = False
    with contextlib.suppress(PeerError):
        page.goto(server.url if server else (folder / "page.html").as_uri(), wait_until="commit", timeout=5000)
    while not fired and time.monotonic() < end:
        with contextlib.suppress(PeerError):
            page.wait_for_timeout(50)
            if server is None:
                fired = any(hostile_pages.red_pixels(one.screenshot(timeout=2000)) for one in context.pages)
            elif time.monotonic() > leave:
                leave = end
                page.goto("about:blank", timeout=2000)
        fired = fired or bool(canary.heard)
    with contextlib.suppress(PeerError):
        context.close()
    canary.close()
    if server:
        server.close()
    return fired


def test_without_protection_the_canaries_fire(peer: Peer, tmp_path: Path) -> None:
    for name in ("network/shared_worker", "network/stun", "network/web_transport", "files/inner_frames"):
        assert alarm(peer, name, tmp_path, 15), name


@pytest.mark.slow
def test_without_protection_every_canary_fires_that_can(peer: Peer, tmp_path: Path) -> None:
    names = hostile_pages.names("network", "files")
    assert set(NO_CONTROL) <= set(names)
    silent = {name for name in names if not alarm(peer, name, tmp_path, 3 if name in NO_CONTROL else 15)}
    assert silent == set(NO_CONTROL)
