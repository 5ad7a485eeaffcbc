"""Does vLLM load this model? Run by a Python that has vLLM, or its build for processors, alone.

    python -I benchmarks/vllm_loader.py models/prune/neurons-25

Prints a line of JSON: parameters, and how far vLLM's log-probabilities of 31 tokens are from those
of transformers.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

IDS = list(range(20, 52))  # (T,)
SETTINGS = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1"}


def main() -> None:
    """Load, compare, print."""
    for package in ("tasks", "bentos", "flows"):
        if importlib.util.find_spec(package) is not None:
            raise SystemExit(f"error: {package} can be imported here: this shows nothing")
    print(json.dumps(compare(Path(sys.argv[1]))), flush=True)


def compare(folder: Path) -> dict[str, float]:
    """Parameters, and the largest difference of log-probabilities."""
    parameters, expected = _transformers(folder)
    difference = (_vllm(folder) - expected).abs().max()
    return {"parameters": parameters, "log_probability_difference_max": float(difference)}


def _transformers(folder: Path) -> tuple[int, torch.Tensor]:
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.tensor([IDS])
    with torch.inference_mode():
        scores = model(ids).logits[:, :-1].log_softmax(-1)  # (1, T - 1, V)
    return model.num_parameters(), scores.gather(-1, ids[:, 1:, None])[0, :, 0]


def _vllm(folder: Path) -> torch.Tensor:
    os.environ.update(SETTINGS)
    from vllm import LLM, SamplingParams

    engine = LLM(str(folder), dtype="float32", enforce_eager=True, max_model_len=256)
    asked = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0)
    told = engine.generate([{"prompt_token_ids": IDS}], asked)[0].prompt_logprobs
    pairs = zip(IDS[1:], told[1:], strict=True)  # of the first token nothing can be told
    return torch.tensor([scores[token].logprob for token, scores in pairs])


if __name__ == "__main__":
    main()
