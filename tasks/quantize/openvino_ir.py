"""Converts a Hugging Face causal language model to OpenVINO IR, its weights in 32, 8 or 4 bits.

    convert(Path("models/distill/small"), Path("models/quantize/small-int8"), config, prompts)

The result is what OpenVINO GenAI expects: a stateful model (key/value caches are variables,
gathered by `beam_idx`) and the tokenizer as a model of its own.
"""

import json
import math
import shutil
import warnings
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino as ov
import torch
from openvino import opset13
from openvino._offline_transformations import apply_make_stateful_transformation
from openvino_tokenizers import convert_tokenizer
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast
from transformers.cache_utils import DynamicCache, DynamicLayer

from tasks import candidate
from tasks.errors import ModelError
from tasks.quantize.config import QuantizeConfig

MODEL = "openvino_model.xml"
TOKENIZER = "openvino_tokenizer.xml"
DETOKENIZER = "openvino_detokenizer.xml"
PROPERTIES = "openvino_properties.json"
"""Plugin properties that the engine compiles the model with."""

EXACT = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
"""An unquantized model is computed as it was trained, whatever the processor would prefer."""

DEFAULT_GROUP = 32
"""Values of an activation that share a scale unless told otherwise."""


def convert(parent: Path, child: Path, config: QuantizeConfig) -> None:
    """Write the model of folder `parent` into folder `child` in the engine's format.

    Raises:
        ModelError: the parent's architecture keeps another cache than one key and one value
            tensor a layer.
    """
    torch_model = load_reference(parent)
    model = _compress(to_openvino(torch_model), config)
    child.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, child / MODEL, compress_to_fp16=False)
    _convert_tokenizer(parent, child)
    candidate.copy_tokenizer(parent, child)
    shutil.copyfile(parent / "config.json", child / "config.json")
    properties = EXACT if config.bits == 32 else _quantized_properties(torch_model)
    (child / PROPERTIES).write_text(json.dumps(properties, indent=2) + "\n", encoding="utf-8")


def _quantized_properties(model: nn.Module) -> dict[str, str]:
    """How the engine is to compute a model whose weights are quantized.

    The inputs of matrices become 8 bits on the way, so that integers are multiplied, with a scale
    for every group of values. A group that does not divide a matrix's input leaves that matrix to
    float arithmetic; the default, 32, spends much of the time on scales. Hence the widest group
    that divides all. What stays unquantized is computed in 32 bits: in bf16, the default where the
    processor has it, the logits of two labels were seen to tie.
    """
    properties = {"INFERENCE_PRECISION_HINT": "f32"}
    widths = [part.in_features for part in model.modules() if isinstance(part, nn.Linear)]
    group = math.gcd(*widths)
    if group % DEFAULT_GROUP == 0:
        properties["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = str(group)
    return properties


def load_reference(folder: Path) -> PreTrainedModel:
    """The model as it was trained, in float32."""
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.float32,
        attn_implementation="sdpa",
        trust_remote_code=False,
        use_safetensors=True,
    )
    reference: PreTrainedModel = model.eval()
    return reference


def to_openvino(model: PreTrainedModel) -> ov.Model:
    """A stateful OpenVINO model with inputs input_ids, attention_mask, position_ids, beam_idx.

    Raises:
        ModelError: see `convert`.
    """
    caches = _cache_shapes(model)
    names = [f"{kind}.{layer}" for layer in range(len(caches)) for kind in ("key", "value")]
    # Two cached and three new tokens: lengths of 1 would be taken for constants while tracing.
    batch, past, new = 2, 2, 3
    example = {
        "input_ids": torch.ones((batch, new), dtype=torch.int64),
        "attention_mask": torch.ones((batch, past + new), dtype=torch.int64),
        "position_ids": torch.arange(past, past + new).repeat(batch, 1),
        "caches": [
            torch.zeros((batch, heads, past, width))
            for heads, width in caches
            for _ in ("key", "value")
        ],
    }
    with torch.no_grad(), warnings.catch_warnings():
        # Tracing warns of every shape that is checked in Python; the parity report is the proof.
        warnings.simplefilter("ignore")
        converted = ov.convert_model(_WithCaches(model), example_input=example)
    _name_ports(converted, names)
    _shape_inputs(converted, [shape for shape in caches for _ in ("key", "value")])
    _gather_by_beam(converted, len(names))
    apply_make_stateful_transformation(
        converted, {f"past.{name}": f"present.{name}" for name in names}
    )
    _start_states_empty(converted)
    return converted


