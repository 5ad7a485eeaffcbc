"""The HTTP interface with an engine that answers from a script."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY

from bentos.generator import api
from bentos.generator.api import create_app
from bentos.generator.decoding import Decoding
from bentos.generator.engine import Chunk, Completion, EngineError, PromptTooLongError, Scored
from bentos.generator.feedback import Feedback, FeedbackConfig
from bentos.generator.prompt import Message, PromptTemplate, Renderer
from bentos.generator.serving import Facts, Serving
from bentos.web.access import Access
from bentos.web.limits import Limits

SERVING = Serving(
    workload="sentiment",
    model_name="sentiment",
    engine="openvino",
    input_fields=("text",),
    prompt=PromptTemplate(system="Judge.", user="Review: {text}"),
    decoding=Decoding(max_new_tokens=16, choices=("negative", "positive")),
    limits=Limits(answer_seconds=0.5),
    facts=Facts(cost_per_1000_requests=0.25, teacher_cost_per_1000_requests=1.25, currency="USD"),
)

CHAT_SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/v1/chat/completions",
    "query_string": b"",
    "server": ("127.0.0.1", 80),
    "headers": [(b"content-type", b"application/json")],
}
"""Of a request to chat, for tests that speak ASGI themselves."""


class Script:
    """Remembers what it was asked; answers 'positive' or, unconstrained, 'héllo'."""

    context_length = 64

    def __init__(self) -> None:
        self.asked: list[tuple[list[int], Decoding]] = []
        self.error: Exception | None = None
        self.seconds = 0.0

    async def complete(self, prompt_ids: Sequence[int], decoding: Decoding) -> Completion:
        self.asked.append((list(prompt_ids), decoding))
        if self.error is not None:
            raise self.error
        if self.seconds:
            await asyncio.sleep(self.seconds)
        text = "positive" if decoding.choices else "héllo"
        scored = (Scored(prompt_ids[0], -0.5),) if decoding.logprobs else ()
        return Completion(text, len(prompt_ids), 1, "stop", scored)

    async def stream(
        self, prompt_ids: Sequence[int], decoding: Decoding
    ) -> AsyncGenerator[Chunk, None]:
        completion = await self.complete(prompt_ids, decoding)
        yield Chunk(completion.text[:2], None, 1, completion.scored)
        await asyncio.sleep(0)
        yield Chunk(completion.text[2:], "stop", 2)

    def close(self) -> None:
        pass


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def feedback(tmp_path: Path) -> Feedback:
    return Feedback("sentiment", FeedbackConfig(share=1), tmp_path / "feedback")


@pytest.fixture
def serving() -> Serving:
    return SERVING


@pytest.fixture
def client(
    script: Script, renderer: Renderer, feedback: Feedback, serving: Serving
) -> Iterator[TestClient]:
    before = set(REGISTRY._collector_to_names)
    app = create_app(serving, renderer, Access(None), feedback)
    app.state.engine = script
    yield TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    for collector in set(REGISTRY._collector_to_names) - before:
        REGISTRY.unregister(collector)


def user(text: str = "A triumph.") -> dict[str, object]:
    return {"messages": [{"role": "user", "content": text}]}


@pytest.mark.parametrize(
    "serving", [SERVING.model_copy(update={"decoding": Decoding(beams=4)})], ids=["beams"]
)
@pytest.mark.parametrize(
    ("asked", "beams"),
    [({}, 4), ({"stream": True}, 4), ({"temperature": 1}, 1), ({"logprobs": True}, 1)],
)
def test_the_workloads_beams_search_what_is_neither_drawn_nor_scored(
    client: TestClient, script: Script, asked: dict[str, object], beams: int
) -> None:
    assert client.post("/v1/chat/completions", json=user() | asked).status_code == 200
    assert [decoding.beams for _, decoding in script.asked] == [beams]


def test_workload_leads_a_conversation_without_a_system_message(
    client: TestClient, script: Script, renderer: Renderer
) -> None:
    client.post("/v1/chat/completions", json=user())

    prompt, decoding = script.asked[0]
    expected = renderer.render(
        [{"role": "system", "content": "Judge."}, {"role": "user", "content": "A triumph."}]
    )
    assert prompt == renderer.encode(expected)
    assert decoding == SERVING.decoding


def test_client_sets_its_own_system_message(
    client: TestClient, script: Script, renderer: Renderer
) -> None:
    body = {"messages": [{"role": "developer", "content": "Own."}, *user()["messages"]]}  # type: ignore[misc]

    client.post("/v1/chat/completions", json=body)

    assert script.asked[0][0] == renderer.encode(
        renderer.render(
            [{"role": "system", "content": "Own."}, {"role": "user", "content": "A triumph."}]
        )
    )


def test_text_format_lifts_the_constraint(client: TestClient, script: Script) -> None:
    body = {
        **user(),
        "response_format": {"type": "text"},
        "max_completion_tokens": 9,
        "temperature": 0.5,
        "stop": "\n",
    }

    answer = client.post("/v1/chat/completions", json=body).json()

    message = {"role": "assistant", "content": "héllo", "refusal": None}
    assert answer["choices"][0]["message"] == message
    assert script.asked[0][1] == Decoding(max_new_tokens=9, temperature=0.5, stop=("\n",))


def test_stream_ends_with_usage_and_done(client: TestClient) -> None:
    body = {**user(), "stream": True, "stream_options": {"include_usage": True}}

    response = client.post("/v1/chat/completions", json=body)

    assert response.headers["content-type"].startswith("text/event-stream")
    *lines, done = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    events = [json.loads(line) for line in lines]
    deltas = [event["choices"][0]["delta"] for event in events[:-1]]
    assert deltas == [
        {"role": "assistant", "content": ""},
        {"content": "po"},
        {"content": "sitive"},
    ]
    assert events[-2]["choices"][0]["finish_reason"] == "stop"
    assert events[-1]["usage"]["completion_tokens"] == 2
    assert done == "[DONE]"


def test_a_stream_is_sent_in_no_more_pieces_than_the_engine_gave(client: TestClient) -> None:
    body = json.dumps({**user(), "stream": True}).encode()
    asked = iter([{"type": "http.request", "body": body, "more_body": False}])
    sent: list[bytes] = []

    async def receive() -> dict[str, object]:
        return next(asked, None) or await asyncio.sleep(60, {"type": "http.disconnect"})

    async def send(event: Any) -> None:
        sent.append(event.get("body", b""))

    asyncio.run(client.app(dict(CHAT_SCOPE), receive, send))  # type: ignore[arg-type]

    first, last = filter(None, sent)
    assert b'"role":"assistant"' in first
    assert b'"po"' in first
    assert b'"sitive"' in last
    assert last.endswith(b"data: [DONE]\n\n")


def test_completions_take_raw_prompts_unconstrained(
    client: TestClient, script: Script, renderer: Renderer
) -> None:
    answer = client.post("/v1/completions", json={"prompt": ["ab", "c"], "max_tokens": 3}).json()

    assert [choice["text"] for choice in answer["choices"]] == ["héllo", "héllo"]
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert script.asked == [
        (renderer.encode("ab"), Decoding(max_new_tokens=3)),
        (renderer.encode("c"), Decoding(max_new_tokens=3)),
    ]


def test_predict_fills_the_workload_prompt_and_gives_the_typed_answer(
    client: TestClient, script: Script, renderer: Renderer
) -> None:
    answer = client.post("/predict", json={"text": "A triumph."})

    assert answer.json() == {"answer": "positive"}
    assert "Review: A triumph." in renderer.decode(script.asked[0][0])


def test_openapi_describes_the_workload_fields_and_answers(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]

    assert schemas["Fields"]["properties"] == {"text": {"type": "string", "title": "Text"}}
    assert schemas["Prediction"]["properties"]["answer"]["enum"] == ["negative", "positive"]


def test_harmless_options_are_taken(client: TestClient) -> None:
    options = {
        "n": 1,
        "user": "me",
        "presence_penalty": 0,
        "logit_bias": {},
        "tools": [],
        "seed": 1,
    }

    assert client.post("/v1/chat/completions", json={**user(), **options}).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/v1/chat/completions", {**user(), "model": "gpt"}, 404, "model"),
        ("/v1/chat/completions", {**user(), "n": 17}, 400, "n"),
        ("/v1/chat/completions", {**user(), "n": 2, "stream": True}, 400, "n"),
        ("/v1/chat/completions", {**user(), "top_logprobs": 3}, 400, "top_logprobs"),
        ("/v1/chat/completions", {**user(), "tools": [{"type": "function"}]}, 400, "tools"),
        ("/v1/chat/completions", {**user(), "frequency_penalty": 1}, 400, "frequency_penalty"),
        ("/v1/chat/completions", {**user(), "surprise": 1}, 400, "surprise"),
        ("/v1/chat/completions", {"messages": []}, 400, "messages"),
        ("/v1/chat/completions", user("x" * 3000), 413, "messages"),
        (
            "/v1/chat/completions",
            {**user(), "response_format": {"type": "yaml"}},
            400,
            "response_format.type",
        ),
        (
            "/v1/chat/completions",
            {**user(), "response_format": {"type": "json_schema"}},
            400,
            "response_format",
        ),
        ("/v1/completions", {"prompt": ["a", "b"], "stream": True}, 400, "n"),
        ("/v1/completions", {"prompt": ["a"] * 64, "n": 16}, 400, "n"),
        ("/predict", {"texts": "x"}, 400, "Fields.text"),
        ("/predict", {"text": "x", "more": "y"}, 400, "Fields.more"),
    ],
)
def test_bad_request_names_the_field_in_openai_form(
    client: TestClient, path: str, body: dict[str, object], status: int, param: str
) -> None:
    response = client.post(path, json=body)

    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (status, param)
    assert error["type"] == "invalid_request_error"
    assert error["message"]


HUGE = "1" + "0" * 400
NO_NUMBERS = (HUGE, f"-{HUGE}", "NaN", "Infinity", "-Infinity", "1e400", "-1", "true", '"1"')
ODD = {
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "n"), ("0", "1.5", "1.0", str(2**31))),
    "seed": ("1.5", str(2**63)),
    "temperature": ("2.1",),
    "top_p": ("0", "1.1"),
    "presence_penalty": ("0.5",),
    "stop": (json.dumps(["a"] * 17), json.dumps(["a"] * 5000), "[1]", json.dumps("a" * 1025)),
}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize("option", ODD)
def test_absurd_values_are_refused_in_openai_form(
    client: TestClient, script: Script, path: str, option: str
) -> None:
    if (path, option) == ("/v1/completions", "max_completion_tokens"):
        option = "max_tokens"
    asked = json.dumps(user())[:-1] if "chat" in path else '{"prompt": "x"'

    for value in (*ODD[option], *(NO_NUMBERS if option != "stop" else ())):
        body = f'{asked}, "{option}": {value}}}'
        response = client.post(path, content=body, headers={"Content-Type": "application/json"})

        error = response.json()["error"]
        assert (response.status_code, error["type"]) == (400, "invalid_request_error"), value
        assert error["param"].split(".")[0] == option
    assert script.asked == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", r'{"messages": [{"role": "user", "content": "\ud800"}]}'),
        ("/v1/chat/completions", r'{"messages": [], "\ud800": 1}'),
        ("/v1/completions", r'{"prompt": "\ud800"}'),
        ("/v1/completions", f'{{"prompt": "x", "seed": {HUGE * 20}}}'),
        ("/predict", r'{"text": "\ud800"}'),
    ],
)
def test_what_json_can_spell_and_nobody_can_read_is_refused_in_openai_form(
    client: TestClient, path: str, body: str
) -> None:
    response = client.post(path, content=body, headers={"Content-Type": "application/json"})

    told = response.status_code, response.json()["error"]["type"]
    assert told == (400, "invalid_request_error")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(PromptTooLongError(99, 64), 400, "context_length_exceeded"), (EngineError("x"), 500, None)],
)
def test_engine_errors_become_error_responses(
    client: TestClient, script: Script, stream: bool, error: Exception, status: int, code: str
) -> None:
    script.error = error

    response = client.post("/v1/chat/completions", json={**user(), "stream": stream})

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_several_answers_to_one_prompt_differ_by_their_seeds(
    client: TestClient, script: Script
) -> None:
    body = {**user(), "n": 3, "seed": 7, "temperature": 1, "response_format": {"type": "text"}}

    answer = client.post("/v1/chat/completions", json=body).json()

    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert [decoding.seed for _, decoding in script.asked] == [7, 8, 9]
    assert answer["usage"]["prompt_tokens"] == len(script.asked[0][0])


@pytest.mark.parametrize("stream", [False, True])
def test_logprobs_of_the_answers_tokens_are_told(client: TestClient, stream: bool) -> None:
    response = client.post(
        "/v1/chat/completions", json={**user(), "logprobs": True, "stream": stream}
    )

    text = response.text.split("\n\n")[1].removeprefix("data: ") if stream else response.text
    [told] = json.loads(text)["choices"][0]["logprobs"]["content"]
    assert (told["logprob"], told["top_logprobs"]) == (-0.5, [])
    text = client.post("/v1/completions", json={"prompt": "ab", "logprobs": 0}).json()
    assert text["choices"][0]["logprobs"]["tokens"] == ["a"]


def test_a_schema_goes_to_the_engine_and_lifts_the_choices(
    client: TestClient, script: Script
) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}

    assert client.post(
        "/v1/chat/completions", json={**user(), "response_format": wanted}
    ).is_success
    decoding = script.asked[0][1]
    assert decoding.choices is None
    assert json.loads(decoding.json_schema or "") == schema


def test_predict_takes_several_rows(client: TestClient, script: Script) -> None:
    answers = client.post("/predict", json=[{"text": "a"}, {"text": "b"}]).json()

    assert answers == [{"answer": "positive"}] * 2
    assert len(script.asked) == 2
    assert client.post("/predict", json=[]).status_code == 400
    assert client.post("/predict", json=[{"text": "a"}, {"no": "b"}]).status_code == 400


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_takes_too_long_is_given_up(
    client: TestClient, script: Script, stream: bool
) -> None:
    script.seconds = 5

    response = client.post("/v1/chat/completions", json={**user(), "stream": stream})

    assert (response.status_code, response.json()["error"]["code"]) == (504, "timeout")


@pytest.mark.parametrize(
    "serving", [SERVING.model_copy(update={"limits": Limits(answer_tokens=5)})], ids=["five"]
)
@pytest.mark.parametrize(("asked", "longest"), [({}, 16), ({"max_tokens": 3}, 3)])
def test_nobody_gets_a_longer_answer_than_the_limit_or_the_workloads(
    client: TestClient, script: Script, asked: dict[str, object], longest: int
) -> None:
    for more in (asked, {"max_completion_tokens": 6}):
        client.post("/v1/chat/completions", json={**user(), **more})
    client.post("/v1/completions", json={"prompt": "x", "max_tokens": 2**31 - 1})

    assert [decoding.max_new_tokens for _, decoding in script.asked] == [longest, 5, 5]


@pytest.mark.parametrize(
    "serving", [SERVING.model_copy(update={"limits": Limits(concurrent_requests=2)})], ids=["two"]
)
def test_who_asks_for_more_answers_than_there_is_room_for_is_told_to_come_again(
    client: TestClient, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "MAX_ANSWERS", 3)
    script.seconds = 0.2

    async def crowd() -> list[httpx.Response]:
        transport = httpx.ASGITransport(client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as made:

            def ask() -> asyncio.Task[httpx.Response]:
                body = {**user(), "n": 2}
                return asyncio.create_task(made.post("/v1/chat/completions", json=body))

            early = ask()
            while len(script.asked) < 2:
                await asyncio.sleep(0.001)
            return [await ask(), await early, await ask()]

    late, early, again = asyncio.run(crowd())

    assert [one.status_code for one in (late, early, again)] == [429, 200, 200]
    assert (late.json()["error"]["code"], late.headers["retry-after"]) == ("overloaded", "1")


def test_metrics_tell_requests_tokens_and_what_was_saved(client: TestClient) -> None:
    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, {"model": "sentiment", **labels}) or 0

    client.post("/predict", json={"text": "a"})
    client.post("/predict", json={"texts": "a"})
    client.post("/made/up", json={})

    route = {"route": "/predict"}
    assert value("stillhouse_requests_total", status="200", **route) == 1
    assert value("stillhouse_requests_total", status="400", **route) == 1
    assert value("stillhouse_requests_total", status="404", route="other") == 1
    assert value("stillhouse_request_seconds_count", **route) == 2
    assert value("stillhouse_requests_inside") == 0
    assert value("stillhouse_tokens_total", direction="completion", **route) == 1
    assert value("stillhouse_saved_total", currency="USD", **route) == pytest.approx(0.001)


@pytest.mark.parametrize("stream", [False, True])
def test_answers_are_noted_with_what_was_asked(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    noted: list[tuple[str, str, bool]] = []

    def note(messages: Sequence[Message], answer: Completion, is_choice: bool) -> None:
        noted.append((messages[-1]["content"], answer.text, is_choice))

    monkeypatch.setattr(Feedback, "note", lambda _, *told: note(*told))
    client.post("/v1/chat/completions", json={**user(), "stream": stream})
    client.post("/v1/completions", json={"prompt": "raw"})

    assert noted == [("A triumph.", "positive", True)]


def test_model_card_holds_the_facts(client: TestClient) -> None:
    assert client.get("/v1/models").json()["data"][0]["id"] == "sentiment"
    assert client.get("/v1/models/sentiment").json()["facts"] == SERVING.facts.model_dump()
    assert client.get("/v1/models/other").status_code == 404


@pytest.mark.parametrize("stream", [False, True])
def test_client_that_goes_away_cancels_its_request(
    client: TestClient, script: Script, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    cancelled: list[bool] = []

    async def forever(prompt_ids: Sequence[int], decoding: Decoding) -> Completion:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        raise EngineError("nobody cancelled")

    monkeypatch.setattr(script, "complete", forever)
    body = json.dumps({**user(), "stream": stream}).encode()
    events = [
        {"type": "http.request", "body": body, "more_body": False},
        {"type": "http.disconnect"},
    ]
    statuses: list[object] = []

    async def receive() -> dict[str, object]:
        return events.pop(0)

    async def send(event: dict[str, object]) -> None:
        statuses.append(event.get("status"))

    async def call() -> None:
        await client.app(dict(CHAT_SCOPE), receive, send)  # type: ignore[arg-type]
        await asyncio.sleep(0)

    asyncio.run(call())

    assert cancelled == [True]
    assert statuses[0] == 499
