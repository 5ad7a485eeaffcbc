"""A teacher's logits on disk: `label` writes them, every `distill` variant reads them.

data/labels/lora/logits.safetensors.xz, columns first so that like stands beside like
    values  (K, A) float16 or uint8  log-probabilities of the K most likely tokens, in nats
    depths  (A,)   float32           of the least of them, below zero; where values are uint8
    tokens  (K, A) uint16 or uint32  which tokens
    rests   (A,)   float16           log of what probability all other tokens share
    lengths (N,)   int32             answer tokens of each row
data/labels/lora/rows.json  {"teacher": "finetune/lora", "tokenizer": "…", "ids": ["3f…", …]}

In 8 bits the steps are those of the square root: fine near certainty, where an error counts, coarse
among tokens that hardly ever come.
"""

import json
import lzma
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from safetensors.torch import load, save
from torch import Tensor

from bentos.generator.prompt import TOKENIZER
from tasks import candidate
from tasks.errors import ModelError

TENSORS = "logits.safetensors.xz"
ROWS = "rows.json"

NOTHING = -10_000.0
"""Log of no probability; finite, so that gradients are."""

STEPS = 255
PRESET = 1
"""Of xz: a tenth larger than the default's files, three times as fast."""

Bits = Literal[8, 16]


class StoredLogits(NamedTuple):
    """Logits of one teacher on N rows.

    Attributes:
        teacher: the candidate that was asked.
        tokenizer: content hash of its tokenizer.json.
        ids: record ids, N of them.
        values: per row, log-probabilities (a, K) for its a answer tokens.
        tokens: per row, token ids (a, K).
        rests: per row, log of the probability (a,) of all tokens that were not kept.
    """

    teacher: str
    tokenizer: str
    ids: list[str]
    values: list[Tensor]
    tokens: list[Tensor]
    rests: list[Tensor]


def write(folder: Path, logits: StoredLogits, bits: Bits = 16) -> int:
    """Write both files into `folder`; returns the bytes of the larger one."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = torch.cat(logits.tokens)
    narrow = torch.uint16 if int(tokens.max()) < 1 << 16 else torch.uint32
    tensors = {
        "tokens": tokens.to(narrow).T.contiguous(),
        "rests": torch.cat(logits.rests).half(),
        "lengths": torch.tensor([len(row) for row in logits.values], dtype=torch.int32),
    }
    tensors |= _packed(torch.cat(logits.values), bits)
    data = lzma.compress(save(tensors), preset=PRESET)
    (folder / TENSORS).write_bytes(data)
    told = {"teacher": logits.teacher, "tokenizer": logits.tokenizer, "ids": logits.ids}
    (folder / ROWS).write_text(json.dumps(told), encoding="utf-8")
    return len(data)


def read(folder: Path) -> StoredLogits:
    """Read what `write` wrote; no teacher is needed."""
    tensors = load(lzma.decompress((folder / TENSORS).read_bytes()))
    lengths = tensors["lengths"].tolist()
    told = json.loads((folder / ROWS).read_text(encoding="utf-8"))
    return StoredLogits(
        told["teacher"],
        told["tokenizer"],
        told["ids"],
        list(_unpacked(tensors).split(lengths)),
        list(tensors["tokens"].T.long().split(lengths)),
        list(tensors["rests"].float().split(lengths)),
    )


def check_tokenizer(teacher: str, tokenizer: str, student: Path) -> None:
    """Logits mean something only to a model with the same tokens.

    Args:
        teacher: its name.
        tokenizer: content hash of its tokenizer.json.
        student: folder of the student's parent.

    Raises:
        ModelError: the tokenizers differ.
    """
    if candidate.sha256(student / TOKENIZER) != tokenizer:
        raise ModelError(
            f"{student / TOKENIZER} differs from that of the teacher {teacher}: logits cannot be "
            "learned across tokenizers. Choose a student and a teacher that share one, or learn "
            "the teacher's answers as text: serve it behind an OpenAI-compatible API, name it in "
            "remote, and let a variant of ask collect them for distill's method: text."
        )


def _packed(values: Tensor, bits: Bits) -> dict[str, Tensor]:
    if bits == 16:
        return {"values": values.half().T.contiguous()}
    depths = (-values.amin(-1)).clamp(min=torch.finfo(torch.float32).tiny)  # (A,)
    share = (-values / depths[:, None]).clamp(0, 1)
    return {"values": (STEPS * share.sqrt()).round().byte().T.contiguous(), "depths": depths}


def _unpacked(tensors: dict[str, Tensor]) -> Tensor:
    values = tensors["values"].T.float()  # (A, K)
    if "depths" in tensors:
        values = -tensors["depths"][:, None] * (values / STEPS).square()
    return values.contiguous()
