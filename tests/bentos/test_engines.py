"""Both engines on the same tiny model: they must answer alike."""

import asyncio
import json
import shutil
import time
import weakref
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import closing
from itertools import pairwise
from operator import eq
from pathlib import Path

import pytest

from bentos.generator import openvino_engine
from bentos.generator.decoding import Decoding
from bentos.generator.engine import (
    Chunk,
    Completion,
    Engine,
    EngineError,
    EngineGoneError,
    Kind,
    PromptTooLongError,
    load_engine,
)
from bentos.generator.openvino_engine import LOOP_TURNS, OpenVINOEngine
from bentos.generator.prompt import Renderer

LABELS = ("negative", "positive")
KINDS: tuple[Kind, ...] = ("openvino", "transformers")
GREEDY = Decoding(max_new_tokens=40)


@pytest.fixture(scope="module")
def engines(trained: Path, converted: Path) -> Iterator[dict[Kind, Engine]]:
    loaded: dict[Kind, Engine] = {
        "openvino": load_engine("openvino", converted),
        "transformers": load_engine("transformers", trained),
    }
    yield loaded
    for engine in loaded.values():
        engine.close()


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, engines: dict[Kind, Engine]) -> Engine:
    return engines[request.param]


@pytest.fixture(scope="module")
def prompts(renderer: Renderer) -> list[list[int]]:
    return [
        renderer.encode(renderer.render([{"role": "user", "content": f"film {'x' * n}"}]))
        for n in range(24)
    ]


def answers(engine: Engine, prompts: list[list[int]], decoding: Decoding) -> list[Completion]:
    async def ask() -> list[Completion]:
        return list(await asyncio.gather(*(engine.complete(p, decoding) for p in prompts)))

    return asyncio.run(ask())


def test_engines_agree_on_greedy_answers(
    engines: dict[Kind, Engine], prompts: list[list[int]]
) -> None:
    decoding = Decoding(max_new_tokens=12)

    assert answers(engines["openvino"], prompts, decoding) == answers(
        engines["transformers"], prompts, decoding
    )


@pytest.mark.parametrize(
    "choices", [LABELS, ("a", "ab", "abc"), ("😀", "😁", "yes"), ("only",)], ids=str
)
def test_engines_agree_on_choices(
    engines: dict[Kind, Engine], prompts: list[list[int]], choices: tuple[str, ...]
) -> None:
    decoding = Decoding(max_new_tokens=1, choices=choices)

    given = [answers(engines[kind], prompts, decoding) for kind in KINDS]

    assert given[0] == given[1]
    assert {one.text for one in given[0]} <= set(choices)
    assert {one.finish_reason for one in given[0]} == {"stop"}


def test_engines_mostly_agree_on_what_beams_find(
    engines: dict[Kind, Engine], prompts: list[list[int]]
) -> None:
    decoding = Decoding(max_new_tokens=40, beams=4)

    ours, theirs = (answers(engines[kind], prompts, decoding) for kind in KINDS)

    # Not always: openvino keeps keys and values in 8 bits, and a random model's beams are close.
    assert sum(map(eq, ours, theirs)) > len(prompts) / 3
    assert sum(map(eq, ours, answers(engines["openvino"], prompts, GREEDY))) < len(prompts) / 2


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_beams_found_ends_with_the_models_end_token(
    engines: dict[Kind, Engine],
    trained: Path,
    converted: Path,
    tmp_path: Path,
    prompts: list[list[int]],
    kind: Kind,
) -> None:
    said = answers(engines[kind], prompts, Decoding(max_new_tokens=8, logprobs=True))
    [(end, _)] = Counter(scored.token for one in said for scored in one.scored).most_common(1)
    folder = shutil.copytree(converted if kind == "openvino" else trained, tmp_path / kind)
    for file in ("config.json", "generation_config.json"):
        told = json.loads((folder / file).read_bytes())
        (folder / file).write_text(json.dumps(told | {"eos_token_id": end}))

    with closing(load_engine(kind, folder)) as engine:
        given = answers(engine, prompts, Decoding(max_new_tokens=40, beams=4))

    assert "stop" in {one.finish_reason for one in given}
    assert all((one.completion_tokens < 40) == (one.finish_reason == "stop") for one in given)


