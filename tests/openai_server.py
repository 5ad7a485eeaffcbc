"""A small server that speaks OpenAI's API: answers by a rule and notes what it is asked."""

import json
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Server(ThreadingHTTPServer):
    def handle_error(self, *client: Any) -> None:
        """Clients may leave; all else is told."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*client)


class OpenAIServer:
    """Listens on loopback until `close`.

    Attributes:
        asked: bodies of all requests.
        keys: what the requests' Authorization headers held.
        failing: status codes that the next requests are answered with instead.
        breaks_after: so many pieces; then a stream ends early.
        sampled: answers requests that have a seed, from content and seed.
        logprob: of the answer's one token, from content; told to those who ask.
    """

    def __init__(self, rule: Callable[[str], str]) -> None:
        self.asked, self.keys = list[dict[str, Any]](), set[str | None]()
        self.failing = list[int]()
        self.breaks_after: int | None = None
        self.sampled: Callable[[str, int], str] | None = None
        self.logprob: Callable[[str], float] | None = None
        this = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                this.keys.add(self.headers["Authorization"])
                if this.failing:
                    self.reply(this.failing.pop(), {"error": {"message": "not now"}})
                    return
                this.asked.append(body)
                content = body["messages"][-1].get("content")
                drawn = this.sampled if "seed" in body else None
                text = drawn(content, body["seed"]) if drawn else rule(content)
                message = {"role": "assistant", "content": text}
                read = sum(len(str(each.get("content")).split()) for each in body["messages"])
                choice: dict[str, Any] = {"index": 0, "message": message, "logprobs": None}
                choice["finish_reason"] = "stop"
                if body.get("logprobs") and this.logprob:
                    token = {"token": text, "logprob": this.logprob(content), "top_logprobs": []}
                    choice["logprobs"] = {"content": [token], "refusal": None}
                usage = {"prompt_tokens": read, "completion_tokens": len(text.split())}
                if body.get("stream"):
                    options = body.get("stream_options") or {}
                    self.events(body, text, usage if options.get("include_usage") else None)
                    return
                answer: dict[str, Any] = {"id": "1", "object": "chat.completion", "created": 0}
                answer |= {"model": body["model"], "choices": [choice]}
                answer |= {"usage": usage | {"total_tokens": sum(usage.values())}}
                self.reply(200, answer)

            def reply(self, status: int, content: dict[str, Any]) -> None:
                data = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def events(self, body: dict[str, Any], text: str, usage: object) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                head = {"id": "1", "object": "chat.completion.chunk", "model": body["model"]}
                for number, piece in enumerate((text[:2], text[2:])):
                    if number == this.breaks_after:
                        return
                    choice = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
                    self.event({**head, "choices": [choice]})
                if usage:
                    self.event({**head, "choices": [], "usage": usage})
                self.wfile.write(b"data: [DONE]\n\n")

            def event(self, content: dict[str, Any]) -> None:
                self.wfile.write(f"data: {json.dumps(content)}\n\n".encode())

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
