"""`artifactscoder generate "a responsive navigation bar with a dark-mode switch"`: a model put to use.

In: a request in words, and a model: a folder in HF format (by transformers on a GPU or CPU, or with `eval.engine: vllm`
by a vLLM that is started for it), or an endpoint of the configuration. Without either it is the GRPO model that this
run exported, or else its SFT model. Out, in a folder of its own: the page, the raw answer, pictures of it over time and
after what was done on it, and what the browser saw; their paths are printed. `--serve` gives a page on this machine
where one types requests and sees each answer beside its code; a model's folder is then loaded once.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from artifactscoder import files
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.eval.generate import conversation
from artifactscoder.eval.render import looked
from artifactscoder.html.extract import Extraction, extract
from artifactscoder.journal import Journal
from artifactscoder.llm import folder
from artifactscoder.llm.client import Client, Unusable
from artifactscoder.models import fingerprint
from artifactscoder.progress import duration, say
from artifactscoder.records import slug
from artifactscoder.render import Render, RenderPool

EXPORTS = ("train/grpo/export", "train/sft/export")
MOST = 20_000  # characters of a request


def request(prompt: str) -> str:
    """A request without blanks around it. Raises UserError for one that is empty or too long."""
    prompt = prompt.strip()
    if not prompt:
        raise UserError('say what page you want: artifactscoder generate "a pomodoro timer with statistics"')
    if len(prompt) > MOST:
        raise UserError(f"the request has {len(prompt):,} characters; say it in at most {MOST:,}")
    return prompt


@dataclass
class Said:
    """An answer: its text, how it ended, its tokens, and the seconds that it took."""

    text: str
    finish: str
    tokens: int
    seconds: float


@dataclass
class Made:
    """What came of a request. `folder` holds `paths`; `render` is None where the answer holds no page."""

    prompt: str
    said: Said
    taken: Extraction
    render: Render | None
    folder: Path
    paths: list[Path] = field(default_factory=list)

    def summary(self) -> str:
        """One line: whether it rendered, tokens, seconds, how the answer ended."""
        page = {"none": "the answer holds no page", "truncated": "the page was cut off"}.get(self.taken.kind, "")
        seen = page or (f"rendered: {self.render.verdict.reason}" if self.render else "not rendered")
        ended = {"stop": "", "length": ", cut off at eval.sampling.max_tokens"}.get(
            self.said.finish, f", {self.said.finish}"
        )
        return f"{seen}; {self.said.tokens:,} tokens in {duration(self.said.seconds)}{ended}"


Ask = Callable[[str], Awaitable[Said]]


class Maker:
    """Makes pages of requests, one after another: `async with maker(...)` gives one."""

    def __init__(self, config: Config, name: str, ask: Ask, pool: RenderPool) -> None:
        self.config, self.name = config, name
        self._ask, self._pool = ask, pool
        self._turn = asyncio.Lock()

    async def make(self, prompt: str, output: Path | None = None) -> Made:
        """The page of a request, rendered and written into a folder. Raises UserError where nobody answers."""
        prompt = request(prompt)
        async with self._turn:
            said = await self._ask(prompt)
            taken = extract(said.text)
            whole = taken.kind not in ("none", "truncated")
            render = await self._pool.render(taken.html) if whole else None
        digest = hashlib.sha256(f"{self.name}\0{prompt}".encode()).hexdigest()[:6]
        target = output or self.config.results / "generate" / f"{slug(prompt)[:40].strip('-') or 'page'}-{digest}"
        made = Made(prompt, said, taken, render, target)
        await asyncio.to_thread(self._write, made)
        return made

    def _write(self, made: Made) -> None:
        target = made.folder
        target.mkdir(parents=True, exist_ok=True)
        for old in target.glob("picture-*"):
            old.unlink()
        contents = {"answer.txt": made.said.text.encode("utf-8", "replace")}
        if made.taken.html:
            contents["page.html"] = made.taken.html.encode("utf-8", "replace")
        if made.render is not None:
            for number, picture in enumerate(made.render.screenshots, 1):
                contents[f"picture-{number}.{self.config.render.image}"] = picture
            verdict = json.dumps(made.render.verdict.to_dict(), indent=1, ensure_ascii=False)
            contents["verdict.json"] = verdict.encode("utf-8", "replace")
        for name, data in contents.items():
            files.write_bytes(target / name, data, sync=False)
            made.paths.append(target / name)


@asynccontextmanager
async def maker(config: Config, model: Path | None, endpoint: str) -> AsyncIterator[Maker]:
    """A model ready to be asked, and a browser. Raises UserError where there is none."""
    if model is not None and endpoint:
        raise UserError("give --model or --endpoint, not both")
    if endpoint and endpoint not in config.endpoints:
        known = ", ".join(config.endpoints)
        raise UserError(f"there is no endpoint '{endpoint}' in the configuration; there are {known}")
    if not endpoint:
        model = model or _exported(config)
        fingerprint(model)  # what is no model is said before a browser starts
    async with RenderPool(looked(config), browsers=1) as pool:
        if model is not None and config.eval.engine == "transformers":
            loaded = await asyncio.to_thread(folder.Folder, model)
            yield Maker(config, str(model), _by_folder(config, loaded), pool)
            return
        name = endpoint or "generate"
        config = config if endpoint else folder.served(config, name, model or Path())
        async with (
            Journal(config.journal / "generate", shared=True) as journal,
            Client(config, "", journal, endpoint=name) as client,
        ):
            yield Maker(config, endpoint or str(model), _by_client(config, client), pool)


def _exported(config: Config) -> Path:
    for name in EXPORTS:
        if (config.results / name / "config.json").is_file():
            return config.results / name
    raise UserError(
        f"no model was exported into {config.results} yet; name a folder by --model, or an endpoint by --endpoint"
    )


def _by_folder(config: Config, loaded: folder.Folder) -> Ask:
    async def ask(prompt: str) -> Said:
        start = time.monotonic()
        messages = conversation(config.sft.select.system, prompt)
        [(text, count, finish)] = await asyncio.to_thread(loaded.answers, [messages], config.eval.sampling, config.seed)
        return Said(text, finish, count, time.monotonic() - start)

    return ask


def _by_client(config: Config, client: Client) -> Ask:
    async def ask(prompt: str) -> Said:
        start = time.monotonic()
        try:
            answer, usage, _ = await client.ask(conversation(config.sft.select.system, prompt), config.eval.sampling)
        except Unusable as trouble:
            if not trouble.text:
                raise UserError(f"endpoint '{client.name}' gave no answer: {trouble.detail}") from None
            finish = "length" if trouble.reason == "truncated" else trouble.reason
            return Said(trouble.text, finish, trouble.usage.tokens_out, time.monotonic() - start)
        return Said(answer.text, answer.finish, usage.tokens_out, time.monotonic() - start)

    return ask


async def run(
    config: Config, prompt: str, model: Path | None, endpoint: str, output: Path | None, serve: bool, port: int
) -> int:
    """Make one page and print where it is, or serve; returns 0, or 1 for an answer without a whole page."""
    if not serve or prompt.strip():
        request(prompt)  # what cannot be asked is said before a model is loaded
    async with maker(config, model, endpoint) as made_by:
        if serve:
            from artifactscoder.generate import server

            await server.serve(made_by, port, prompt)
            return 0
        say(f"generate: asking {made_by.name}")
        made = await made_by.make(prompt, output)
    for path in made.paths:
        print(path)
    print(made.summary())
    _hint(made)
    return 0 if made.render is not None else 1


def _hint(made: Made) -> None:
    """On standard error: what scripts of the page complained of."""
    verdict: Any = made.render.verdict if made.render else None
    for error in verdict.script_errors[:3] if verdict else ():
        say(f"generate: script error: {error}")
