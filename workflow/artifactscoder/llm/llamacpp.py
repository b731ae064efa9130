"""llama.cpp's server as a process of its own: `python -m artifactscoder.llm.llamacpp --model FILE.gguf --port 8000`.

In: a GGUF file. Out: an OpenAI-compatible server on loopback, until SIGTERM or SIGINT. It takes the names that
llama-server has for the few arguments it knows, so that either can stand in `command` of an endpoint. It comes from the
wheel of xllamacpp, for CPUs, which needs neither a compiler nor a download. A slot, the longest prompt with its answer,
is ctx-size / parallel tokens. Where other jobs share the cores, one thread is faster than two: several spin while they
wait for one another (measured on two busy cores: 23-34 tokens/s with one, 1-5 with two).
"""

from __future__ import annotations

import argparse
import os
import signal
import threading


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m artifactscoder.llm.llamacpp", description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="GGUF file")
    parser.add_argument("--alias", default="", help="name that it is served under")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of the computation")
    parser.add_argument("--ctx-size", type=int, default=0, help="tokens of all slots together; 0: as the model says")
    parser.add_argument("--parallel", type=int, default=1, help="slots: answers under way at once")
    parser.add_argument("--n-gpu-layers", type=int, default=0)
    asked = parser.parse_args()
    # Before anything is started: the server's threads then leave these signals to this one.
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())

    from xllamacpp import CommonParams, Server

    parameters = CommonParams()
    parameters.model.path = asked.model
    parameters.model_alias = {asked.alias} if asked.alias else set()
    parameters.hostnames = [asked.host]
    parameters.port = asked.port
    parameters.n_ctx = asked.ctx_size
    parameters.n_parallel = asked.parallel
    parameters.n_gpu_layers = asked.n_gpu_layers
    parameters.offline = True
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = asked.threads
    server = Server(parameters)
    print(server.listening_address, flush=True)
    done.wait()


if __name__ == "__main__":
    main()
