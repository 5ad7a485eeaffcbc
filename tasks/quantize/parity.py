"""How far a converted model's next-token distribution is from the model that it was made of.

parity(reference, folder, prompts, label_tokens)
# {"prompts": 32, "top1_agreement": 1.0, "kl_mean": 1e-9, ...}
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from tasks.progress import Progress

Logits = NDArray[np.float64]


def parity(
    reference: PreTrainedModel,
    folder: Path,
    prompts: Sequence[Sequence[int]],
    label_tokens: Sequence[int],
) -> dict[str, object]:
    """Compare the logits (V,) after the last token of each prompt.

    `label_tokens` are the first tokens of the labels: agreement on them is agreement on the answer
    when they differ from each other.
    """
    compiled = _compile(folder)
    rows = []
    progress = Progress("quantize:parity", len(prompts))
    for ids in prompts:
        rows.append((_torch_logits(reference, ids), _openvino_logits(compiled, ids)))
        progress.advance()
    labels = list(dict.fromkeys(label_tokens))
    gaps = [np.abs(a - b) for a, b in rows]
    return {
        "prompts": len(rows),
        "logit_difference_mean": float(np.mean([gap.mean() for gap in gaps])),
        "logit_difference_max": float(max(gap.max() for gap in gaps)),
        "top1_agreement": _share([a.argmax() == b.argmax() for a, b in rows]),
        "label_agreement": _share([a[labels].argmax() == b[labels].argmax() for a, b in rows]),
        "kl_mean": float(np.mean([_kl(a, b) for a, b in rows])),
        "kl_max": float(max(_kl(a, b) for a, b in rows)),
    }


def _compile(folder: Path) -> ov.CompiledModel:
    properties = json.loads((folder / "openvino_properties.json").read_text(encoding="utf-8"))
    return ov.Core().compile_model(folder / "openvino_model.xml", "CPU", properties)


def _torch_logits(model: PreTrainedModel, ids: Sequence[int]) -> Logits:
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([list(ids)])).logits
    last: Logits = logits[0, -1].double().numpy()
    return last


def _openvino_logits(compiled: ov.CompiledModel, ids: Sequence[int]) -> Logits:
    request = compiled.create_infer_request()
    tokens = np.array([list(ids)], dtype=np.int64)  # (1, T)
    request.infer(
        {
            "input_ids": tokens,
            "attention_mask": np.ones_like(tokens),
            "position_ids": np.arange(tokens.shape[1], dtype=np.int64)[None],
            "beam_idx": np.zeros(1, dtype=np.int32),
        }
    )
    last: Logits = request.get_tensor("logits").data[0, -1].astype(np.float64)
    return last


def _kl(reference: Logits, other: Logits) -> float:
    """KL divergence in nats of the reference's distribution from the other's."""
    p, q = _log_softmax(reference), _log_softmax(other)
    return max(0.0, float((np.exp(p) * (p - q)).sum()))


def _log_softmax(logits: Logits) -> Logits:
    shifted = logits - logits.max()
    normalized: Logits = shifted - np.log(np.exp(shifted).sum())
    return normalized


def _share(hits: Sequence[object]) -> float:
    return float(np.mean([bool(hit) for hit in hits]))
