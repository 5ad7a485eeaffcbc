"""Stored logits against a teacher that runs beside its student, and against all of its tokens.

    dvc repro label@lora prune@depth16
    .venv/bin/python -m benchmarks.distillation --steps 300 --labels 800

in a checkout of the demo (params.yaml of sentiment, quick). Budget: 30 minutes on 2 cores. In a
scratch folder, on the same rows, with the demo's settings and seed, and its student or another:

1. formats: bytes of an answer token on disk, and how far its divergence from the student is from
   that over the whole vocabulary, for numbers of kept tokens and bits;
2. speed: examples/s of both methods and of TRL's GKDTrainer beside the same teacher (as it comes,
   and without gradient checkpointing), each trained twice in turns, there and back; and what
   labelling took;
3. quality: validation accuracy of the student from stored logits and of the one from all tokens,
   with the interval of the paired difference; left out with --steps 0.

Writes benchmarks/results/distillation-<student>.json.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from benchmarks import gkd
from benchmarks.release import RESULTS
from benchmarks.scratch import beside_the_checkout
from bentos.generator.engine import load_engine
from tasks import evaluation_report, intervals, logits, paths, records, stage
from tasks.batches import answer_logits, pad
from tasks.config import Task
from tasks.distill import cached_logits, losses, online, student
from tasks.distill.config import DistillConfig
from tasks.examples import end_token, tokenize
from tasks.label.config import LabelConfig
from tasks.label.top_logits import label
from tasks.params import read
from tasks.records import Record
from tasks.scoring import Traffic, answer_all

TEACHER, STUDENT, LABELS = "finetune/lora", "prune/depth16", "benchmark"
KEPT = (4, 8, 32, 128)
BITS: tuple[logits.Bits, ...] = (16, 8)
ROWS = 32
"""Whose stored logits are compared with all logits."""

METHODS = ("cached_logits", "online")
THEIRS = {"gkd_trainer": True, "gkd_trainer_keeping_activations": False}
"""TRL's, and whether it computes activations again."""


def main(arguments: list[str]) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distillation")
    parser.add_argument(
        "--steps", type=int, default=300, help="of the students whose quality counts"
    )
    parser.add_argument("--speed-steps", type=int, default=40, help="of those that are only timed")
    parser.add_argument("--labels", type=int, default=800, help="training rows")
    parser.add_argument("--rows", type=int, help="validation rows; all unless told")
    parser.add_argument("--student", default=STUDENT, help="one that was cut from the teacher")
    options = parser.parse_args(arguments)
    config, task = read("distill.small", DistillConfig), read("task", Task)
    config = config.model_copy(update={"parent": options.student})
    needed = [paths.TRAIN, paths.VALIDATION, *map(paths.candidate, (TEACHER, options.student))]
    with beside_the_checkout(needed, f"label@lora {options.student.replace('/', '@')}"):
        result = measure(config, task, options)
    name = f"distillation-{options.student.rpartition('/')[2]}.json"
    records.write_report(RESULTS / name, result)
    print(json.dumps(result, indent=2))


def measure(config: DistillConfig, task: Task, options: argparse.Namespace) -> dict[str, Any]:
    """Formats, speed and quality."""
    told = {"teacher": TEACHER, "rows": options.labels, "top_k": 32}
    labelling = label(paths.labels(LABELS), LabelConfig.model_validate(told), task)
    made = {method: _settings(config, method, options) for method in METHODS}
    return {
        "student": config.parent,
        "rows": options.labels,
        "formats": formats(config),
        "labelling_seconds": labelling["seconds"],
        **speed(made, options.speed_steps),
        **(quality(made, task, options) if options.steps else {}),
        "hardware": evaluation_report.hardware(),
    }


def speed(made: Mapping[str, DistillConfig], steps: int) -> dict[str, Any]:
    """Examples/s of each method, in turns, and how many times as many stored logits give."""
    order = [*METHODS, *THEIRS]
    rates: dict[str, list[float]] = {method: [] for method in order}
    short = {"max_steps": steps, "checkpoints": 1, "validation_rows": 1}
    for turn, method in enumerate([*order, *reversed(order)]):
        config = made.get(method, made["online"]).model_copy(update=short)
        if method in THEIRS:
            rates[method].append(_their_speed(config, THEIRS[method]))
        else:
            rates[method].append(_speed(f"distill/speed{turn}", config))
        print(f"{method}: {rates[method][-1]:.2f} examples/s", flush=True)
    stored = sum(rates["cached_logits"])
    return {
        "examples_per_second": rates,
        "speed_ratio": stored / sum(rates["online"]),
        "speed_ratio_over_trl": {method: stored / sum(rates[method]) for method in THEIRS},
    }


