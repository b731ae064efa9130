"""CPU of a request: ours against a bare aiohttp loop, datatrove's inference runner and curator, in one run.

COUNT requests with prompts of 4 KB and answers of 16 KB, 512 in flight, to a loopback server that answers after 50 ms
(bench/llm_server.py). Each client is a process of its own, measured by its own rusage, its children's included; the
clients take turns. Ours is what a step does: rows in, journal, table and ledger out. `ours` reads whole answers like
the others, `ours_stream` streams them. The bare loop keeps the texts and nothing else; datatrove writes its
checkpoints, curator its cache. The last line is JSON: of each client requests/s, ms of CPU a request and peak MB, and
`cpu_vs_bare`, `cpu_ms` (ours), `datatrove_vs_ours`, `curator_vs_ours` (medians of the rounds).
The peers live in a Python of their own, which `make bench-llm` installs; without `--peers PYTHON` they are left out.
`--quick` asks 1,000 requests once, else 5,000 three times.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
IN_FLIGHT = 512
PROMPT = 4096
PEERS = ("datatrove", "curator")


def prompt(number: int) -> str:
    return f"{number:08d} " + "a page with a timer and a list. " * (PROMPT // 32)


def bare(url: str, count: int, folder: Path) -> int:
    """aiohttp and orjson, nothing kept but the texts."""
    import aiohttp
    import orjson

    async def run() -> int:
        texts: list[str] = []
        numbers = iter(range(count))
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, headers={"Content-Type": "application/json"}) as session:

            async def work() -> None:
                for number in numbers:
                    body = {"model": "bench", "messages": [{"role": "user", "content": prompt(number)}]}
                    async with session.post(f"{url}/chat/completions", data=orjson.dumps(body)) as response:
                        texts.append(orjson.loads(await response.read())["choices"][0]["message"]["content"])

            await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
        return len(texts)

    return asyncio.run(run())


def ours(url: str, count: int, folder: Path, stream: bool = False) -> int:
    from artifactscoder.config.engines import BudgetSettings, Endpoint, Sampling
    from artifactscoder.journal import Journal
    from artifactscoder.llm import generate
    from artifactscoder.llm.client import Client
    from artifactscoder.progress import Progress
    from artifactscoder.records import TEXT, columns

    settings = Endpoint(kind="api", url=url, model="bench", concurrency=IN_FLIGHT, stream=stream)
    sampling = Sampling(max_tokens=8192)

    class Config:  # what Client takes of a configuration
        budget, journal = BudgetSettings(), folder

        def endpoint(self, role: str) -> tuple[str, Endpoint]:
            return role, settings

    async def run() -> int:
        async with Journal(folder / "journal") as journal, Client(Config(), "coder", journal) as client:  # type: ignore[arg-type]

            async def work(row: dict[str, Any]) -> list[generate.Outcome]:
                answer, usage, key = await client.ask([{"role": "user", "content": row["prompt"]}], sampling)
                return [generate.Outcome(row["id"], usage=usage, row={"id": row["id"], "text": answer.text})]

            rows = ({"id": f"{number:08d}", "prompt": prompt(number)} for number in range(count))
            ledger = await generate.in_order(
                rows, lambda row: [row["id"]], work, folder / "table.parquet", columns(id=TEXT, text=TEXT),
                [client], Progress("bench", count),
            )  # fmt: skip
        return ledger.counts["ok"]

    return asyncio.run(run())


def ours_stream(url: str, count: int, folder: Path) -> int:
    return ours(url, count, folder, stream=True)


def datatrove(url: str, count: int, folder: Path) -> int:
    from datatrove.data import Document
    from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
    from datatrove.pipeline.writers import JsonlWriter

    async def ask(document: Document, generate: Any) -> Any:
        return await generate({"messages": [{"role": "user", "content": document.text}]})

    settings = InferenceConfig(
        server_type="endpoint", endpoint_url=url.removesuffix("/v1"), model_name_or_path="bench",
        max_concurrent_generations=IN_FLIGHT, rollouts_per_document=1,
    )  # fmt: skip
    writer = JsonlWriter(str(folder / "out"), "${rank}_${chunk_index}.jsonl", compression=None)
    runner = InferenceRunner(
        rollout_fn=ask, config=settings, output_writer=writer,
        checkpoints_local_dir=str(folder / "checkpoints"), records_per_chunk=500,
    )  # fmt: skip
    runner.run((Document(text=prompt(number), id=f"{number:08d}") for number in range(count)), rank=0, world_size=1)
    return sum(len(path.read_text().splitlines()) for path in (folder / "out").rglob("*.jsonl"))


def curator(url: str, count: int, folder: Path) -> int:
    os.environ.update(OPENAI_API_KEY="unused", CURATOR_CACHE_DIR=str(folder), TELEMETRY_ENABLED="0")
    os.environ.update(CURATOR_DISABLE_RICH_DISPLAY="1", HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
    import tiktoken

    class Words:  # its tokenizer comes from the network; it only counts for the rate limit, which is off
        def encode(self, text: str, **_: Any) -> list[int]:
            return [0] * (len(text) // 4)

    tiktoken.get_encoding = tiktoken.encoding_for_model = lambda *_: Words()
    from bespokelabs import curator as package

    parameters = {
        "base_url": url, "max_requests_per_minute": 10_000_000, "max_tokens_per_minute": 10_000_000_000,
        "max_concurrent_requests": IN_FLIGHT, "request_timeout": 60,
    }  # fmt: skip
    llm = package.LLM(model_name="bench", backend="openai", backend_params=parameters)
    answers = llm([prompt(number) for number in range(count)])
    rows = getattr(answers, "dataset", answers)
    return len(rows)


CLIENTS = {client.__name__: client for client in (bare, ours, ours_stream, datatrove, curator)}


def client(name: str, url: str, count: int) -> None:
    """Run one client in this process; the last line it prints holds what it took."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        done = CLIENTS[name](url, count, Path(folder))
        seconds = time.perf_counter() - start
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(part.ru_utime + part.ru_stime for part in used)
    assert done == count, f"{name} answered {done} of {count}"
    peak = max(part.ru_maxrss for part in used) / 1024
    print("\n" + json.dumps({"seconds": seconds, "cpu": cpu, "peak_mb": peak}), flush=True)


