"""Training and quantized matrix products on a GPU: tokens/s, share of its peak, memory.

    .venv/bin/dvc repro fetch@weights prepare
    .venv/bin/python -m benchmarks.gpu training NAME [--steps N] [--batch N]
    .venv/bin/python -m benchmarks.gpu products

Models of 0.5B and 1.5B parameters (the architectures of Qwen2.5, random weights, the base's
tokenizer) learn the checkout's training rows by the very code of the stages: LoRA, QLoRA where
bitsandbytes is installed, labelling by the larger one and distillation of the smaller one from
those logits. Timed are the optimizer steps after the first few. Floating-point operations are those
that PyTorch counts in one batch of like lengths, by its real tokens: what is spent on padding
counts for nothing. The peak is the data sheet's, for dense bf16; beside it stands what a large
product reaches here. Matrix products have the shapes of both models, as many rows as there are
requests or tokens at once, and more weights in turn than the cache holds; quantized activations are
given, and integers are left as they come out. Writes benchmarks/results/gpu-NAME.json, NAME being
that of the workload, and gpu-products.json.
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple
from unittest import mock

import torch
from accelerate.utils.memory import clear_device_cache
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoModelForCausalLM,
    Qwen2Config,
    TrainerCallback,
    TrainerControl,
    TrainerState,
)
from transformers.training_args import TrainingArguments

from benchmarks.scratch import beside_the_checkout
from tasks import candidate, paths, records, stage
from tasks.batches import Batch, pad
from tasks.config import Task
from tasks.distill import cached_logits, student
from tasks.distill.config import DistillConfig
from tasks.errors import StillhouseError
from tasks.evaluation_report import hardware
from tasks.examples import Example, by_length, end_token, tokenize
from tasks.finetune import lora, qlora
from tasks.finetune.answers import Method, answer_loss, prepared, read
from tasks.finetune.config import FinetuneConfig
from tasks.label.config import LabelConfig
from tasks.label.top_logits import label
from tasks.params import read as read_params
from tasks.records import Record

BASE = "fetch/base"
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "0.5B": {
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
    },
    "1.5B": {
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
    },
}
VOCABULARY = 151_936
PEAKS = {"H100": 989.4e12, "H200": 989.4e12, "A100": 312e12, "L40S": 362.05e12, "L4": 121e12}
"""Dense bf16 operations a second by the data sheets, without sparsity; of the SXM forms."""

WARM = 4
"""Steps before the clock starts."""
AT_ONCE = (1, 32, 512, 8192)
"""Rows of a matrix product: requests that are decoded, tokens that are read."""
GROUP = 128
BEYOND_CACHE = 512 * 2**20
"""Bytes of weights that are multiplied in turn."""


class Clock(TrainerCallback):
    """Seconds and steps after the first `WARM`, when the GPU has done them."""

    def __init__(self) -> None:
        self.steps, self.seconds = 0, 0.0
        self._begun = 0.0

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Begin after the last warm step; read at the last one."""
        if state.global_step == WARM:
            torch.cuda.synchronize()
            self._begun = time.perf_counter()
        if state.global_step == state.max_steps:
            torch.cuda.synchronize()
            self.steps = state.global_step - WARM
            self.seconds = time.perf_counter() - self._begun


def main(arguments: list[str]) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    what = parser.add_subparsers(dest="what", required=True)
    training = what.add_parser("training")
    training.add_argument("name", help="of the workload, for the result")
    training.add_argument("--steps", type=int, default=40, help="of each training")
    training.add_argument("--batch", type=int, default=256, help="examples of a step")
    what.add_parser("products")
    asked = parser.parse_args(arguments)
    if asked.what == "training" and asked.steps <= WARM:
        raise StillhouseError(f"--steps {asked.steps}: the first {WARM} are not timed; ask more")
    if not torch.cuda.is_available():
        raise StillhouseError("no GPU here: PyTorch sees none; run on a machine that has one")
    result: dict[str, Any] = {"hardware": hardware() | _card(), "peak": peak()}
    if asked.what == "products":
        _write("products", result | {"products": products()})
        return
    task = read_params("task", Task)
    needed = [paths.TRAIN, paths.VALIDATION, paths.candidate(BASE)]
    result |= {"batch": asked.batch, "training": {}}
    with beside_the_checkout(needed, "fetch@weights prepare"):
        for name, found in trainings(asked.steps, asked.batch, task, result["peak"]):
            print(f"{name}: {json.dumps(found)}", flush=True)
            result["training"][name] = found
            _write(asked.name, result)


