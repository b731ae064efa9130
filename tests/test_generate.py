"""`artifactscoder generate`: a request becomes a page, and what a model wrote stays in its frame."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import Page, async_playwright

from artifactscoder import cli
from artifactscoder.config import Config
from artifactscoder.config import write as write_config
from artifactscoder.config.trainers import TinyModelSettings
from artifactscoder.generate import maker
from artifactscoder.generate.server import Door
from artifactscoder.render import chromium
from artifactscoder.train import tiny_model
from openai_server import Server, completion

ROOT = Path(__file__).resolve().parents[1]
WISH = "a responsive navigation bar with a dark-mode switch"


def artifactscoder(*arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    command = [sys.executable, "-m", "artifactscoder.cli", "generate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)


async def test_without_a_name_it_is_the_grpo_model_or_else_the_sft_model(configure, tmp_path) -> None:
    small = TinyModelSettings(vocab=640, layers=1, hidden=32, heads=2, kv_heads=1)
    for made, taken in (("sft", "sft"), ("grpo", "grpo"), ("sft", "grpo")):
        tiny_model.make(["<p>a page</p>\n"], tmp_path / f"results/train/{made}/export", small)
        async with maker(configure(), None, "") as made_by:
            assert made_by.name == str(tmp_path / f"results/train/{taken}/export")


def test_an_endpoint_writes_a_page_and_its_paths_are_printed(configure, tmp_path) -> None:
    write_config(configure(), tmp_path / "config.yaml")
    done = artifactscoder(WISH, "--endpoint", "it", "--config", str(tmp_path / "config.yaml"))
    assert done.returncode == 0, done.stderr
    *paths, verdict = done.stdout.splitlines()
    names = [Path(path).name for path in paths]
    assert names[:2] == ["answer.txt", "page.html"] and "verdict.json" in names and "picture-4.jpeg" in names
    folder = Path(paths[0]).parent
    assert folder.parent == tmp_path / "results/generate" and "navigation-bar" in folder.name
    assert "</html>" in (folder / "page.html").read_text() and verdict.startswith("rendered: ok; ")
    assert json.loads((folder / "verdict.json").read_text())["actions"], "the page was used"


def test_a_model_folder_answers_by_transformers_and_an_answer_without_a_page_is_said(
    configure, tmp_path, capsys
) -> None:
    folder = tmp_path / "model"
    texts = [f"<!DOCTYPE html>\n<html>\n<p>page {i}</p>\n</html>" for i in range(50)]
    tiny_model.make(texts, folder, TinyModelSettings(vocab=640, layers=1, hidden=32, heads=2, kv_heads=1))
    write_config(configure(eval={"sampling": {"temperature": 0, "max_tokens": 24}}), tmp_path / "config.yaml")
    given = ["--config", str(tmp_path / "config.yaml"), "--output", str(tmp_path / "out")]
    answers = []
    for _ in range(2):
        assert cli.main(["generate", WISH, "--model", str(folder), *given]) == 1, "no whole page"
        assert " tokens in " in capsys.readouterr().out
        answers.append((tmp_path / "out/answer.txt").read_bytes())
    assert answers[0] == answers[1] != b"", "greedy answers come again"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([WISH], "no model was exported into"),
        ([WISH, "--endpoint", "nobody"], "there is no endpoint 'nobody' in the configuration; there are it"),
        ([WISH, "--model", "nowhere"], "nowhere is not a Hugging Face model folder"),
        ([], "say what page you want"),
        (["a" * 20_001], "the request has 20,001 characters"),
        (["--serve", "a" * 20_001], "the request has 20,001 characters"),
    ],
)
def test_a_mistake_is_one_sentence(configure, tmp_path, capsys, arguments, sentence) -> None:
    write_config(configure(), tmp_path / "config.yaml")
    code = cli.main(["generate", *arguments, "--config", str(tmp_path / "config.yaml")])
    said = capsys.readouterr().err
    assert code == 2 and sentence in said and len(said.splitlines()) == 1


@asynccontextmanager
async def served(config: Config) -> AsyncIterator[tuple[str, Door]]:
    """The server as `--serve` runs it; its address without the token, and its door."""
    async with maker(config, None, "it") as made_by:
        door = Door(made_by)
        runner = web.AppRunner(door.application())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}", door
        finally:
            await runner.cleanup()


async def ask(page: Page, wish: str) -> None:
    await page.get_by_label("What page do you want?").fill(wish)
    await page.get_by_role("button", name="Make it").click()
    await page.locator("#go:enabled").wait_for(timeout=60_000)


async def test_one_types_a_wish_in_a_browser_and_sees_the_page_beside_its_code(configure) -> None:
    async with served(configure()) as (address, door), async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(chromium.find()))
        page = await browser.new_page()
        troubles: list[str] = []
        page.on("pageerror", lambda error: troubles.append(str(error)))
        await page.goto(f"{address}/#{door.token}")
        await ask(page, WISH)
        assert "rendered: ok" in await page.locator("#status").inner_text()
        assert (await page.locator("#code").inner_text()).startswith("<!DOCTYPE html>")
        shown = page.frame_locator("iframe")
        assert await shown.locator("h1").first.inner_text()
        await page.get_by_text("Pictures by the renderer").click()
        assert await page.locator("#pictures img").count() >= 3
        assert troubles == []
        await page.goto("about:blank")
        await page.goto(f"{address}/#wrong")
        await ask(page, WISH)
        assert "token is missing" in await page.locator("#status").inner_text()
        await browser.close()


HOSTILE = """<!DOCTYPE html><html><body><h1>Hi</h1><script>
const at = "http://127.0.0.1:%d/";
const tell = (name) => { document.body.insertAdjacentHTML("beforeend", `<p class=got>${name}</p>`); };
fetch(at + "fetch").then(() => tell("fetch")).catch(() => 0);
new Image().src = at + "image";
navigator.sendBeacon(at + "beacon");
document.body.insertAdjacentHTML("beforeend", `<img src="${at}html"><link rel=stylesheet href="${at}css">
  <iframe src="${at}frame"></iframe><form id=f action="${at}form"><input name=a></form>
  <link rel=prefetch href="${at}prefetch"><video src="${at}video"></video>`);