def test_label_of_one_token_costs_one_token(engine: Engine, prompts: list[list[int]]) -> None:
    given = answers(engine, prompts[:4], Decoding(choices=LABELS))

    assert [one.completion_tokens for one in given] == [1, 1, 1, 1]
    assert [one.prompt_tokens for one in given] == [len(prompt) for prompt in prompts[:4]]


@pytest.mark.parametrize("choices", [None, LABELS], ids=str)
def test_engines_agree_on_logprobs_of_the_answers_tokens(
    engines: dict[Kind, Engine], prompts: list[list[int]], choices: tuple[str, ...] | None
) -> None:
    decoding = Decoding(max_new_tokens=3, choices=choices, logprobs=True)

    ours, theirs = (answers(engines[kind], prompts[:4], decoding) for kind in KINDS)

    for one, other in zip(ours, theirs, strict=True):
        assert len(one.scored) == one.completion_tokens
        assert [scored.token for scored in one.scored] == [scored.token for scored in other.scored]
        assert [scored.logprob for scored in one.scored] == pytest.approx(
            [scored.logprob for scored in other.scored], abs=1e-4
        )


def test_an_answer_follows_a_json_schema(converted: Path, prompts: list[list[int]]) -> None:
    # Of scalars: between the parts of others a random model may write blanks without end.
    decoding = Decoding(max_new_tokens=20, json_schema='{"enum": ["a", "b", 12, null]}')

    with closing(load_engine("openvino", converted, schemas=True)) as engine:
        [answer] = answers(engine, prompts[:1], decoding)
        with pytest.raises(ValueError, match="not choices"):
            answers(engine, prompts[:1], Decoding(choices=LABELS))

    assert json.loads(answer.text) in ("a", "b", 12, None)


def test_an_engine_that_follows_no_schema_says_so(engine: Engine, prompts: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="JSON schema"):
        answers(engine, prompts[:1], Decoding(json_schema="{}"))


def test_streamed_pieces_add_up_to_the_answer(engine: Engine, prompts: list[list[int]]) -> None:
    decoding = Decoding(max_new_tokens=40)

    async def pieces() -> list[str]:
        chunks = [chunk async for chunk in engine.stream(prompts[0], decoding)]
        assert [chunk.finish_reason is None for chunk in chunks[:-1]] == [True] * (len(chunks) - 1)
        assert chunks[-1].finish_reason == "length"
        return [chunk.text for chunk in chunks]

    whole = answers(engine, [prompts[0]], decoding)[0].text
    assert "".join(asyncio.run(pieces())) == whole