def _write(name: str, result: Mapping[str, Any]) -> None:
    # Not by the working directory, which is a scratch folder while models are trained.
    records.write_report(Path(__file__).parent / "results" / f"gpu-{name}.json", result)


def peak() -> dict[str, float | None]:
    """Operations a second of bf16 products: by the data sheet, where it is known, and here."""
    card = torch.cuda.get_device_name()
    sheet = next((value for name, value in PEAKS.items() if name in card), None)
    size = 8192
    one, two = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    taken = seconds(lambda turn: torch.mm(one, two), 1)
    return {"data_sheet": sheet, "measured": 2 * size**3 / taken}


def trainings(
    steps: int, batch: int, task: Task, best: Mapping[str, float | None]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and figures of each kind of training."""
    for name in SHAPES:
        _fresh(name)
    told = {"max_steps": steps, "batch": batch, "checkpoints": 1, "validation_rows": 16}
    for name in SHAPES:
        config = FinetuneConfig.model_validate({"from": _model(name), "method": "lora"} | told)
        yield f"lora {name}", tuned(config, lora.METHOD, best)
    if find_spec("bitsandbytes") is not None:
        name = list(SHAPES)[-1]
        config = FinetuneConfig.model_validate({"from": _model(name), "method": "qlora"} | told)
        yield f"qlora {name}", tuned(config, qlora.METHOD, best)
    small, large = SHAPES
    settings = {"teacher": _model(large), "rows": steps * batch, "batch": batch}
    yield f"label by {large}", labelled(LabelConfig.model_validate(settings), task)
    learner = DistillConfig.model_validate({"from": _model(small), "labels": "gpu"} | told)
    yield f"distill {small}", distilled(learner, best)


def _fresh(name: str) -> None:
    """Write a model with random weights, and the base's tokenizer."""
    folder, base = paths.candidate(_model(name)), paths.candidate(BASE)
    end = end_token(base)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        tie_word_embeddings=True,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        **SHAPES[name],
    )
    torch.manual_seed(0)
    with torch.device("cuda"):
        model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    candidate.copy_tokenizer(base, folder)


def tuned(
    config: FinetuneConfig, method: Method, best: Mapping[str, float | None]
) -> dict[str, Any]:
    """Fine-tune as the stage does, with a clock."""
    _clean()
    data, clock = read(config, paths.candidate(config.parent)), Clock()
    with tempfile.TemporaryDirectory() as scratch:
        trainer = prepared(config, method, data, Path(scratch), [clock])
        trainer.run()
    found = figures(trainer.model, data.train, config.batch, clock, best)
    return found | {
        "rows_at_once": trainer.micro.rows,
        "gradient_checkpointing": trainer.micro.checkpointing,
    }


def labelled(config: LabelConfig, task: Task) -> dict[str, Any]:
    """The larger one's logits of every row, from loading it until they are written."""
    _clean()
    report = label(paths.labels("gpu"), config, task)
    rows = records.read(paths.TRAIN, Record)[: config.rows]
    examples = tokenize(rows, paths.candidate(config.teacher))
    return {
        "tokens_per_second": round(sum(e.tokens for e in examples) / report["seconds"]),
        "examples_per_second": round(len(examples) / report["seconds"], 1),
        "memory_gb": round(torch.cuda.max_memory_allocated() / 1e9, 1),
    }


