"""A server for bench/llm.py that costs next to nothing: an answer of ANSWER characters, LATENCY_S after its request.

`python bench/llm_server.py` prints its base URL and serves until it is killed. Requests are read by hand, since the
machine's cores are shared with the client that is measured. A request with `"stream":true` gets its answer in PIECES
server-sent events, spread over the latency.
"""

from __future__ import annotations

import asyncio
import json

LATENCY_S = 0.05
ANSWER = 16_384
PIECES = 64
USAGE = {"prompt_tokens": 1024, "completion_tokens": 4096, "total_tokens": 5120}
TEXT = "".join(f"<p>{number:05d}</p>" for number in range(ANSWER // 12 + 1))[:ANSWER]  # repeats nothing


def _http(kind: str, body: bytes) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _whole() -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "bench", "choices": [choice], "usage": USAGE}
    return _http("application/json", json.dumps(body).encode())


def _events() -> list[bytes]:
    """The chunks of a streamed answer, the head of the response before the first."""
    base = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "bench"}
    size = -(-ANSWER // PIECES)
    deltas = [
        {"choices": [{"index": 0, "delta": {"content": TEXT[i : i + size]}, "finish_reason": None}]}
        for i in range(0, ANSWER, size)
    ]
    deltas[-1]["choices"][0]["finish_reason"] = "stop"
    texts = [json.dumps({**base, **delta}) for delta in [*deltas, {"choices": [], "usage": USAGE}]]
    events = [f"data: {text}\n\n".encode() for text in [*texts, "[DONE]"]]
    chunks = [b"%x\r\n%s\r\n" % (len(event), event) for event in events]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return [head + chunks[0], *chunks[1:-1], chunks[-1] + b"0\r\n\r\n"]


WHOLE, EVENTS = _whole(), _events()


class Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, gap, body = self.data.partition(b"\r\n\r\n")
        if not gap:
            return
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        if len(body) < length:
            return
        self.data = body[length:]
        self.last = b"\r\nconnection: close" in head.lower()
        loop = asyncio.get_running_loop()
        if head.startswith(b"GET"):  # what models there are, or whether it is well
            self.answer(_http("application/json", b'{"object": "list", "data": [{"id": "bench"}]}'))
        elif b'"stream":true' in body or b'"stream": true' in body:
            for number, event in enumerate(EVENTS[:-1]):
                loop.call_later(LATENCY_S * (number + 1) / len(EVENTS), self.transport.write, event)
            loop.call_later(LATENCY_S, self.answer, EVENTS[-1])
        else:
            loop.call_later(LATENCY_S, self.answer, WHOLE)

    def answer(self, data: bytes) -> None:
        self.transport.write(data)
        if self.last:
            self.transport.close()


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=4096)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
