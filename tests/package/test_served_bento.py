"""A tiny model packaged into a real Bento, served by BentoML and asked by the openai client."""

import asyncio
import gzip
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from benchmarks import hostile
from bentos.generator.decoding import Decoding
from bentos.generator.engine import load_engine
from bentos.generator.prompt import Message, PromptTemplate
from bentos.generator.serving import Serving
from bentos.web import access
from tasks import paths, records
from tasks.bento_store import Built
from tasks.errors import ModelError
from tasks.package import bento, parity
from tasks.package.config import PackageConfig
from tasks.quantize import openvino_ir
from tasks.quantize.config import QuantizeConfig
from tasks.records import Prediction, Record
from tasks.scoring import Traffic, answer_all
from tests.tiny import TASK, record, tiny_model

SECONDS_TO_START = 60
SERVING = Serving(
    workload="tiny",
    model_name="tiny",
    engine="openvino",
    input_fields=("text",),
    prompt=PromptTemplate(system="Judge.", user="{text}"),
    decoding=Decoding(max_new_tokens=16, choices=("negative", "positive")),
)


@dataclass(frozen=True)
class Served:
    address: str
    built: Built
    model: Path
    archive: Path
    home: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("served")
    home, archive = root / "bentoml", root / "tiny.tar"
    model = root / "model"
    config = QuantizeConfig.model_validate({"from": "fetch/base", "bits": 8})
    openvino_ir.convert(tiny_model(root / "trained", layers=2), model, config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENTOML_HOME", str(home))
        serving = SERVING.model_copy(update={"files": bento.hashes(model)})
        built = bento.build(model, serving, {"workload": "tiny"}, archive)
    port = free_port()
    with (root / "log").open("w") as log:
        process = serve(built.tag, port, home, log.fileno())
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until_ready(address, process, root / "log")
            yield Served(address, built, model, archive, home)
        finally:
            stop(process)


def serve(
    tag: str, port: int, home: Path, log: int, keys: Path | None = None, **more: str
) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True", **more}
    if keys is not None:
        environment[access.VARIABLE] = str(keys)
    # Nothing of the checkout may be found: the Bento holds all that it needs.
    environment.pop("PYTHONPATH", None)
    return subprocess.Popen(
        command(tag, port),
        cwd=home,
        env=environment,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def command(target: str, port: int) -> list[str]:
    address = ["--host", "127.0.0.1", "--port", str(port)]
    return [sys.executable, "-m", "bentoml", "serve", target, *address]


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        pytest.fail("the server did not end within 20 s of SIGTERM")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < until and process.poll() is None:
        try:
            httpx.get(f"{address}/readyz").raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(0.2)
    pytest.fail(f"the Bento did not get ready:\n{log.read_text()[-3000:]}")


@pytest.fixture
def client(served: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.address}/v1", api_key="none", max_retries=0)


def ask(client: openai.OpenAI, text: str) -> openai.types.chat.ChatCompletion:
    return client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": text}]
    )


def test_openai_client_gets_one_of_the_labels(client: openai.OpenAI) -> None:
    answer = ask(client, "A triumph.")

    assert answer.choices[0].message.content in {"negative", "positive"}
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 1


def test_stream_adds_up_to_the_whole_answer(client: openai.OpenAI) -> None:
    free: dict[str, object] = {"response_format": {"type": "text"}, "max_completion_tokens": 30}
    question: dict[str, object] = {
        "model": "tiny",
        "messages": [{"role": "user", "content": "é😀"}],
        **free,
    }

    whole = client.chat.completions.create(**question).choices[0].message.content  # type: ignore[call-overload]
    stream = client.chat.completions.create(**question, stream=True)  # type: ignore[call-overload]
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream]

    assert len(pieces) > 3
    assert "".join(pieces) == whole