def distilled(config: DistillConfig, best: Mapping[str, float | None]) -> dict[str, Any]:
    """Distil from stored logits as the stage does, with a clock."""
    _clean()
    clock = Clock()
    with mock.patch.object(student, "ShownSteps", return_value=clock):
        cached_logits.distill("distill/gpu", config)
    model: Any = student.load(config)
    examples = tokenize(records.read(paths.TRAIN, Record), paths.candidate(config.parent))
    return figures(model.cuda(), examples, config.batch, clock, best)


def figures(
    model: Any,
    examples: Sequence[Example],
    batch: int,
    clock: Clock,
    best: Mapping[str, float | None],
) -> dict[str, Any]:
    """What the clock says, in tokens that are no padding and in operations."""
    memory = torch.cuda.max_memory_allocated()
    rate = clock.steps * batch / clock.seconds
    mean = sum(example.tokens for example in examples) / len(examples)
    done = rate * mean * operations(model, examples)
    return {
        "examples_per_second": round(rate, 1),
        "tokens_per_second": round(rate * mean),
        "tokens_an_example": round(mean, 1),
        "tflops": round(done / 1e12, 1),
        "share_of_peak": {
            name: round(done / value, 3) for name, value in best.items() if value is not None
        },
        "memory_gb": round(memory / 1e9, 1),
        "steps": clock.steps,
    }


