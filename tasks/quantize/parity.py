"""How far a converted model's next-token distribution is from the model that it was made of.

parity(reference.next_logits(model), openvino_ir.next_logits(folder), prompts, label_tokens)
# {"prompts": 32, "top1_agreement": 1.0, "kl_mean": 1e-9, ...}
"""

from collections.abc import Sequence

import numpy as np

from tasks.progress import Progress
from tasks.quantize.reference import Logits, NextLogits


def parity(
    original: NextLogits,
    converted: NextLogits,
    prompts: Sequence[Sequence[int]],
    label_tokens: Sequence[int],
) -> dict[str, object]:
    """Compare the logits (V,) after the last token of each prompt.

    `label_tokens` are the first tokens of the labels: agreement on them is agreement on the answer
    when they differ from each other. Answers of free text have none.
    """
    rows = []
    progress = Progress("quantize:parity", len(prompts))
    for ids in prompts:
        rows.append((original(ids), converted(ids)))
        progress.advance()
    labels = list(dict.fromkeys(label_tokens))
    gaps = [np.abs(a - b) for a, b in rows]
    found: dict[str, object] = {
        "prompts": len(rows),
        "logit_difference_mean": float(np.mean([gap.mean() for gap in gaps])),
        "logit_difference_max": float(max(gap.max() for gap in gaps)),
        "top1_agreement": _share([a.argmax() == b.argmax() for a, b in rows]),
        "kl_mean": float(np.mean([_kl(a, b) for a, b in rows])),
        "kl_max": float(max(_kl(a, b) for a, b in rows)),
    }
    if labels:
        same = [a[labels].argmax() == b[labels].argmax() for a, b in rows]
        found["label_agreement"] = _share(same)
    return found


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