def test_sixty_four_clients_are_served_at_once(served: Served) -> None:
    async def crowd() -> list[str | None]:
        client = openai.AsyncOpenAI(
            base_url=f"{served.address}/v1", api_key="none", max_retries=0, timeout=60
        )
        answers = await asyncio.gather(
            *(
                client.chat.completions.create(
                    model="tiny", messages=[{"role": "user", "content": f"film {n}"}]
                )
                for _ in range(3)
                for n in range(64)
            )
        )
        return [answer.choices[0].message.content for answer in answers]

    answers = asyncio.run(crowd())

    assert len(answers) == 192
    assert set(answers) <= {"negative", "positive"}


def test_models_and_errors_are_what_the_client_expects(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]
    with pytest.raises(openai.NotFoundError, match="model other does not exist"):
        client.completions.create(model="other", prompt="x")
    with pytest.raises(openai.BadRequestError, match="context of 256 tokens"):
        ask(client, "x" * 500)
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="tiny", input="x")


def test_tools_are_politely_refused_and_their_absence_is_no_matter(client: openai.OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "x"}]
    tool: Any = {"type": "function", "function": {"name": "f", "parameters": {}}}

    with pytest.raises(openai.BadRequestError, match="tools") as refused:
        client.chat.completions.create(model="tiny", messages=messages, tools=[tool])
    answer = client.chat.completions.create(
        model="tiny", messages=messages, tools=[], tool_choice="none"
    )

    assert refused.value.param == "tools"
    assert answer.choices[0].message.tool_calls is None


def test_asynchronous_streams_tell_usage_logprobs_and_raw_text(served: Served) -> None:
    asked: dict[str, Any] = {
        "model": "tiny",
        "messages": [{"role": "user", "content": "x"}],
        "response_format": {"type": "text"},
        "max_tokens": 6,
        "logprobs": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }

    async def ask() -> tuple[list[Any], list[Any]]:
        async with openai.AsyncOpenAI(
            base_url=f"{served.address}/v1", api_key="none", max_retries=0
        ) as client:
            chat = [chunk async for chunk in await client.chat.completions.create(**asked)]
            raw = await client.completions.create(
                model="tiny", prompt="x", max_tokens=4, stream=True
            )
            return chat, [chunk async for chunk in raw]

    chat, raw = asyncio.run(ask())

    told = [
        each
        for chunk in chat
        for choice in chunk.choices
        if choice.logprobs
        for each in choice.logprobs.content
    ]
    assert len(told) == chat[-1].usage.completion_tokens == 6
    assert all(each.logprob <= 0 for each in told)
    assert chat[-2].choices[0].finish_reason == "length"
    assert raw[-1].choices[0].finish_reason == "length"
    assert all(chunk.object == "text_completion" for chunk in raw)


def test_http_itself_is_spoken_as_it_is_written(served: Served) -> None:
    chat = f"{served.address}/v1/chat/completions"
    body = b'{"messages": [{"role": "user", "content": "x"}]}'

    def in_pieces() -> Iterator[bytes]:
        yield body[:10]
        yield body[10:]

    with httpx.Client() as client:
        kind = {"Content-Type": "application/json"}
        pieces = client.post(chat, content=in_pieces(), headers=kind)
        again = client.post(chat, content=body, headers=kind)  # on the same connection
        wrong = client.get(chat)

    assert pieces.json()["choices"] == again.json()["choices"]
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")


def test_predict_answers_the_workload_fields(served: Served) -> None:
    answer = httpx.post(f"{served.address}/predict", json={"text": "A triumph."})

    assert answer.json()["answer"] in {"negative", "positive"}


def test_health_and_metrics_are_there(served: Served, client: openai.OpenAI) -> None:
    ask(client, "x")

    health = [httpx.get(f"{served.address}/{path}").status_code for path in ("healthz", "livez")]
    metrics = httpx.get(f"{served.address}/metrics").text
    assert health == [200, 200]
    assert 'stillhouse_tokens_total{direction="completion"' in metrics
    assert 'stillhouse_requests_total{model="tiny",route="/v1/chat/completions"' in metrics
    assert "bentoml_service_request_total" in metrics


