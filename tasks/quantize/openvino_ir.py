"""Converts a Hugging Face causal language model to OpenVINO IR, its weights in 32, 8 or 4 bits.

    convert(Path("models/distill/small"), Path("models/quantize/small-int8"), config, rows)

The result is what OpenVINO GenAI expects: a stateful model (key/value caches are variables,
gathered by `beam_idx`) and the tokenizer as a model of its own.
"""

import json
import math
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from openvino import opset13
from openvino._offline_transformations import apply_make_stateful_transformation
from openvino_tokenizers import convert_tokenizer
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.cache_utils import DynamicCache, DynamicLayer

from tasks import candidate
from tasks.errors import ModelError
from tasks.quantize import reference
from tasks.quantize.config import QuantizeConfig
from tasks.quantize.reference import Logits, NextLogits

MODEL = "openvino_model.xml"
TOKENIZER = "openvino_tokenizer.xml"
DETOKENIZER = "openvino_detokenizer.xml"
PROPERTIES = "openvino_properties.json"
"""Plugin properties that the engine compiles the model with."""

EXACT = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
"""An unquantized model is computed as it was trained, whatever the processor would prefer."""

DEFAULT_GROUP = 32
"""Values of an activation that share a scale unless told otherwise."""

ORIGIN = "self.model."
"""What the converter puts before a weight's name."""

DECOMPRESSION = ("Convert", "Subtract", "Multiply", "Reshape")
"""What stands between whole numbers and the matrix product that reads them."""


def convert(
    parent: Path, child: Path, config: QuantizeConfig, calibration: Sequence[Sequence[int]] = ()
) -> None:
    """Write the model of folder `parent` into folder `child` in the engine's format.

    `calibration` are the token ids of rows that data-aware compression looks at.

    Raises:
        ModelError: the parent's architecture keeps another cache than one key and one value
            tensor a layer, or the size of a group does not divide a matrix.
    """
    torch_model = reference.load(parent)
    if config.bits == 4:
        reference.require_groups(torch_model, config.group_size)
    model = _compress(to_openvino(torch_model), config, calibration)
    child.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, child / MODEL, compress_to_fp16=False)
    _convert_tokenizer(parent, child)
    candidate.copy_tokenizer(parent, child)
    shutil.copyfile(parent / "config.json", child / "config.json")
    properties = dict(EXACT) if config.bits == 32 else _quantized_properties(torch_model)
    if config.kv_cache != "engine":
        properties["KV_CACHE_PRECISION"] = config.kv_cache
    (child / PROPERTIES).write_text(json.dumps(properties, indent=2) + "\n", encoding="utf-8")


def next_logits(folder: Path) -> NextLogits:
    """The converted model, compiled with the properties that the engine gives it."""
    properties = json.loads((folder / PROPERTIES).read_text(encoding="utf-8"))
    compiled = ov.Core().compile_model(folder / MODEL, "CPU", properties)

    def read(ids: Sequence[int]) -> Logits:
        request = compiled.create_infer_request()
        request.infer(_inputs(ids))
        return np.array(request.get_tensor("logits").data[0, -1], dtype=np.float64)

    return read


def restored(folder: Path) -> dict[str, Tensor]:
    """The converted model's weights as floats (out, in), by their names in the original."""
    model = ov.Core().read_model(folder / MODEL)
    found = {}
    for node in model.get_ops():
        name = node.get_friendly_name()
        if node.get_type_name() == "Constant" and name.startswith(ORIGIN) and "/" not in name:
            found[name.removeprefix(ORIGIN)] = torch.from_numpy(_decompressed(node))
    return found


def _decompressed(constant: ov.Node) -> NDArray[np.float32]:
    """What the arithmetic behind a stored constant makes of it; floats are as they stand."""
    node = constant
    while constant.get_element_type().is_integral():
        readers = [port.get_node() for port in node.output(0).get_target_inputs()]
        if len(readers) != 1 or readers[0].get_type_name() not in DECOMPRESSION:
            break
        node = readers[0]
    part = ov.Model([node.output(0)], [])
    compiled = ov.Core().compile_model(part, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    [value] = compiled({}).values()
    return np.array(value, dtype=np.float32)


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


def _compress(
    model: ov.Model, config: QuantizeConfig, calibration: Sequence[Sequence[int]]
) -> ov.Model:
    if config.bits == 32:
        return model
    if config.bits == 8:
        return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM)
    looked_at = [_inputs(ids) for ids in calibration] if config.calibrated else []
    return nncf.compress_weights(
        model,
        mode=nncf.CompressWeightsMode.INT4_SYM,
        ratio=config.int4_ratio,
        group_size=config.group_size,
        backup_mode=nncf.BackupMode.INT8_ASYM,
        dataset=nncf.Dataset(looked_at) if looked_at else None,
        subset_size=max(1, len(looked_at)),
        sensitivity_metric=nncf.SensitivityMetric(config.sensitivity),
        awq="awq" in config.corrections,
        scale_estimation="scale_estimation" in config.corrections,
        gptq="gptq" in config.corrections,
    )


def _inputs(ids: Sequence[int]) -> dict[str, NDArray[Any]]:
    tokens = np.array([list(ids)], dtype=np.int64)  # (1, T)
    return {
        "input_ids": tokens,
        "attention_mask": np.ones_like(tokens),
        "position_ids": np.arange(tokens.shape[1], dtype=np.int64)[None],
        "beam_idx": np.zeros(1, dtype=np.int32),
    }


def _convert_tokenizer(parent: Path, child: Path) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(parent, trust_remote_code=False)
    models: Any = convert_tokenizer(tokenizer, with_detokenizer=True, add_special_tokens=False)
    for model, name in zip(models, (TOKENIZER, DETOKENIZER), strict=True):
        ov.save_model(model, child / name)
