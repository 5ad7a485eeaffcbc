"""Vocabulary pruning: `python -m tasks.prune small`.

A small model spends much of its weights on tokens that its workload never uses. What stays: special
tokens, single bytes (so that any text still encodes), every token of the training rows with the
merges that lead to it, and then the most general tokens of the rest, those that were merged first.
A text made of tokens that stay is encoded, and its next token scored, exactly as before.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers.pre_tokenizers import ByteLevel
from torch import nn
from transformers import AutoModelForCausalLM

from bentos.generator.prompt import TOKENIZER
from tasks import candidate, paths, records
from tasks.errors import ModelError
from tasks.examples import tokenize
from tasks.merges import pairs
from tasks.prune.config import PruneConfig
from tasks.records import Record

TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
"""Keys of config.json and generation_config.json that hold tokens."""


def prune(name: str, config: PruneConfig) -> dict[str, Any]:
    """Keep the tokens that the workload needs, at least `keep_tokens` if there are so many.

    Returns:
        how many tokens stay, how many of them the training rows use, and sizes in parameters.

    Raises:
        ModelError: the parent's tokenizer is not byte-level BPE.
    """
    parent = paths.candidate(config.parent)
    tokenizer = json.loads((parent / TOKENIZER).read_text(encoding="utf-8"))
    examples = tokenize(records.read(paths.TRAIN, Record), parent)
    used = {token for e in examples for token in (*e.prompt, *e.answer)}
    kept = tokens_to_keep(tokenizer, used, config.keep_tokens, parent)
    model = AutoModelForCausalLM.from_pretrained(parent, dtype=torch.float32)
    before = model.num_parameters()
    keep_tokens(model, kept)
    folder = candidate.fresh_folder(name)
    candidate.copy_tokenizer(parent, folder)
    model.save_pretrained(folder)
    text = json.dumps(trimmed(tokenizer, kept), ensure_ascii=False)
    (folder / TOKENIZER).write_text(text, encoding="utf-8")
    candidate.write(candidate.describe(name, config.parent, config, paths.TRAIN))
    return {
        "candidate": name,
        "parent": config.parent,
        "method": config.method,
        "tokens_before": len(tokenizer["model"]["vocab"]),
        "tokens_after": len(kept),
        "tokens_used": len(used),
        "parameters_before": before,
        "parameters_after": model.num_parameters(),
    }


def tokens_to_keep(
    tokenizer: dict[str, Any], used: Iterable[int], wanted: int, shown: Path
) -> list[int]:
    """Ids that stay, ascending; `tokenizer` is the content of tokenizer.json.

    Raises:
        ModelError: not byte-level BPE, so that some text could no longer be encoded; or a
            post-processor that names tokens by number.
    """
    vocab = _vocabulary(tokenizer)
    decoder = tokenizer["decoder"] or {}
    if tokenizer["model"]["type"] != "BPE" or decoder.get("type") != "ByteLevel":
        raise ModelError(
            f"{shown / TOKENIZER} is not byte-level BPE: without single bytes to fall back on, "
            "text would be lost. Leave method vocabulary out for this model"
        )
    post = tokenizer["post_processor"] or {}
    if post.get("special_tokens") or "processors" in post:
        raise ModelError(
            f"{shown / TOKENIZER}: its post-processor {post['type']} names tokens by number, and "
            "those change. Leave method vocabulary out for this model"
        )
    merges = pairs(tokenizer["model"]["merges"])
    parts: dict[str, list[str]] = {}
    for left, right in merges:
        parts.setdefault(left + right, []).extend((left, right))
    special = [token["content"] for token in tokenizer["added_tokens"]]
    names = {token: name for name, token in vocab.items()}
    # A few tokenizers lack bytes that no text of theirs ever had.
    single = vocab.keys() & set(ByteLevel.alphabet())
    kept = _with_parts([*special, *single, *(names[i] for i in used)], parts)
    # A merge's parts are made by earlier merges, so that going in order keeps every way whole.
    for left, right in merges:
        if len(kept) >= wanted:
            break
        kept |= _with_parts([left + right], parts)
    return sorted(vocab[name] for name in kept)


def trimmed(tokenizer: dict[str, Any], kept: list[int]) -> dict[str, Any]:
    """tokenizer.json with the tokens `kept` alone, numbered anew in their order."""
    numbers = {old: new for new, old in enumerate(kept)}
    vocab = {n: numbers[old] for n, old in tokenizer["model"]["vocab"].items() if old in numbers}
    merges = [
        [left, right]
        for left, right in pairs(tokenizer["model"]["merges"])
        if left in vocab and right in vocab and left + right in vocab
    ]
    added = [token | {"id": numbers[token["id"]]} for token in tokenizer["added_tokens"]]
    model = tokenizer["model"] | {"vocab": vocab, "merges": merges}
    return tokenizer | {"added_tokens": added, "model": model}


def keep_tokens(model: Any, kept: list[int]) -> None:
    """Shrink embedding and output matrix of `model` in place to the rows `kept`."""
    rows = torch.tensor(kept)
    numbers = {old: new for new, old in enumerate(kept)}
    tied = model.config.tie_word_embeddings
    embedded = model.get_input_embeddings().weight.detach()[rows]  # (K, H)
    model.set_input_embeddings(nn.Embedding.from_pretrained(embedded, freeze=False))
    output = nn.Linear(embedded.shape[1], len(kept), bias=False)
    if not tied:
        output.weight = nn.Parameter(model.get_output_embeddings().weight.detach()[rows])
    model.set_output_embeddings(output)
    model.config.vocab_size = len(kept)
    for settings in (model.config, model.generation_config):
        for key in TOKEN_IDS:
            setattr(settings, key, _renumbered(getattr(settings, key, None), numbers))
    model.tie_weights()


def _renumbered(ids: int | list[int] | None, numbers: dict[int, int]) -> int | list[int] | None:
    if isinstance(ids, list):
        return [numbers[old] for old in ids]
    return None if ids is None else numbers[ids]


def _vocabulary(tokenizer: dict[str, Any]) -> dict[str, int]:
    """Every token with its id, those that were added later too."""
    added = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    vocab: dict[str, int] = tokenizer["model"]["vocab"] | added
    return vocab


def _with_parts(tokens: Iterable[str], parts: dict[str, list[str]]) -> set[str]:
    """`tokens` and all that they are merged from."""
    found: set[str] = set()
    waiting = list(tokens)
    while waiting:
        token = waiting.pop()
        if token not in found:
            found.add(token)
            waiting += parts.get(token, ())
    return found