class _WithCaches(nn.Module):
    """The model as a function of plain tensors."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor,
        caches: list[torch.Tensor],
    ) -> tuple[torch.Tensor, ...]:
        """Logits (B, T, V), then key and value of every layer (B, H, past + T, D)."""
        cache = DynamicCache()
        # A layer without a tensor would concatenate an empty one, which cannot be traced.
        layers = [_filled(k, v) for k, v in zip(caches[::2], caches[1::2], strict=True)]
        cache.layers = list(layers)
        output = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=True,
        )
        present = [t for layer in layers for t in (layer.keys, layer.values)]
        return (output.logits, *present)


def _filled(key: torch.Tensor, value: torch.Tensor) -> DynamicLayer:
    layer = DynamicLayer()
    layer.dtype, layer.device = key.dtype, key.device
    layer.keys, layer.values = key, value
    layer.is_initialized = True
    return layer


def _cache_shapes(model: PreTrainedModel) -> list[tuple[int, int]]:
    """(key/value heads, width of a head) of every layer, as the model itself fills them."""
    with torch.no_grad():
        output = model(input_ids=torch.ones((1, 2), dtype=torch.int64), use_cache=True)
    layers = getattr(output.past_key_values, "layers", [])
    if not layers or any(type(layer) is not DynamicLayer for layer in layers):
        raise ModelError(
            f"{type(model).__name__} keeps another cache than a key and a value a layer: "
            "conversion to OpenVINO covers models with full attention in every layer"
        )
    return [(layer.keys.shape[1], layer.keys.shape[3]) for layer in layers]


def _name_ports(model: ov.Model, names: list[str]) -> None:
    inputs = ["input_ids", "attention_mask", "position_ids", *(f"past.{n}" for n in names)]
    outputs = ["logits", *(f"present.{n}" for n in names)]
    for port, name in zip(model.inputs, inputs, strict=True):
        port.get_tensor().set_names({name})
        port.get_node().set_friendly_name(name)
    for port, name in zip(model.outputs, outputs, strict=True):
        port.get_tensor().set_names({name})


def _shape_inputs(model: ov.Model, caches: list[tuple[int, int]]) -> None:
    for port in model.inputs[:3]:
        port.get_node().set_partial_shape(ov.PartialShape([-1, -1]))
    for port, (heads, width) in zip(model.inputs[3:], caches, strict=True):
        port.get_node().set_partial_shape(ov.PartialShape([-1, heads, -1, width]))
    model.validate_nodes_and_infer_types()


def _gather_by_beam(model: ov.Model, count: int) -> None:
    """Put a Gather by beam_idx (B,) behind each of the last `count` inputs."""
    caches = model.inputs[-count:]
    beam = opset13.parameter(ov.PartialShape([-1]), dtype=np.int32, name="beam_idx")
    beam.output(0).get_tensor().add_names({"beam_idx"})
    for cache in caches:
        readers = cache.get_target_inputs()
        gathered = opset13.gather(cache, beam, opset13.constant(0))
        for reader in readers:
            reader.replace_source_output(gathered.output(0))
    model.add_parameters([beam])
    model.validate_nodes_and_infer_types()


def _start_states_empty(model: ov.Model) -> None:
    """Give every state its initial value: as many sequences as input_ids, no tokens."""
    ids = model.input("input_ids")
    batch = opset13.gather(
        opset13.shape_of(ids, output_type="i64"), opset13.constant([0]), opset13.constant(0)
    )
    for node in model.get_ops():
        if node.get_type_name() != "ReadValue":
            continue
        _, heads, _, width = node.get_output_partial_shape(0)
        rest = [np.array([n], dtype=np.int64) for n in (heads.get_length(), 0, width.get_length())]
        shape = opset13.concat([batch, *(opset13.constant(n) for n in rest)], axis=0)
        empty = opset13.broadcast(opset13.constant(0.0, dtype=np.float32), shape)
        node.set_arguments([empty])
    model.validate_nodes_and_infer_types()


def _compress(model: ov.Model, config: QuantizeConfig) -> ov.Model:
    if config.bits == 32:
        return model
    if config.bits == 8:
        return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM)
    return nncf.compress_weights(
        model,
        mode=nncf.CompressWeightsMode.INT4_SYM,
        ratio=config.int4_ratio,
        group_size=config.group_size,
        backup_mode=nncf.BackupMode.INT8_ASYM,
    )


def _convert_tokenizer(parent: Path, child: Path) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(parent, trust_remote_code=False)
    models: Any = convert_tokenizer(tokenizer, with_detokenizer=True, add_special_tokens=False)
    for model, name in zip(models, (TOKENIZER, DETOKENIZER), strict=True):
        ov.save_model(model, child / name)
