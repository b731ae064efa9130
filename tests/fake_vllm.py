"""A stand-in for `vllm serve` that behaves as badly as the real one may: children in sessions of their own, signals
that nobody hears, shared memory left behind. It answers every chat with the same page.

`python tests/fake_vllm.py MODEL --port N ...`; further flags: --stubborn (no process heeds a signal), --never (it does
not listen), --die-after N (answers, then it is gone), --delay S (of an answer), --fails (it ends at once).
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGE = "<!DOCTYPE html>\n<html><head><title>t</title></head><body><h1>A page of the fake</h1></body></html>"
CHILD = (
    "import mmap, signal, sys, time\n"
    "if sys.argv[1] == 'True':\n"
    "    [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGTERM, signal.SIGINT)]\n"
    "files = [open(path, 'r+b') for path in sys.argv[2:]]\n"
    "held = [mmap.mmap(file.fileno(), 0) for file in files]\n"
    "time.sleep(600)\n"
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    for name in ("--served-model-name", "--host"):
        parser.add_argument(name, required=True)
    parser.add_argument("--port", type=int, required=True)
    for name in ("--generation-config", "--seed", "--max-model-len", "--max-num-seqs"):  # of the real one, for nothing
        parser.add_argument(name)
    parser.add_argument("--die-after", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0)
    parser.add_argument("--maps", nargs="*", default=[])
    for name in ("--stubborn", "--never", "--fails"):
        parser.add_argument(name, action="store_true")
    asked = parser.parse_args()
    print("fake vllm begins", flush=True)
    if asked.fails:
        print("Traceback: ...\nValueError: no kernel for this GPU\nof no interest\nbye", flush=True)
        sys.exit(1)
    segment = Path("/dev/shm") / f"psm_fake_{os.getpid()}"
    segment.write_bytes(bytes(mmap.PAGESIZE))
    words = [sys.executable, "-c", CHILD, str(asked.stubborn), str(segment), *asked.maps]
    children = [subprocess.Popen(words), subprocess.Popen(words, start_new_session=True)]
    if asked.stubborn:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
    if asked.never:
        print("loading weights, for ever", flush=True)
        time.sleep(600)
    answered = 0
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            nonlocal answered
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                answered += 1
                mine = answered
                if asked.die_after and answered > asked.die_after:
                    print("RuntimeError: the engine is gone", flush=True)
                    os._exit(1)
            if body["max_tokens"] > 8:  # not the first small request
                time.sleep(asked.delay)
            text = f"```html\n{PAGE}\n```"
            data = json.dumps({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            os.write(1, f"answered {mine}\n".encode())

        def log_message(self, *_: object) -> None: ...

    ThreadingHTTPServer.request_queue_size = 128
    try:
        ThreadingHTTPServer((asked.host, asked.port), Handler).serve_forever()
    finally:
        for child in children:
            child.kill()


if __name__ == "__main__":
    main()