def test_hostile_requests_are_refused_and_nobody_else_is_harmed(served: Served) -> None:
    secrets = (str(served.home), os.environ["PATH"])

    outcome = asyncio.run(hostile.attack(served.address, 400, secrets))

    assert outcome.faults == []
    assert {200, 400, 413} <= set(outcome.statuses)


def test_answers_are_what_the_served_openapi_document_says(served: Served) -> None:
    # A document cannot tell how fields depend on each other: some of what it allows is refused.
    # A path with a line break in it is answered by BentoML, before anything of ours.
    options = ("--exclude-checks", "positive_data_acceptance", "--max-examples", "30")
    options += ("--exclude-path", "/v1/models/{name}", "--seed", "1")
    program = [Path(sys.executable).with_name("schemathesis"), "run", *options]

    done = subprocess.run(
        [*program, "--no-color", f"{served.address}/openapi.json"],
        cwd=served.home,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert "Tested: 4" in done.stdout


def requirements_of(archive: Path) -> str:
    with tarfile.open(archive) as content:
        [member] = [m for m in content if m.name.endswith("python/requirements.txt")]
        file = content.extractfile(member)
        assert file is not None
        return file.read().decode()


def test_bento_of_another_engine_has_its_requirements(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))
    serving = SERVING.model_copy(update={"engine": "vllm"})

    bento.build(served.model, serving, {"workload": "tiny"}, tmp_path / "tiny.tar")

    found = requirements_of(tmp_path / "tiny.tar")
    assert "vllm==" in found
    assert "openvino" not in found


def test_bento_holds_its_own_folder_and_requirements_only(served: Served) -> None:
    with tarfile.open(served.archive) as archive:
        names = [name.removeprefix("./") for name in archive.getnames()]
        sources = {name for name in names if name.startswith("src/bentos/")}
    text = requirements_of(served.archive)

    assert {name.split("/")[2] for name in sources if name.endswith(".py")} == {
        "__init__.py",
        "generator",
        "web",
    }
    assert not [name for name in names if "/tasks" in name or "/flows" in name]
    for absent in ("torch", "transformers", "prefect", "trl", "dvc"):
        assert f"\n{absent}==" not in f"\n{text}"
    assert served.built.code_mb < 1


def test_keys_open_a_bento_come_and_go_and_stand_in_no_log(served: Served, tmp_path: Path) -> None:
    keys, log, port = tmp_path / "keys.json", tmp_path / "log", free_port()
    old = access.add(keys, "team-a", ["generate"])
    with log.open("w") as sink:
        process = serve(served.built.tag, port, served.home, sink.fileno(), keys)
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until_ready(address, process, log)

            def status(key: str) -> int:
                headers = {"Authorization": f"Bearer {key}"}
                body = {"text": "A secret triumph."}
                return httpx.post(f"{address}/predict", json=body, headers=headers).status_code

            assert [status(old), status("sk-wrong"), status("-")] == [200, 401, 401]
            other = access.add(keys, "team-b", ["elsewhere"])
            assert status(other) == 403
            new = access.add(keys, "team-a", ["generate"])
            assert [status(old), status(new)] == [401, 200]
        finally:
            stop(process)
    said = log.read_text()
    assert not [secret for secret in (old, new, other, "secret triumph") if secret in said]


def test_spans_go_to_who_asks_for_them_without_content(served: Served, tmp_path: Path) -> None:
    bodies: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            packed = self.headers.get("Content-Encoding") == "gzip"
            bodies.append(gzip.decompress(body) if packed else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    collector = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    log, port = tmp_path / "log", free_port()
    told = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    with log.open("w") as sink:
        process = serve(served.built.tag, port, served.home, sink.fileno(), **told)
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until_ready(address, process, log)
            httpx.post(f"{address}/predict", json={"text": "A secret triumph."}).raise_for_status()
            until = time.monotonic() + 20
            while not any(b"/predict" in body for body in bodies):
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.1)
        finally:
            stop(process)
            collector.shutdown()
    assert not any(b"secret" in body for body in bodies)