try { f.submit(); } catch { }
try { tell("parent " + parent.document.title); } catch { }
try { tell("token " + parent.location.hash); } catch { }
try { tell("storage " + localStorage.length); } catch { }
try { open(at + "window"); } catch { }
try { top.location = at + "top"; } catch { }
fetch("/generate", {method: "POST", body: '{"prompt": "x"}'}).then(() => tell("generate")).catch(() => 0);
setTimeout(() => { tell("end"); location = at + "self"; }, 300);
</script></body></html>"""


async def test_a_hostile_page_reaches_neither_the_network_nor_the_page_around_it(configure) -> None:
    reached: list[str] = []

    async def canary(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.Response(text="x", headers={"Access-Control-Allow-Origin": "*"})

    bait = web.Application()
    bait.router.add_route("*", "/{any:.*}", canary)
    runner = web.AppRunner(bait)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]

    async def fault(number: int, request: web.Request) -> web.Response:
        return web.json_response(completion(HOSTILE % port))

    async with Server(fault).open() as url, served(configure(url)) as (address, door), async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(chromium.find()))
        page = await browser.new_page()
        await page.goto(f"{address}/#{door.token}")
        await ask(page, "attack")
        await page.wait_for_timeout(1500)
        assert reached == [] and page.url.startswith(address) and len(browser.contexts[0].pages) == 1
        inner = page.frames[1]
        said = await inner.locator(".got").all_inner_texts() if inner.url.startswith(address) else []
        assert said in ([], ["end"]), said
        assert "Hi" in (await page.locator("#code").inner_text())
        [address_of_page] = [f"{address}/page/{id_}" for id_ in door._pages]
        other = await browser.new_page()
        response = await other.goto(address_of_page)
        assert response is not None and response.status == 403 and reached == [], "not in a window of its own"
        await other.set_content(HOSTILE % port)
        await other.wait_for_timeout(700)
        assert {"/fetch", "/image", "/css", "/frame"} <= set(reached), "without its frame it does all it can"
        await browser.close()
    await runner.cleanup()


async def test_other_sites_cannot_ask(configure) -> None:
    async with served(configure()) as (address, door), aiohttp.ClientSession() as session:
        good = {"Authorization": f"Bearer {door.token}"}
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer x"}, 401),
            ({**good, "Origin": "https://evil.example"}, 403),
            ({**good, "Host": "evil.example"}, 403),
        ):
            async with session.post(f"{address}/generate", json={"prompt": "x"}, headers=headers) as answer:
                assert answer.status == status and answer.headers["Referrer-Policy"] == "no-referrer"
        async with session.post(f"{address}/generate", data="no json", headers=good) as answer:
            assert answer.status == 400
        async with session.get(f"{address}/") as answer:
            text = await answer.text()
            assert door.token not in text and "frame-src 'self'" in answer.headers["Content-Security-Policy"]
        async with session.post(f"{address}/generate", json={"prompt": " "}, headers=good) as answer:
            assert answer.status == 502 and "say what page" in (await answer.json())["error"]