def start_up(name: str, python: str) -> float:
    """Seconds of CPU that a client takes for one request: its imports, which no request is to blame for."""
    return float(measured(name, python, 1)["cpu"])


def measured(name: str, python: str, count: int) -> dict[str, float]:
    server = subprocess.Popen([sys.executable, str(HERE / "llm_server.py")], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        url = server.stdout.readline().strip()
        words = [python, __file__, "--client", name, "--url", url, "--count", str(count)]
        run = subprocess.run(words, capture_output=True, text=True)
        if run.returncode:
            raise SystemExit(f"{name} failed:\n{(run.stdout + run.stderr)[-3000:]}")
        return dict(json.loads(run.stdout.strip().splitlines()[-1]))
    finally:
        server.kill()
        server.wait()


def compare(count: int, rounds: int, peers: str) -> None:
    pythons = {name: peers if name in PEERS else sys.executable for name in CLIENTS}
    names = [name for name in CLIENTS if pythons[name]]
    imports = {name: start_up(name, pythons[name]) for name in names}
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names:
            took = measured(name, pythons[name], count)
            took["cpu_ms"] = 1000 * (took["cpu"] - imports[name]) / (count - 1)
            figures[name].append(took)
            print(
                f"round {number + 1} of {rounds}: {name:<12} {count / took['seconds']:7.0f} requests/s  "
                f"{took['cpu_ms']:6.2f} ms CPU a request  peak {took['peak_mb']:.0f} MB",
                flush=True,
            )

    def versus(name: str, other: str) -> float:
        pairs = zip(figures[name], figures[other], strict=True)
        return round(statistics.median(one["cpu_ms"] / two["cpu_ms"] for one, two in pairs), 2)

    ratios = {"cpu_vs_bare": versus("ours", "bare"), "stream_vs_bare": versus("ours_stream", "bare")}
    ratios |= {f"{name}_vs_ours": versus(name, "ours") for name in PEERS if name in figures}
    table = {
        name: {
            "requests_per_s": round(statistics.median(count / took["seconds"] for took in runs)),
            "cpu_ms": round(statistics.median(took["cpu_ms"] for took in runs), 3),
            "peak_mb": round(max(took["peak_mb"] for took in runs)),
        }
        for name, runs in figures.items()
    }
    print(json.dumps({"clients": table, "cpu_ms": table["ours"]["cpu_ms"], **ratios}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peers", default="", help="Python with datatrove and bespokelabs-curator")
    parser.add_argument("--client", choices=CLIENTS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.client:
        client(args.client, args.url, args.count)
    else:
        compare(1000 if args.quick else 5000, 1 if args.quick else 3, args.peers)


if __name__ == "__main__":
    main()
