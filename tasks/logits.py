"""A teacher's logits on disk: `label` writes them, every `distill` variant reads them.

data/labels/lora/logits.safetensors
    values  (A, K) float16  log-probabilities of the K most likely tokens, in nats
    tokens  (A, K) int32    which tokens
    lengths (N,)   int32    answer tokens of each row
data/labels/lora/rows.json  {"teacher": "finetune/lora", "tokenizer": "…", "ids": ["3f…", …]}
"""

import json
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

TENSORS = "logits.safetensors"
ROWS = "rows.json"


class StoredLogits(NamedTuple):
    """Logits of one teacher on N rows.

    Attributes:
        teacher: the candidate that was asked.
        tokenizer: content hash of its tokenizer.json.
        ids: record ids, N of them.
        values: per row, log-probabilities (a, K) for its a answer tokens.
        tokens: per row, token ids (a, K).
    """

    teacher: str
    tokenizer: str
    ids: list[str]
    values: list[Tensor]
    tokens: list[Tensor]


def write(folder: Path, logits: StoredLogits) -> None:
    """Write both files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    lengths = torch.tensor([len(row) for row in logits.values], dtype=torch.int32)
    tensors = {
        "values": torch.cat(logits.values).half(),
        "tokens": torch.cat(logits.tokens).int(),
        "lengths": lengths,
    }
    save_file(tensors, folder / TENSORS)
    told = {"teacher": logits.teacher, "tokenizer": logits.tokenizer, "ids": logits.ids}
    (folder / ROWS).write_text(json.dumps(told), encoding="utf-8")


def read(folder: Path) -> StoredLogits:
    """Read what `write` wrote; no teacher is needed."""
    tensors = load_file(folder / TENSORS)
    lengths = tensors["lengths"].tolist()
    told = json.loads((folder / ROWS).read_text(encoding="utf-8"))
    values = list(tensors["values"].float().split(lengths))
    tokens = list(tensors["tokens"].long().split(lengths))
    return StoredLogits(told["teacher"], told["tokenizer"], told["ids"], values, tokens)