def operations(model: Any, examples: Sequence[Example]) -> float:
    """Floating-point operations of a token, forwards and backwards, in a batch of the median."""
    # PyTorch counts those of fused attention only where queries and keys have as many heads.
    (model.get_base_model() if hasattr(model, "get_base_model") else model).set_attn_implementation(
        "eager"
    )
    ordered = by_length(examples, 16)
    batch: Batch = pad(ordered[len(ordered) // 2], 0).to(model.device)
    model.train()
    with FlopCounterMode(display=False) as counted:
        answer_loss(model, batch).backward()
    model.zero_grad(set_to_none=True)
    return float(counted.get_total_flops() / int(batch.attention_mask.count_nonzero()))


class Product(NamedTuple):
    """One way to multiply: what the weights take, and the product of activations with them."""

    weight_bytes: int
    multiply: Callable[[Tensor, int], Tensor]
    prepare: Callable[[Tensor], Tensor] = torch.clone
    finish: Callable[[Tensor], Tensor] = Tensor.float


Kind = Literal["bf16", "fp8", "int8", "int4"]
LEAST: Mapping[Kind, int] = {"bf16": 1, "fp8": 16, "int8": 32, "int4": 1}
"""Rows that PyTorch's kernel needs."""


def products() -> list[dict[str, Any]]:
    """Each kind of product at the shapes of both models."""
    return [
        {
            "model": name,
            "inputs": inputs,
            "outputs": outputs,
            "rows": rows,
            **_compared(rows, inputs, outputs),
        }
        for name, shape in SHAPES.items()
        for inputs, outputs in (
            (shape["hidden_size"], shape["intermediate_size"]),
            (shape["intermediate_size"], shape["hidden_size"]),
        )
        for rows in AT_ONCE
    ]


def _compared(rows: int, inputs: int, outputs: int) -> dict[str, Any]:
    """Of each kind: microseconds, how many times faster than bf16, and its relative error."""
    torch.manual_seed(0)
    activations = torch.randn(rows, inputs, device="cuda", dtype=torch.bfloat16)
    weights = torch.randn(outputs, inputs, device="cuda", dtype=torch.bfloat16) / inputs**0.5
    exact = (activations.float() @ weights.float().T).float()
    found: dict[str, Any] = {}
    for kind, least in LEAST.items():
        if rows < least:
            continue
        copies = max(2, math.ceil(BEYOND_CACHE / (2 * weights.numel())))
        product = _product(kind, weights, copies)
        given = product.prepare(activations)
        said = product.finish(product.multiply(given, 0))
        taken = seconds(partial(product.multiply, given), copies)
        found[kind] = {
            "microseconds": round(1e6 * taken, 2),
            "tflops": round(2 * rows * inputs * outputs / taken / 1e12, 1),
            "weights_gb_per_second": round(product.weight_bytes / taken / 1e9),
            "relative_error": round(float((said - exact).norm() / exact.norm()), 4),
        }
    whole = found["bf16"]["microseconds"]
    for each in found.values():
        each["times_bf16"] = round(whole / each["microseconds"], 2)
    return found


def _product(kind: Kind, weights: Tensor, copies: int) -> Product:
    """`copies` of the weights (outputs, inputs), packed as `kind` has them."""
    if kind == "bf16":
        held = [weights.T.clone() for _ in range(copies)]
        return Product(2 * weights.numel(), lambda a, n: torch.mm(a, held[n]))
    if kind == "int4":
        return _int4(weights, copies)
    narrow, top = (torch.int8, 127.0) if kind == "int8" else (torch.float8_e4m3fn, 448.0)

    def rounded(values: Tensor) -> Tensor:
        spread = values.float() * (top / values.abs().max().float())
        return (spread.round() if kind == "int8" else spread).to(narrow)

    scale = weights.abs().max().float() / top
    packed = [rounded(weights).clone().T for _ in range(copies)]
    given_scale = torch.empty((), device="cuda")

    def prepare(values: Tensor) -> Tensor:
        given_scale.copy_(values.abs().max().float() / top)
        return rounded(values)

    def scaled(values: Tensor, turn: int) -> Tensor:
        return torch._scaled_mm(
            values, packed[turn], scale_a=given_scale, scale_b=scale, out_dtype=torch.bfloat16
        )

    if kind == "fp8":
        return Product(weights.numel(), scaled, prepare)
    return Product(
        weights.numel(),
        lambda values, turn: torch._int_mm(values, packed[turn]),
        prepare,
        lambda said: said * (given_scale * scale),
    )


def _int4(weights: Tensor, copies: int) -> Product:
    """Groups of 4-bit weights beside a scale and a zero each, activations in bf16."""
    outputs, inputs = weights.shape
    groups = weights.float().reshape(outputs, -1, GROUP)
    low = groups.amin(-1, keepdim=True)
    scale = (groups.amax(-1, keepdim=True) - low).clamp(min=1e-6) / 15
    codes = ((groups - low) / scale).round().clamp(0, 15).to(torch.int32).reshape(outputs, inputs)
    pairs = (codes[:, ::2] << 4 | codes[:, 1::2]).to(torch.uint8)
    # The kernel takes the value in the middle of the range, not the least.
    facts = torch.stack([scale[..., 0], low[..., 0] + 8 * scale[..., 0]], -1)
    facts = facts.transpose(0, 1).contiguous().to(torch.bfloat16)  # (groups, outputs, 2)
    packed = [torch._convert_weight_to_int4pack(pairs, 8) for _ in range(copies)]
    size = outputs * inputs // 2 + facts.numel() * 2
    return Product(size, lambda a, n: torch._weight_int4pack_mm(a, packed[n], GROUP, facts))


def seconds(call: Callable[[int], Tensor], turns: int) -> float:
    """Of one call, the least of ten rounds over all turns, without what starting it takes."""
    for _ in range(3):
        call(0)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for turn in range(turns):
            call(turn)
    taken = []
    for _ in range(11):
        begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begun.record()
        graph.replay()
        ended.record()
        torch.cuda.synchronize()
        taken.append(begun.elapsed_time(ended) / 1e3 / turns)
    return float(min(taken[1:]))


def _clean() -> None:
    """What was trained before takes no memory from what comes."""
    clear_device_cache(garbage_collection=True)
    torch.cuda.reset_peak_memory_stats()


def _model(name: str) -> str:
    return f"fetch/{name.replace('.', '-').lower()}"


def _card() -> dict[str, Any]:
    found = torch.cuda.get_device_properties(0)
    return {
        "gpu": found.name,
        "gpu_memory_gb": round(found.total_memory / 1e9, 1),
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
