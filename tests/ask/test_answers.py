"""Answers of a model elsewhere, over real HTTP, as training rows."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from transformers import AutoModelForCausalLM

from bentos.generator.prompt import PromptTemplate
from tasks import paths, records
from tasks.ask.answers import ask
from tasks.ask.choose import choose
from tasks.ask.config import AskConfig
from tasks.ask.purse import Purse
from tasks.config import Task
from tasks.distill import text
from tasks.distill.config import DistillConfig
from tasks.errors import DataError
from tasks.examples import tokenize
from tasks.metrics.choose import scorer
from tasks.records import Record
from tasks.remote_config import RemoteConfig
from tests.openai_server import OpenAIServer
from tests.tiny import LABELS, TASK, record, tiny_data, tiny_model

ROWS = 12


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    """Right on every row but that of film 7."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STILLHOUSE_STATE", str(tmp_path / ".stillhouse"))
    tiny_data(train=ROWS)
    made = OpenAIServer(lambda content: LABELS["grand" in content and "film 7" not in content])
    yield made
    made.close()


def remote(server: OpenAIServer, **more: object) -> RemoteConfig:
    told = {
        "base_url": server.base_url,
        "model": "large",
        "price_per_million_input_tokens": 1_000_000.0,
        "price_per_million_output_tokens": 1_000_000.0,
    }
    return RemoteConfig.model_validate(told | more)


def collect(server: OpenAIServer, endpoint: RemoteConfig | None = None, **told: Any) -> Any:
    config = AskConfig.model_validate({"teacher": "large", "rows": ROWS} | told)
    return ask(paths.answers("large"), "large", config, endpoint or remote(server), TASK)


def rows() -> dict[str, Record]:
    found = records.read(paths.answers("large") / "train.jsonl", Record)
    return {row.fields["text"]: row for row in found}


def test_rows_have_the_teachers_answers_for_references(server: OpenAIServer) -> None:
    report = collect(server)
    assert len(rows()) == report["kept"] == ROWS
    assert rows()["grand film 7"].reference == "negative"
    assert rows()["grand film 5"].reference == "positive"
    # Three words are read and one is written by every request.
    assert report["price"] == pytest.approx(4 * ROWS)


def test_references_filter_answers_that_are_wrong(server: OpenAIServer) -> None:
    report = collect(server, filter="reference")
    assert "grand film 7" not in rows()
    assert report["left_out"] == {"reference below 0.5": 1}


def test_agreement_of_samples_outvotes_a_slip_and_needs_no_reference(server: OpenAIServer) -> None:
    def slips(content: str, seed: int) -> str:
        return LABELS[("grand" in content) != (seed == 1)]

    server.sampled = slips
    train = records.read(paths.TRAIN, Record)
    records.write(paths.TRAIN, [row.model_copy(update={"reference": "?"}) for row in train])
    report = collect(server, samples=5, temperature=0.7, filter="agreement")
    assert {text: row.reference for text, row in rows().items()} == {
        row.fields["text"]: LABELS["grand" in row.fields["text"]] for row in train
    }
    assert report["answers"] == len(server.asked) == 5 * ROWS
    # Each of the four that agree does so with three of the four others.
    assert report["mean_score"] == pytest.approx(3 / 4)


def test_rows_without_a_majority_are_left_out(server: OpenAIServer) -> None:
    server.sampled = lambda content, seed: LABELS[seed % 2] if "film 3" in content else "positive"
    report = collect(server, samples=4, temperature=1.0, filter="agreement", min_score=0.6)
    assert report["left_out"] == {"agreement below 0.6": 1}
    assert "grand film 3" not in rows()


def test_an_interrupted_collection_pays_for_the_rest_alone(server: OpenAIServer) -> None:
    server.failing = [401]
    with pytest.raises(DataError, match=r"remote\.large at http.*retry the run"):
        collect(server, remote(server, concurrency=3))
    before = len(server.asked)
    report = collect(server)
    assert len(server.asked) == ROWS
    assert before < ROWS
    assert report["kept"] == ROWS
    collect(server, filter="reference")
    assert len(server.asked) == ROWS


def test_a_busy_server_is_asked_again(server: OpenAIServer) -> None:
    server.failing = [429, 503, 500]
    assert collect(server, remote(server, concurrency=1))["kept"] == ROWS


def test_a_refused_request_costs_its_row_only(server: OpenAIServer) -> None:
    server.failing = [400]
    report = collect(server, remote(server, concurrency=1))
    assert report["left_out"] == {"refused": 1}
    assert report["kept"] == ROWS - 1