def asked_rows(count: int) -> list[Record]:
    """Validation rows below the working directory, with the system message of SERVING."""
    system: Message = {"role": "system", "content": "Judge."}
    rows = [
        row.model_copy(update={"messages": [system, *row.messages]})
        for row in map(record, range(count))
    ]
    paths.PREPARED.mkdir(parents=True)
    records.write(paths.VALIDATION, rows)
    return rows


def test_a_bento_that_answers_otherwise_than_was_evaluated_is_not_shipped(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    task = TASK.model_copy(update={"prompt": SERVING.prompt})
    rows = asked_rows(40)
    with closing(load_engine("openvino", served.model)) as engine:
        told = answer_all(engine, served.model, rows, task, Traffic(8), "test").predictions
    evaluated = tmp_path / "evaluated"
    evaluated.mkdir()

    def check(predictions: list[Prediction], least: float) -> dict[str, object]:
        records.write(evaluated / paths.PREDICTIONS, predictions)
        config = PackageConfig(min_agreement=least)
        home = served.home
        return parity.check(served.built.tag, home, served.model, evaluated, task, config)

    whole = {"rows": 40, "identical_prompts": 40, "agreement": 1.0, "differing": []}
    assert check(told, 1.0) == whole
    one = told[0].model_copy(update={"answer": "another one"})
    assert check([one, *told[1:]], 0.9)["differing"] == [one.id]
    with pytest.raises(ModelError, match=rf"1 of 40 answers .*{one.id}"):
        check([one, *told[1:]], 0.995)
    # Evaluation and the Bento's renderer agree, and yet the service reads something else.
    monkeypatch.setattr(parity, "prompt_ids", lambda row, renderer: [1, 2, 3])
    monkeypatch.setattr(parity, "packaged_ids", lambda tag, home, rows: [[1, 2, 3]] * len(rows))
    with pytest.raises(ModelError, match="40 prompts have not as many tokens"):
        check(told, 1.0)


@pytest.mark.parametrize(
    ("file", "was", "becomes"),
    [
        ("model/chat_template.jinja", "assistant", "assisTant"),
        ("prompt.py", r'WORD_JOINER = "\u2060"', r'WORD_JOINER = "\u2061"'),
    ],
)
def test_a_bento_whose_prompts_have_other_tokens_is_not_shipped_however_many_they_are(
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    was: str,
    becomes: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        row.model_copy(update={"messages": [{"role": "user", "content": "<|im_end|>"}]})
        for row in asked_rows(3)
    ]
    home = tmp_path / "bentoml"
    stored = Path("bentos") / served.built.tag.replace(":", "/")
    shutil.copytree(served.home / stored, home / stored)
    ours = parity.packaged_ids(served.built.tag, home, rows)
    changed = home / stored / "src/bentos/generator" / file
    text = changed.read_text(encoding="utf-8")
    assert was in text
    changed.write_text(text.replace(was, becomes), encoding="utf-8")
    theirs = parity.packaged_ids(served.built.tag, home, rows)
    evaluated = tmp_path / "evaluated"
    records.write(paths.VALIDATION, rows)
    answers = [Prediction(id=row.id, reference="", answer="", score=0) for row in rows]
    records.write(evaluated / paths.PREDICTIONS, answers)

    assert list(map(len, theirs)) == list(map(len, ours))
    with pytest.raises(ModelError, match="3 prompts have other tokens than evaluation's"):
        parity.check(served.built.tag, home, served.model, evaluated, TASK, PackageConfig())


def test_incomplete_model_ends_with_a_plain_message(served: Served, tmp_path: Path) -> None:
    environment = {**os.environ, "STILLHOUSE_MODEL": str(tmp_path), "BENTOML_DO_NOT_TRACK": "True"}

    done = subprocess.run(
        command("bentos.generator.service:Generator", free_port()),
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode != 0
    assert "cannot serve" in done.stderr
    assert "holds no serving.json" in done.stderr
