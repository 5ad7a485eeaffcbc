"""How much faster a model of another shape is: `latency.share(model, sizes)`.

Time depends on shapes, not on what the weights are. So a shape is timed before anything is cut, on
a model that has it and random weights, in turns with the parent: what else the machine does then
slows both. Transformers runs them, in float32; what another engine makes of the result, evaluate
tells.
"""

import time
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from tasks.prune import surgery
from tasks.prune.surgery import Sizes

BATCH, TOKENS = 4, 128
"""What a forward pass reads."""

TURNS = 5
"""Of these the fastest counts: nothing makes a forward pass faster than it is."""


def share(model: Any, wanted: Sizes) -> float:
    """Seconds of a forward pass at the sizes `wanted`, as a share of those of `model`."""
    other = AutoModelForCausalLM.from_config(surgery.resized(model, wanted), dtype=torch.float32)
    turns = [(_seconds(model), _seconds(other.eval())) for _ in range(TURNS + 1)]
    ours, theirs = zip(*turns[1:], strict=True)  # the first one warms up
    return float(min(theirs) / min(ours))


@torch.inference_mode()
def _seconds(model: Any) -> float:
    tokens = torch.zeros((BATCH, TOKENS), dtype=torch.long)
    began = time.perf_counter()
    model(input_ids=tokens, use_cache=False)
    return time.perf_counter() - began