def test_answers_that_are_no_label_are_left_out_and_none_at_all_is_an_error(
    server: OpenAIServer,
) -> None:
    server.sampled = lambda content, seed: (
        "rather good" if seed or "film 2" in content else "positive"
    )
    report = collect(server, samples=3, temperature=1.0)
    assert report["left_out"] == {"no usable answer": 1}
    server.sampled = lambda content, seed: "no idea"
    with pytest.raises(DataError, match=r"ask\.large: none of 12 rows .*no usable answer"):
        collect(server, samples=3, temperature=0.9)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_what_is_paid_never_exceeds_the_limit_and_comes_near_it(
    server: OpenAIServer, concurrency: int
) -> None:
    # A request costs 4, and might cost 133 by what is known before it is sent.
    endpoint = remote(server, concurrency=concurrency)
    report = collect(server, endpoint, max_cost=155.0)
    assert report["price"] == 4 * len(server.asked) == 24
    assert report["left_out"] == {"over max_cost": ROWS - 6}
    assert collect(server, endpoint, max_cost=155.0)["price"] == 24
    assert len(server.asked) == 6
    assert collect(server, endpoint)["kept"] == ROWS


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1)), max_size=20), st.floats(0, 20))
def test_a_purse_is_never_overdrawn(asked: list[tuple[float, float]], limit: float) -> None:
    """However many are in flight: each costs a share of what was set aside for it."""

    async def buy(purse: Purse, most: float, share: float) -> bool:
        bought = await purse.reserve(most)
        if bought:
            await asyncio.sleep(0)
            await purse.settle(most, most * share)
        return bought

    async def shop() -> tuple[float, list[bool]]:
        purse = Purse(limit, 0.0)
        bought = await asyncio.gather(*(buy(purse, *each) for each in asked))
        return purse.spent, bought

    spent, bought = asyncio.run(shop())
    assert spent <= limit + 1e-9
    # What was not bought might have cost more than there is left.
    assert all(
        most > limit - spent - 1e-9 for (most, _), b in zip(asked, bought, strict=True) if not b
    )


def test_requests_are_sent_no_faster_than_allowed(server: OpenAIServer) -> None:
    started = time.monotonic()
    collect(server, remote(server, requests_per_minute=1200))
    # Twelve requests have eleven gaps of 50 ms.
    assert time.monotonic() - started >= 0.55
    started = time.monotonic()
    collect(server, remote(server, requests_per_minute=12))
    assert time.monotonic() - started < 5  # what is kept needs no turn


@given(st.lists(st.sampled_from("abc"), min_size=3, max_size=9))
@settings(max_examples=50)
def test_agreement_of_right_or_wrong_answers_is_the_majority_vote(answers: list[str]) -> None:
    told = {"teacher": "t", "rows": 1, "samples": 3, "temperature": 1, "filter": "agreement"}
    chosen = choose(answers, "", AskConfig.model_validate(told), scorer("accuracy", TASK))
    votes = {answer: answers.count(answer) for answer in answers}
    assert votes[chosen.answer] == max(votes.values())
    assert chosen.score == pytest.approx((votes[chosen.answer] - 1) / (len(answers) - 1))


def test_of_texts_the_one_nearest_to_all_others_is_chosen() -> None:
    task = Task(kind="translation", input_fields=("text",), prompt=PromptTemplate(user="{text}"))
    told = {"teacher": "t", "rows": 1, "samples": 3, "temperature": 1, "filter": "agreement"}
    answers = ["Something else entirely.", "Save the file.", "Save the files now."]
    chosen = choose(answers, "", AskConfig.model_validate(told), scorer("chrf", task))
    assert chosen.answer != answers[0]


def test_a_student_with_another_tokenizer_learns_the_answers(server: OpenAIServer) -> None:
    collect(server)
    tiny_model(paths.candidate("fetch/other"), layers=1)
    config = DistillConfig.model_validate(
        {
            "from": "fetch/other",
            "method": "text",
            "answers": "large",
            "max_steps": 8,
            "batch": 4,
            "checkpoints": 2,
            "warmup_steps": 0,
            "learning_rate": 0.01,
        }
    )
    report = text.distill("distill/told", config)
    losses = [p["validation_loss"] for p in report["curve"] if "validation_loss" in p]
    assert losses[-1] < losses[0]
    assert report["distinct_examples"] == ROWS
    folder = paths.candidate("distill/told")
    assert AutoModelForCausalLM.from_pretrained(folder).config.num_hidden_layers == 1
    assert len(tokenize(rows().values(), folder)) == ROWS


def test_requests_that_nobody_answered_are_asked_too(server: OpenAIServer) -> None:
    silent = [record(n).model_copy(update={"reference": ""}) for n in range(100, 104)]
    records.write(paths.UNLABELLED, silent)
    report = collect(server, unlabelled=3)
    assert (report["rows"], report["kept"]) == (ROWS + 3, ROWS + 3)
    written = records.read(paths.answers("large") / "train.jsonl", Record)
    told = {row.id: row for row in written}
    assert [told[row.id].reference for row in silent[:3]] == [LABELS[n % 2] for n in range(3)]
    assert silent[3].id not in told
    with pytest.raises(ValidationError, match="unlabelled rows have none"):
        AskConfig.model_validate(
            {"teacher": "large", "rows": 1, "unlabelled": 1, "filter": "reference"}
        )
