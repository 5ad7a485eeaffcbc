"""CTranslate2 and ONNX Runtime GenAI on the requests of benchmarks.servers, without a server.

    PYTHON benchmarks/libraries.py ctranslate2 models/fetch/base /tmp/empty < asked.json

where PYTHON is of an environment that holds ctranslate2, onnxruntime-genai (with onnx-ir), torch
and transformers. asked.json:

    {"seconds": 15, "clients": [1, 8], "mixes": {"sentiment": [["<|im_start|>user ...", 2], ...]}}

These libraries have no server and take no request while others are answered: as many requests as
there are clients are one batch, which ends with its longest answer. Prints one JSON object. It
imports nothing of this project, which that environment does not hold.
"""

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

Ask = tuple[str, int]
"""A prompt, and how many tokens its answer may have."""

Answer = Callable[[Sequence[Ask]], int]
"""Answers a batch; tokens of all answers together, each cut at its own limit."""

WARM_SECONDS = 3.0
ONNX_ROWS = 32
"""The largest batch that ONNX Runtime GenAI takes."""


def ctranslate2(base: Path, work: Path) -> Answer:
    """Weights and products in 8 bits."""
    import ctranslate2 as library
    from ctranslate2.converters import TransformersConverter
    from tokenizers import Tokenizer

    folder = str(work / "ctranslate2")
    TransformersConverter(str(base)).convert(folder, quantization="int8")
    generator = library.Generator(folder, device="cpu", compute_type="int8")
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))

    def answer(batch: Sequence[Ask]) -> int:
        prompts = [tokenizer.encode(prompt, add_special_tokens=False).tokens for prompt, _ in batch]
        results = generator.generate_batch(
            prompts, max_length=max(most for _, most in batch), include_prompt_in_result=False
        )
        made = [len(result.sequences_ids[0]) for result in results]
        return sum(min(one, most) for one, (_, most) in zip(made, batch, strict=True))

    return answer


def onnxruntime_genai(base: Path, work: Path) -> Answer:
    """Weights in 4 bits, products in 8: the recipe of its builder for processors."""
    import onnxruntime_genai as library

    folder = str(work / "onnxruntime-genai")
    builder = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-m", str(base)]
    recipe = ["-p", "int4", "-e", "cpu", "--extra_options", "int4_accuracy_level=4"]
    command = [*builder, "-o", folder, "-c", str(work / "cache"), *recipe]
    subprocess.run(command, check=True, stdout=sys.stderr)
    model = library.Model(folder)
    tokenizer = library.Tokenizer(model)
    ends = json.loads((base / "generation_config.json").read_text(encoding="utf-8"))["eos_token_id"]

    def part(batch: Sequence[Ask]) -> int:
        prompts = tokenizer.encode_batch([prompt for prompt, _ in batch])
        longest = max(len(tokenizer.encode(prompt)) for prompt, _ in batch)
        told = library.GeneratorParams(model)
        most = max(most for _, most in batch)
        told.set_search_options(max_length=longest + most, batch_size=len(batch), do_sample=False)
        generator = library.Generator(model, told)
        generator.append_tokens(prompts)
        while not generator.is_done():
            generator.generate_next_token()
        made = [list(generator.get_sequence(row)[longest:]) for row in range(len(batch))]
        lengths = [ids.index(ends) if ends in ids else len(ids) for ids in made]
        return sum(min(one, most) for one, (_, most) in zip(lengths, batch, strict=True))

    def answer(batch: Sequence[Ask]) -> int:
        return sum(part(batch[at : at + ONNX_ROWS]) for at in range(0, len(batch), ONNX_ROWS))

    return answer


LIBRARIES = {"ctranslate2": ctranslate2, "onnxruntime-genai": onnxruntime_genai}


def main(arguments: list[str]) -> None:
    """Convert the weights, answer what standard input asks, print the figures."""
    name, base, work = arguments
    asked = json.load(sys.stdin)
    answer = LIBRARIES[name](Path(base), Path(work))
    found: dict[str, Any] = {}
    for mix, asks in asked["mixes"].items():
        every = itertools.cycle([(prompt, most) for prompt, most in asks])
        _load(answer, every, max(asked["clients"]), WARM_SECONDS)
        found[mix] = {
            str(clients): _load(answer, every, clients, asked["seconds"])
            for clients in asked["clients"]
        }
    print(json.dumps(found))


def _load(answer: Answer, every: Iterator[Ask], size: int, seconds: float) -> dict[str, float]:
    """Batch after batch; none is begun after so many seconds."""
    tokens, took = 0, list[float]()
    started = ended = time.perf_counter()
    while ended < started + seconds:
        tokens += answer([*itertools.islice(every, size)])
        before, ended = ended, time.perf_counter()
        took.append(ended - before)
    slowest = sorted(took)[min(len(took) - 1, int(0.95 * len(took)))]
    return {
        "requests_per_second": round(size * len(took) / (ended - started), 2),
        "answer_tokens_per_second": round(tokens / (ended - started), 1),
        "p95_ms": round(1000 * slowest, 1),
    }


if __name__ == "__main__":
    main(sys.argv[1:])
