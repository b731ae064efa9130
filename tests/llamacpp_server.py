"""A llama.cpp server with the small model of a PyPI package, as a process of its own: prints its address, serves until
it is ended. `python tests/llamacpp_server.py MODEL.gguf`"""

from __future__ import annotations

import signal
import sys
import threading

from xllamacpp import CommonParams, Server


def main() -> None:
    parameters = CommonParams()
    parameters.model.path = sys.argv[1]
    parameters.n_ctx = 8192
    parameters.n_parallel = 2
    parameters.port = 0
    # One thread: several spin while they wait, which costs more than it gives on a shared machine.
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    server = Server(parameters)
    print(server.listening_address, flush=True)
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    done.wait()


if __name__ == "__main__":
    main()
