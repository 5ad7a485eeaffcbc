"""Does prompt lookup help? Tokens guessed from the prompt, beside one at a time.

    .venv/bin/python -m benchmarks.lookup HOUSE teacher-fp32

HOUSE is a folder with params.yaml, data/prepared and that variant of quantize: a checkout after
`dvc repro`, or a run's worktree after `dvc checkout`. OpenVINO GenAI looks for the last tokens of
an answer in the prompt, takes what follows there as a guess, and checks it in one step (Saxena
2023, prompt lookup decoding). The engine's own scheduler answers validation rows of the workload,
1, 8 and 32 at once, by turns with and without. Writes benchmarks/results/<workload>-lookup.json.
Budget: five minutes on 2 cores.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import openvino as ov
import openvino_genai as genai

from benchmarks.release import RESULTS
from bentos.generator import model_folder, openvino_engine
from bentos.generator.prompt import Renderer
from tasks import evaluation_report, params, paths, records, stage
from tasks.config import Task
from tasks.errors import StillhouseError
from tasks.records import Record

REQUESTS: Final = {1: 12, 8: 48, 32: 96}
"""How many, by how many at once."""

TURNS: Final = 2
GUESSED_TOKENS, NGRAM_TOKENS = 4, 3


class _Run(NamedTuple):
    """One turn: tokens of every answer, steps of the engine, wall time."""

    answers: list[list[int]]
    steps: int
    seconds: float


def main(arguments: list[str]) -> None:
    """Answer with and without; takes a house and a variant of quantize."""
    if len(arguments) != 2:
        raise StillhouseError("usage: python -m benchmarks.lookup HOUSE VARIANT")
    house, candidate = Path(arguments[0]), f"quantize/{arguments[1]}"
    content = params.load_yaml(house / paths.PARAMS)
    folder, task = house / paths.candidate(candidate), Task.model_validate(content["task"])
    renderer = Renderer.from_folder(folder)
    rows = list(records.read(house / paths.VALIDATION, Record))[: max(REQUESTS.values())]
    prompts = [renderer.encode(row.prompt) for row in rows]
    options: dict[str, dict[str, bool]] = {"plain": {}, "lookup": {"prompt_lookup": True}}
    pipelines = {
        name: openvino_engine.load_pipeline(folder, genai.Tokenizer(folder), **told)
        for name, told in options.items()
    }
    figures: dict[str, Any] = {}
    for clients, count in REQUESTS.items():
        found: dict[str, list[_Run]] = {name: [] for name in pipelines}
        for _ in range(TURNS):
            for name, pipeline in pipelines.items():
                settings = _settings(folder, task.max_answer_tokens, name == "lookup")
                found[name].append(_run(pipeline, prompts[:count], clients, settings))
        figures[str(clients)] = _told(found)
    result = {
        "candidate": candidate,
        "by_clients": figures,
        "hardware": evaluation_report.hardware(),
    }
    records.write_report(RESULTS / f"{content['workload']}-lookup.json", result)
    print(json.dumps(result, indent=2))


def _settings(folder: Path, most: int, lookup: bool) -> genai.GenerationConfig:
    settings = genai.GenerationConfig()
    settings.apply_chat_template = False
    settings.max_new_tokens = most
    settings.set_eos_token_id(model_folder.read_facts(folder).end_ids[0])
    if lookup:
        settings.num_assistant_tokens = GUESSED_TOKENS
        settings.max_ngram_size = NGRAM_TOKENS
    return settings


def _run(
    pipeline: genai.ContinuousBatchingPipeline,
    prompts: Sequence[Sequence[int]],
    clients: int,
    settings: genai.GenerationConfig,
) -> _Run:
    """Every prompt's answer; as many are under way as there are clients."""
    waiting, running = list(enumerate(prompts)), dict[int, Any]()
    answers: list[list[int]] = [[] for _ in prompts]
    steps, started = 0, time.perf_counter()
    while waiting or running:
        while waiting and len(running) < clients:
            number, prompt = waiting.pop(0)
            ids = ov.Tensor(np.array([prompt], dtype=np.int64))
            running[number] = pipeline.add_request(number, ids, settings)
        pipeline.step()
        steps += 1
        for number, handle in [*running.items()]:
            while handle.can_read():
                for output in handle.read().values():
                    answers[number] += output.generated_ids
            if handle.get_status() != genai.GenerationStatus.RUNNING:
                del running[number]
    return _Run(answers, steps, time.perf_counter() - started)


def _told(found: dict[str, list[_Run]]) -> dict[str, Any]:
    plain, lookup = found["plain"], found["lookup"]
    pairs = zip(plain[0].answers, lookup[0].answers, strict=True)
    return {
        "requests": len(plain[0].answers),
        "same_answers": sum(one == other for one, other in pairs),
        "steps": {name: runs[0].steps for name, runs in found.items()},
        "seconds": {name: [round(run.seconds, 2) for run in runs] for name, runs in found.items()},
        "times_faster": round(
            sum(run.seconds for run in plain) / sum(run.seconds for run in lookup), 2
        ),
    }


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
