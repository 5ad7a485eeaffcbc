"""Do stock libraries load these models? Run by a Python that has nothing of ours.

    python -I benchmarks/stock_loaders.py models/distill/a:models/quantize/a ...

takes pairs of a folder that transformers reads and one that OpenVINO reads, made from it in 32
bits. Prints a line of JSON a pair: parameters, and how far their logits are apart.
"""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import openvino as ov
import torch
from transformers import AutoModelForCausalLM

IDS = np.arange(20, 52, dtype=np.int64)[None]  # (1, 32)
EXACT = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}


def main() -> None:
    """Load, compare, print."""
    for package in ("tasks", "bentos", "flows"):
        if importlib.util.find_spec(package) is not None:
            raise SystemExit(f"error: {package} can be imported here: this shows nothing")
    for pair in sys.argv[1:]:
        stock, converted = map(Path, pair.split(":"))
        print(json.dumps(compare(stock, converted)), flush=True)


def compare(stock: Path, converted: Path) -> dict[str, float]:
    """Parameters, and the largest difference of logits."""
    model = AutoModelForCausalLM.from_pretrained(stock, dtype=torch.float32).eval()
    with torch.inference_mode():
        expected = model(torch.from_numpy(IDS)).logits.numpy()  # (1, T, V)
    compiled = ov.Core().compile_model(converted / "openvino_model.xml", "CPU", EXACT)
    inputs = {
        "input_ids": IDS,
        "attention_mask": np.ones_like(IDS),
        "position_ids": np.arange(IDS.shape[1], dtype=np.int64)[None],
        "beam_idx": np.zeros(1, dtype=np.int32),
    }
    found = compiled(inputs)["logits"]
    return {
        "parameters": model.num_parameters(),
        "logit_difference_max": float(np.abs(expected - found).max()),
    }


if __name__ == "__main__":
    main()