def test_pieces_of_many_streams_are_joined_but_for_the_first_one_of_each(
    engines: dict[Kind, Engine], prompts: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, decoding = engines["openvino"], Decoding(max_new_tokens=40, logprobs=True)

    async def chunks(prompt: list[int]) -> list[Chunk]:
        return [chunk async for chunk in engine.stream(prompt, decoding)]

    async def ask() -> list[list[Chunk]]:
        return await asyncio.gather(*map(chunks, prompts))

    def streamed(pieces_per_second: float) -> list[list[Chunk]]:
        monkeypatch.setattr(openvino_engine, "PIECES_PER_SECOND", pieces_per_second)
        return asyncio.run(ask())

    joined, single = streamed(0.001), streamed(1e9)  # none is due within the test, or all are

    for found, other, whole in zip(joined, single, answers(engine, prompts, decoding), strict=True):
        assert len(found) == min(len(other), 2)
        assert found[0].text == other[0].text
        assert "".join(chunk.text for chunk in found) == whole.text
        assert sum((chunk.scored for chunk in found), ()) == whole.scored
    assert max(map(len, single)) > 2


def test_stop_text_ends_the_answer(engine: Engine, prompts: list[list[int]]) -> None:
    whole = answers(engine, [prompts[0]], Decoding(max_new_tokens=40))[0].text
    stop = whole[5:7]

    cut = answers(engine, [prompts[0]], Decoding(max_new_tokens=40, stop=(stop,)))[0]

    assert (cut.text, cut.finish_reason) == (whole[: whole.index(stop)], "stop")


def test_seed_repeats_a_sampled_answer(engine: Engine, prompts: list[list[int]]) -> None:
    def sampled(seed: int) -> str:
        decoding = Decoding(max_new_tokens=12, temperature=1.5, seed=seed)
        return answers(engine, [prompts[0]], decoding)[0].text

    assert sampled(1) == sampled(1)
    assert len({sampled(seed) for seed in range(4)}) > 1


def test_refused_requests_leave_others_alone(engine: Engine, prompts: list[list[int]]) -> None:
    async def ask() -> list[Completion | BaseException]:
        bad = ([], [10**6], prompts[0] * 50)
        requests = [*bad, *prompts[:3]]
        calls = (engine.complete(ids, Decoding(max_new_tokens=2)) for ids in requests)
        return await asyncio.gather(*calls, return_exceptions=True)

    empty, unknown, long, *good = asyncio.run(ask())

    assert isinstance(empty, ValueError)
    assert isinstance(unknown, ValueError)
    assert isinstance(long, PromptTooLongError)
    assert all(isinstance(one, Completion) for one in good)


def test_answer_ends_where_the_context_does(engine: Engine, renderer: Renderer) -> None:
    prompt = renderer.encode("x" * (engine.context_length - 3))

    one = answers(engine, [prompt], Decoding(max_new_tokens=100))[0]

    assert one.completion_tokens <= 3


def test_cancelled_request_leaves_others_alone(engine: Engine, prompts: list[list[int]]) -> None:
    async def ask() -> Completion:
        long = asyncio.create_task(engine.complete(prompts[0], Decoding(max_new_tokens=200)))
        await asyncio.sleep(0.01)
        long.cancel()
        return await engine.complete(prompts[1], Decoding(max_new_tokens=2))

    assert asyncio.run(ask()).completion_tokens == 2


def test_closed_stream_frees_its_request(
    engines: dict[Kind, Engine], prompts: list[list[int]]
) -> None:
    engine = engines["openvino"]
    assert isinstance(engine, OpenVINOEngine)

    async def first_piece_only() -> None:
        stream: AsyncGenerator[object, None] = engine.stream(
            prompts[0], Decoding(max_new_tokens=200)
        )
        await anext(stream)
        await stream.aclose()
        # The engine's thread drops the request at its next step.
        for _ in range(100):
            if engine.requests_under_way == 0:
                return
            await asyncio.sleep(0.05)

    asyncio.run(first_piece_only())
    assert engine.requests_under_way == 0


def test_a_loop_has_turns_between_two_steps(
    converted: Path, prompts: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A machine that stalls takes no turn away.
    monkeypatch.setattr(openvino_engine, "TURN_SECONDS", 60)
    turns, at_steps = 0, list[int]()
    with closing(OpenVINOEngine(converted)) as engine:
        step = engine._pipeline.step

        def listening() -> None:
            at_steps.append(turns)
            step()

        async def ask() -> None:
            def turn() -> None:
                nonlocal turns
                turns += 1
                loop.call_soon(turn)

            loop = asyncio.get_running_loop()
            turn()
            await engine.complete(prompts[0], GREEDY)

        monkeypatch.setattr(engine, "_pipeline", Stepping(engine._pipeline, listening))
        asyncio.run(ask())

    assert len(at_steps) > 10
    assert min(later - sooner for sooner, later in pairwise(at_steps)) >= LOOP_TURNS - 1


def test_a_loop_that_ended_holds_up_no_other(
    converted: Path, prompts: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_engine, "TURN_SECONDS", 3600)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    with closing(OpenVINOEngine(converted)) as engine, closing(first), closing(second):
        # The engine's thread is still giving way to the first one when the second one asks.
        for loop in (first, second):
            answer = asyncio.wait_for(engine.complete(prompts[0], GREEDY), 60)
            assert loop.run_until_complete(answer).completion_tokens > 0


class Stepping:
    """A pipeline whose step is another."""

    def __init__(self, pipeline: object, step: Callable[[], None]) -> None:
        self._pipeline, self.step = pipeline, step

    def __getattr__(self, name: str) -> object:
        return getattr(self._pipeline, name)


def test_the_least_temperature_and_top_p_draw_what_is_likeliest(
    engine: Engine, prompts: list[list[int]]
) -> None:
    least = Decoding(max_new_tokens=4, temperature=5e-324, top_p=5e-324, seed=1)
    greedy = Decoding(max_new_tokens=4)

    drawn, likeliest = (answers(engine, prompts[:2], each) for each in (least, greedy))

    assert [one.text for one in drawn] == [one.text for one in likeliest]


def test_failed_step_fails_its_requests_and_no_others(
    converted: Path,
    prompts: list[list[int]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = OpenVINOEngine(converted)

    class Broken:
        def has_non_finished_requests(self) -> bool:
            return False

        def add_request(self, *_: object) -> object:
            return object()

        def step(self) -> None:
            raise RuntimeError("out of memory")

    monkeypatch.setattr(engine, "_pipeline", Broken())
    try:
        with pytest.raises(EngineError, match="loaded again"):
            answers(engine, prompts[:1], Decoding())
        assert "out of memory" in caplog.text
        assert len(answers(engine, prompts[:2], Decoding(max_new_tokens=2))) == 2
    finally:
        engine.close()


def test_an_engine_that_cannot_be_loaded_again_says_so_to_who_waits_and_who_comes(
    converted: Path, prompts: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[bool] = []

    async def ask(engine: OpenVINOEngine) -> list[Completion | BaseException]:
        under_way = asyncio.create_task(engine.complete(prompts[0], GREEDY))
        while engine.requests_under_way == 0:
            await asyncio.sleep(0.001)
        waits = asyncio.create_task(engine.complete(prompts[1], GREEDY))
        both = asyncio.gather(under_way, waits, return_exceptions=True)
        return await asyncio.wait_for(both, 60)

    with closing(OpenVINOEngine(converted)) as engine:

        def failing() -> None:
            while not engine._waiting:
                time.sleep(0.001)
            raise RuntimeError("out of memory")

        def refused() -> object:
            kept.append(old() is not None)
            raise RuntimeError("still out of memory")

        monkeypatch.setattr(engine, "_pipeline", Stepping(engine._pipeline, failing))
        old = weakref.ref(engine._pipeline)
        monkeypatch.setattr(engine, "_load", refused)
        under_way, waits = asyncio.run(ask(engine))
        with pytest.raises(EngineGoneError, match="could not be loaded"):
            answers(engine, prompts[:1], GREEDY)

    assert [type(one) for one in (under_way, waits)] == [EngineError, EngineGoneError]
    assert kept == [False], "the old model was in memory beside the new one"


def test_closed_engine_refuses_requests(converted: Path, prompts: list[list[int]]) -> None:
    engine = load_engine("openvino", converted)
    engine.close()
    engine.close()

    with pytest.raises(EngineError, match="closed"):
        answers(engine, prompts[:1], Decoding())


@pytest.mark.parametrize("kind", KINDS)
def test_incomplete_folder_is_named_with_what_is_missing(kind: Kind, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"misses .*config\.json.*tokenizer\.json"):
        load_engine(kind, tmp_path)
