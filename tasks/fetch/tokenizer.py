"""A byte-level BPE tokenizer, rebuilt from the tokens and merges of a GGUF file.

    write(read_gguf(Path("SmolLM2-135M-Instruct.Q4_1.gguf")), Path("models/fetch/base"))

What transformers derives from a GGUF reloads as another class and splits text differently, so
tokenizer.json is built here and proved by round trips over all of Unicode.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf import GGUFReader
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from tasks.errors import ModelError
from tasks.merges import pairs

CONTROL, USER_DEFINED = 3, 4
"""Token types of a GGUF that are added tokens; control tokens are special."""

DIGITS_APART = ("smollm", "starcoder", "refact", "command-r")
PLAIN = ("gpt-2", "default")
EVERY_BLOCK = 1
"""1: round trips try every block of 256 code points; n: every n-th."""

_CHUNK = 256


@dataclass(frozen=True)
class Vocabulary:
    """What a GGUF file says about its tokenizer.

    Attributes:
        tokens: by id; byte-level alphabet of GPT-2.
        merges: "left right", the most important first.
        types: by id, of llama.cpp.
        split: llama.cpp's name of the pre-tokenizer.
        special: names such as eos_token and the tokens that they stand for.
        chat_template: Jinja source, or None.
        context_length: tokens.
    """

    tokens: tuple[str, ...]
    merges: tuple[str, ...]
    types: tuple[int, ...]
    split: str
    special: dict[str, str]
    chat_template: str | None
    context_length: int


@dataclass(frozen=True)
class RoundTrip:
    """How text survives encoding and decoding.

    Attributes:
        characters: code points tried, all of Unicode but surrogates and the special tokens.
        lost: those that came back changed.
        unrepresentable: those of `lost` with a UTF-8 byte that the vocabulary lacks: no tokenizer
            with this vocabulary can hold them.
    """

    characters: int
    lost: int
    unrepresentable: int


def read_gguf(path: Path) -> Vocabulary:
    """The tokenizer's facts of a GGUF file.

    Raises:
        ModelError: not a GGUF file, or a tokenizer that is not byte-level BPE.
    """
    try:
        reader = GGUFReader(path)
    except (ValueError, OSError, IndexError) as error:
        raise ModelError(f"{path}: not a readable GGUF file: {error}") from error
    model = _text(reader, "tokenizer.ggml.model")
    if model != "gpt2":
        raise ModelError(
            f"{path}: tokenizer.ggml.model is {model}; only byte-level BPE (gpt2) can be rebuilt. "
            "Use the model's safetensors with hf: or path:."
        )
    tokens = _strings(reader, "tokenizer.ggml.tokens")
    architecture = _text(reader, "general.architecture")
    context = reader.get_field(f"{architecture}.context_length")
    return Vocabulary(
        tokens=tokens,
        merges=_strings(reader, "tokenizer.ggml.merges"),
        types=tuple(int(kind) for kind in _list(reader, "tokenizer.ggml.token_type")),
        split=_text(reader, "tokenizer.ggml.pre") or "default",
        special=_special(reader, tokens),
        chat_template=_text(reader, "tokenizer.chat_template"),
        context_length=int(context.contents()) if context else 2048,
    )


def build(vocabulary: Vocabulary) -> Tokenizer:
    """The tokenizer of that vocabulary; ids are positions in `tokens`.

    Raises:
        ModelError: a pre-tokenizer that is not known here.
    """
    merges = pairs(vocabulary.merges)
    ids = {token: number for number, token in enumerate(vocabulary.tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=merges))
    tokenizer.pre_tokenizer = _pre_tokenizer(vocabulary.split)
    tokenizer.decoder = decoders.ByteLevel()
    added = [
        AddedToken(token, normalized=False, special=kind == CONTROL)
        for token, kind in zip(vocabulary.tokens, vocabulary.types, strict=True)
        if kind in {CONTROL, USER_DEFINED}
    ]
    tokenizer.add_tokens(added)
    return tokenizer


def write(vocabulary: Vocabulary, folder: Path) -> Tokenizer:
    """Write tokenizer.json and tokenizer_config.json, which AutoTokenizer loads as they are."""
    tokenizer = build(vocabulary)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        # Any other class name makes transformers rebuild the tokenizer by the model's type.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": vocabulary.context_length,
        "clean_up_tokenization_spaces": False,
        "add_prefix_space": False,
        **vocabulary.special,
    }
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
    return tokenizer


def round_trip(tokenizer: Tokenizer) -> RoundTrip:
    """Encode and decode every code point, digits and spaces among them, in context."""
    missing = _missing_bytes(tokenizer)
    lost = unrepresentable = characters = 0
    for chunk in _code_points():
        characters += len(chunk)
        representable = [c for c in chunk if not missing.intersection(c.encode())]
        unrepresentable += len(chunk) - len(representable)
        if not _survives(tokenizer, _in_context(representable)):
            lost += sum(not _survives(tokenizer, _in_context([c])) for c in representable)
    return RoundTrip(characters, lost + unrepresentable, unrepresentable)


def require_lossless(tokenizer: Tokenizer, label: str) -> RoundTrip:
    """Round trips of text and of special tokens.

    Raises:
        ModelError: text that the vocabulary can hold comes back changed.
    """
    result = round_trip(tokenizer)
    if result.lost > result.unrepresentable:
        changed = result.lost - result.unrepresentable
        raise ModelError(
            f"{label}: {changed} characters do not survive encoding and decoding; the rebuilt "
            "tokenizer is wrong for this file. Use the model's safetensors with hf: or path:."
        )
    for number, token in tokenizer.get_added_tokens_decoder().items():
        if tokenizer.encode(f"a {token.content}b").ids.count(number) != 1:
            raise ModelError(f"{label}: special token {token.content} is split up by the tokenizer")
    return result


def require_same(folders: dict[str, Path]) -> None:
    """Refuse models that do not share one vocabulary, its merges and special tokens.

    Raises:
        ModelError: naming two models that differ, in what, and the remedy.
    """
    (first, folder), *others = folders.items()
    reference = _identity(folder)
    for name, other in others:
        compared = _identity(other)
        for part, value in reference.items():
            if compared[part] != value:
                raise ModelError(
                    f"fetch.weights: {first} and {name} have different tokenizers ({part} differ), "
                    "so one cannot learn from the other's logits. Choose models of one family with "
                    f"the same tokenizer, or remove {name}."
                )


def _identity(folder: Path) -> dict[str, object]:
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    model = content["model"]
    added = content.get("added_tokens", [])
    merges = pairs(model.get("merges", []))
    tokens = {token["content"]: token["id"] for token in added}
    vocab = model["vocab"]
    # A unigram vocabulary is a list; added tokens may or may not be listed in a BPE's own.
    full = dict(vocab) | tokens if isinstance(vocab, dict) else [vocab, tokens]
    special = sorted((token["content"], token["id"]) for token in added if token["special"])
    return {"the vocabularies": full, "the merges": merges, "the special tokens": special}


def _pre_tokenizer(split: str) -> pre_tokenizers.PreTokenizer:
    bytes_of_words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if split in DIGITS_APART:
        digits = pre_tokenizers.Digits(individual_digits=True)
        return pre_tokenizers.Sequence([digits, bytes_of_words])
    if split in PLAIN:
        return bytes_of_words
    raise ModelError(
        f"tokenizer.ggml.pre = {split}: not known here (known: {', '.join(DIGITS_APART + PLAIN)}). "
        "Use the model's safetensors with hf: or path:."
    )


def _special(reader: GGUFReader, tokens: Sequence[str]) -> dict[str, str]:
    names = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    found = {}
    for name, key in names.items():
        field = reader.get_field(f"tokenizer.ggml.{key}_token_id")
        if field is not None:
            found[f"{name}_token"] = tokens[int(field.contents())]
    if "eos_token" not in found:
        raise ModelError("the GGUF file names no end token (tokenizer.ggml.eos_token_id)")
    return {"pad_token": found["eos_token"]} | found


def _missing_bytes(tokenizer: Tokenizer) -> frozenset[int]:
    """Bytes that text can hold and that no token of the vocabulary stands for."""
    seen = set()
    for byte, letter in _byte_letters().items():
        if tokenizer.token_to_id(letter) is not None:
            seen.add(byte)
    return frozenset(range(256)) - seen


def _byte_letters() -> dict[int, str]:
    """GPT-2's alphabet: printable Latin-1 as it is, the other bytes from U+0100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    letters = {byte: chr(byte) for byte in plain}
    return letters | {byte: chr(0x100 + number) for number, byte in enumerate(others)}


def _code_points() -> Iterator[list[str]]:
    for start in range(0, 0x110000, _CHUNK * EVERY_BLOCK):
        if not 0xD800 <= start < 0xE000:
            yield [chr(code) for code in range(start, start + _CHUNK)]


def _in_context(characters: Sequence[str]) -> str:
    """Characters side by side, and some between spaces and digits."""
    return "".join(characters) + " 0".join(characters[::16]) + "  1 23\n\n a"


def _survives(tokenizer: Tokenizer, text: str) -> bool:
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    return bool(tokenizer.decode(ids, skip_special_tokens=False) == text)


def _text(reader: GGUFReader, key: str) -> str | None:
    field = reader.get_field(key)
    return str(field.contents()) if field else None


def _list(reader: GGUFReader, key: str) -> list[Any]:
    field = reader.get_field(key)
    if field is None:
        raise ModelError(f"the GGUF file has no {key}; use the model's safetensors instead")
    return list(field.contents())


def _strings(reader: GGUFReader, key: str) -> tuple[str, ...]:
    return tuple(str(item) for item in _list(reader, key))