def quality(
    made: Mapping[str, DistillConfig], task: Task, options: argparse.Namespace
) -> dict[str, Any]:
    """Validation accuracy of each method's student."""
    found = {}
    for method, settings in made.items():
        name = f"distill/{method.replace('_', '-')}"
        found[method] = _distill(name, settings) | {"right": _right(name, task, options.rows)}
    paired = zip(found["cached_logits"]["right"], found["online"]["right"], strict=True)
    return {
        "steps": options.steps,
        "teacher_forward_passes": {m: each["teacher_forward_passes"] for m, each in found.items()},
        "accuracy": {
            method: intervals.mean_score(each["right"])._asdict() for method, each in found.items()
        },
        "accuracy_difference": intervals.mean([a - b for a, b in paired])._asdict(),
    }


def formats(config: DistillConfig) -> list[dict[str, Any]]:
    """How near stored logits are to all logits, and how small."""
    rows = records.read(paths.TRAIN, Record)[:ROWS]
    ours, theirs = (_scores(name, rows) for name in (config.parent, TEACHER))
    exact = _divergences(losses.soft(ours, 1.0), losses.soft(theirs, 1.0))
    found = []
    for kept in KEPT:
        for bits in BITS:
            folder = Path(f"formats/{kept}-{bits}")
            size = logits.write(folder, _stored(theirs, kept), bits)
            stored = logits.read(folder)
            said = torch.cat(stored.values), torch.cat(stored.tokens)
            pair = losses.aligned_with_rest(ours, *said, torch.cat(stored.rests), 1.0)
            scaled = _divergences(*losses.aligned(ours, *said, 1.0))
            found.append(
                {
                    "kept_tokens": kept,
                    "bits": bits,
                    "bytes_per_answer_token": round(size / len(theirs), 1),
                    "probability_kept": float(said[0].exp().sum(-1).mean()),
                    "log_probability_off_by": float(
                        (said[0] - theirs.log_softmax(-1).gather(-1, said[1])).abs().max()
                    ),
                    "divergence_off_by": {
                        "dropped": float((scaled - exact).abs().mean()),
                        "one_token": float((_divergences(*pair) - exact).abs().mean()),
                    },
                    "divergence": float(exact.mean()),
                }
            )
    return found


def _divergences(student: Tensor, teacher: Tensor) -> Tensor:
    """Forward divergence at every answer token, (A,)."""
    pairs = zip(student, teacher, strict=True)
    return torch.stack([losses.forward_kl(s[None], t[None]) for s, t in pairs])


def _stored(scores: Tensor, kept: int) -> logits.StoredLogits:
    exact = scores.log_softmax(-1)
    top = exact.topk(kept)
    rests = exact.scatter(-1, top.indices, logits.NOTHING).logsumexp(-1)
    return logits.StoredLogits(TEACHER, "", [""], [top.values], [top.indices], [rests])


@torch.inference_mode()
def _scores(name: str, rows: Sequence[Record]) -> Tensor:
    folder = paths.candidate(name)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return answer_logits(model, pad(tokenize(rows, folder), end_token(folder)))


def _settings(config: DistillConfig, method: str, options: argparse.Namespace) -> DistillConfig:
    steps = options.steps or options.speed_steps
    told = config.model_dump(by_alias=True) | {"max_steps": steps, "method": method}
    if method == "online":
        told |= {"teacher": TEACHER, "rows": options.labels, "labels": None}
    else:
        told |= {"labels": LABELS}
    return DistillConfig.model_validate(told)


def _distill(name: str, config: DistillConfig) -> dict[str, Any]:
    if config.method == "cached_logits":
        return cached_logits.distill(name, config)
    return online.distill(name, config)


def _speed(name: str, config: DistillConfig) -> float:
    """Examples a second from when the model is loaded until it is trained."""
    seconds = 0.0

    def timed(*arguments: Any) -> Any:
        nonlocal seconds
        started = time.perf_counter()
        try:
            return fit(*arguments)
        finally:
            seconds = time.perf_counter() - started

    fit = student.fit
    with mock.patch.object(student, "fit", timed):
        report = _distill(name, config)
    return float(report["examples"] / seconds)


def _their_speed(config: DistillConfig, gradient_checkpointing: bool) -> float:
    """Examples a second of TRL's trainer, from when its models are loaded until it is trained."""
    rows = records.read(paths.TRAIN, Record)[: config.rows]
    examples = tokenize(rows, paths.candidate(config.parent))
    with TemporaryDirectory() as scratch:
        seconds = gkd.train(config, examples, TEACHER, Path(scratch), gradient_checkpointing)
    return config.max_steps * config.batch / seconds


def _right(name: str, task: Task, rows: int | None) -> list[float]:
    """Which validation answers of a student are right, by the engine of transformers."""
    folder = paths.candidate(name)
    asked = records.read(paths.VALIDATION, Record)[:rows]
    with closing(load_engine("transformers", folder)) as engine:
        answers = answer_all(engine, folder, asked, task, Traffic(32), name)
    return [prediction.score for prediction in answers.predictions]


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
