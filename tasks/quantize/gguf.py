"""A Hugging Face Llama as one GGUF file, which llama.cpp and Ollama load.

    convert(Path("models/distill/small"), Path("models/quantize/small-gguf"), config)

Matrices of the blocks are in the scheme's type, embeddings and output matrix in q8_0. llama.cpp's
own mixtures (Q4_K_M) are made of types in blocks of 256 values, which the `gguf` package reads but
does not write; q4_1 and q5_1 are the nearest.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from gguf import (
    MODEL_ARCH,
    GGMLQuantizationType,
    GGUFWriter,
    LlamaFileType,
    TokenType,
    get_tensor_name_map,
    quants,
)
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaForCausalLM, PreTrainedModel

from tasks import candidate
from tasks.errors import ModelError
from tasks.examples import end_token
from tasks.merges import pairs
from tasks.quantize import reference
from tasks.quantize.config import QuantizeConfig
from tasks.quantize.reference import NextLogits

MODEL = "model.gguf"
BLOCK = 32
"""Values that share a scale in every type that is written here."""

QUANTIZATION_VERSION = 2
"""Of ggml's types."""


def convert(
    parent: Path, child: Path, config: QuantizeConfig, calibration: Sequence[Sequence[int]] = ()
) -> None:
    """Write the model of folder `parent` and its tokenizer as `child`/model.gguf.

    Raises:
        ModelError: another architecture than Llama with plain rotary positions, or a tokenizer
            that llama.cpp has no name for.
    """
    del calibration  # these types are rounded by themselves
    model = reference.load(parent)
    if not isinstance(model, LlamaForCausalLM) or _rotary(model)["rope_type"] != "default":
        raise ModelError(
            f"{parent}: {type(model).__name__} is not a Llama with plain rotary positions, which "
            "is all that is written as GGUF here; use the format openvino"
        )
    child.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(child / MODEL, "llama")
    _describe(writer, model, str(config.scheme))
    _add_tokenizer(writer, parent, model.config.vocab_size)
    _add_weights(writer, model, GGMLQuantizationType[str(config.scheme).upper()])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    candidate.copy_tokenizer(parent, child)
    shutil.copyfile(parent / "config.json", child / "config.json")


def next_logits(folder: Path) -> NextLogits:
    """The file as transformers reads it."""
    return reference.next_logits(_load(folder))


def restored(folder: Path) -> dict[str, Tensor]:
    """The file's weights as floats, by their names in the original."""
    return dict(_load(folder).named_parameters())


def _load(folder: Path) -> PreTrainedModel:
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=MODEL, dtype=torch.float32)
    loaded: PreTrainedModel = model.eval()
    return loaded


def _rotary(model: PreTrainedModel) -> dict[str, Any]:
    rotary: dict[str, Any] = model.config.rope_parameters
    return rotary


def _describe(writer: GGUFWriter, model: LlamaForCausalLM, scheme: str) -> None:
    config: Any = model.config
    writer.add_file_type(LlamaFileType[f"MOSTLY_{scheme.upper()}"])
    writer.add_quantization_version(QUANTIZATION_VERSION)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(_rotary(model)["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)


def _add_tokenizer(writer: GGUFWriter, parent: Path, size: int) -> None:
    content = json.loads((parent / "tokenizer.json").read_text(encoding="utf-8"))
    told = json.loads((parent / "tokenizer_config.json").read_text(encoding="utf-8"))
    added = content.get("added_tokens", [])
    kinds = {t["id"]: TokenType.CONTROL if t["special"] else TokenType.USER_DEFINED for t in added}
    ids = {**content["model"]["vocab"], **{token["content"]: token["id"] for token in added}}
    texts = {number: text for text, number in ids.items()}
    # An embedding may have more rows than there are tokens.
    tokens = [texts.get(number, f"[UNUSED{number}]") for number in range(size)]
    types = [
        kinds.get(n, TokenType.NORMAL if n in texts else TokenType.UNUSED) for n in range(size)
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_pre_tokenizer(content, parent))
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(pair) for pair in pairs(content["model"]["merges"])])
    writer.add_eos_token_id(end_token(parent))
    for name, add in (
        ("bos_token", writer.add_bos_token_id),
        ("pad_token", writer.add_pad_token_id),
        ("unk_token", writer.add_unk_token_id),
    ):
        if told.get(name) in ids:
            add(ids[told[name]])
    # A chat template writes every token that the model is to read.
    writer.add_add_bos_token(False)
    writer.add_chat_template((parent / "chat_template.jinja").read_text(encoding="utf-8"))


def _pre_tokenizer(content: dict[str, Any], parent: Path) -> str:
    """llama.cpp's name of how text is split before merging.

    Raises:
        ModelError: none that is known here; a wrong name would split text in silence.
    """
    split = content.get("pre_tokenizer") or {}
    steps = split.get("pretokenizers", [split])
    kinds = [step.get("type") for step in steps]
    plain = (
        content["model"]["type"] == "BPE"
        and content.get("normalizer") is None
        and kinds[-1:] == ["ByteLevel"]
        and steps[-1].get("use_regex", True)
        and not steps[-1].get("add_prefix_space")
    )
    if plain and len(steps) == 1:
        return "gpt-2"
    if plain and kinds == ["Digits", "ByteLevel"] and steps[0]["individual_digits"]:
        return "smollm"
    raise ModelError(
        f"{parent / 'tokenizer.json'}: llama.cpp has no name that is known here for this "
        "tokenizer; byte-level BPE, with digits apart or not, can be written. Use the format "
        "openvino"
    )


def _add_weights(writer: GGUFWriter, model: LlamaForCausalLM, chosen: GGMLQuantizationType) -> None:
    config: Any = model.config
    names: Any = get_tensor_name_map(MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, value in model.named_parameters():
        kind = name.split(".")[-2]
        weight = _pairs_together(value, heads[kind]) if kind in heads else value
        target = names.get_name(name, try_suffixes=(".weight", ".bias"))
        qtype = _type(name, weight, chosen)
        data = quants.quantize(weight.detach().numpy(), qtype)
        writer.add_tensor(target, data, raw_dtype=qtype)


def _pairs_together(weight: Tensor, heads: int) -> Tensor:
    """The two halves of each rotary pair side by side, as llama.cpp wants them."""
    halves = weight.reshape(heads, 2, len(weight) // heads // 2, *weight.shape[1:])
    return halves.transpose(1, 2).reshape(weight.shape).contiguous()


def _type(name: str, weight: Tensor, chosen: GGMLQuantizationType) -> GGMLQuantizationType:
    if weight.ndim == 1:
        return GGMLQuantizationType.F32
    if weight.shape[1] % BLOCK:
        return GGMLQuantizationType.F16
    return chosen if ".layers." in name else GGMLQuantizationType.Q8_0
