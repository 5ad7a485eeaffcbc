"""Settings of `quantize`: which engine's format, and how many bits a weight keeps.

quantize:
  small-int8: {from: distill/small, bits: 8}
  small-int4: {from: distill/small, bits: 4, corrections: [awq, scale_estimation], int4_ratio: 0.8,
               sensitivity: max_activation_variance, kv_cache: u8}
  small-w8a8: {from: distill/small, format: compressed_tensors, scheme: w8a8}
  small-gguf: {from: distill/small, format: gguf, scheme: q8_0}
"""

from typing import Final, Literal

from pydantic import ConfigDict, Field, model_validator

from tasks.config import CandidateName, Config

Format = Literal["openvino", "compressed_tensors", "gguf"]
Correction = Literal["awq", "scale_estimation", "gptq", "smoothquant"]
Sensitivity = Literal[
    "weight_quantization_error",
    "hessian_input_activation",
    "mean_activation_variance",
    "max_activation_variance",
    "mean_activation_magnitude",
]
Scheme = Literal["w8a8", "w4a16", "fp8", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]

CORRECTIONS: Final[dict[Scheme | None, tuple[frozenset[Correction], ...]]] = {
    None: (frozenset({"awq", "scale_estimation", "gptq"}),),
    "w8a8": (frozenset({"smoothquant", "gptq"}),),
    "w4a16": (frozenset({"awq"}), frozenset({"gptq"})),
}
"""What helps a scheme, None being openvino's 4 bits: any of a set together."""

SCHEMES: Final[dict[str, tuple[Scheme, ...]]] = {
    "compressed_tensors": ("w8a8", "w4a16", "fp8"),
    "gguf": ("q8_0", "q5_1", "q5_0", "q4_1", "q4_0"),
}

ENGINES: Final[dict[Format, tuple[str, ...]]] = {
    "openvino": ("openvino",),
    "compressed_tensors": ("vllm", "transformers"),
    "gguf": (),
}
"""Which engines of ours run a format; llama.cpp is none."""

UNCONVERTED: Final[tuple[str, ...]] = ("vllm", "transformers")
"""Which engines of ours run weights as training leaves them."""


class QuantizeConfig(Config):
    """One quantized variant."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    parent: CandidateName = Field(alias="from", description="Candidate to convert.")
    format: Format = Field(default="openvino", description="What serves it reads this format.")
    bits: Literal[32, 8, 4] | None = Field(
        default=None,
        description="openvino: bits a weight; 32 converts only. Embeddings keep 8 bits when it is "
        "4.",
    )
    scheme: Scheme | None = Field(
        default=None,
        description="compressed_tensors: w8a8 (integers), w4a16 or fp8 (for GPUs). gguf: q8_0, "
        "q5_1, q5_0, q4_1 or q4_0.",
    )
    group_size: int = Field(
        default=64, ge=16, le=1024, description="4 bits: weights that share one scale."
    )
    corrections: tuple[Correction, ...] = Field(
        default=(),
        description="4 bits in openvino: any of awq, scale_estimation, gptq. w8a8: smoothquant, "
        "gptq. w4a16: awq or gptq. All look at calibration rows.",
    )
    int4_ratio: float = Field(
        default=1.0, gt=0.0, le=1.0, description="4 bits: share of layers, the others keep 8."
    )
    sensitivity: Sensitivity = Field(
        default="weight_quantization_error",
        description="Which layers keep 8 bits where int4_ratio is below 1; all but the first look "
        "at calibration rows.",
    )
    kv_cache: Literal["engine", "f32", "u8", "u4"] = Field(
        default="engine",
        description="openvino: type of cached keys and values; engine: f32 when bits is 32, else "
        "what OpenVINO chooses for the processor.",
    )
    calibration_rows: int = Field(
        default=128, ge=1, le=4096, description="Training rows that calibration looks at."
    )
    error_rows: int = Field(
        default=2,
        ge=0,
        le=512,
        description="Training rows on which the error of every layer is measured; 0: not at all.",
    )
    parity_rows: int = Field(
        default=32, ge=1, le=512, description="Validation prompts compared with the parent."
    )

    @model_validator(mode="after")
    def _format_reads_it(self) -> "QuantizeConfig":
        if self.format == "openvino":
            self._refuse("scheme", "openvino has bits instead")
            if self.bits is None:
                raise ValueError("bits: the format openvino needs 32, 8 or 4")
        else:
            for name in ("bits", "int4_ratio", "sensitivity", "kv_cache"):
                self._refuse(name, f"only openvino reads it, not {self.format}")
            if self.scheme not in SCHEMES[self.format]:
                raise ValueError(f"scheme: {self.format} has {', '.join(SCHEMES[self.format])}")
        able = CORRECTIONS.get(self.scheme, (frozenset(),))
        if not any(together.issuperset(self.corrections) for together in able):
            sets = " or ".join(", ".join(sorted(together)) or "none" for together in able)
            raise ValueError(f"corrections: here there can be {sets}")
        return self

    def _refuse(self, name: str, why: str) -> None:
        # By value: parameters that were written and read back name every field.
        if getattr(self, name) != type(self).model_fields[name].default:
            raise ValueError(f"{name}: {why}")

    @property
    def calibrated(self) -> bool:
        """Whether the conversion looks at calibration rows."""
        by_data = self.int4_ratio < 1.0 and self.sensitivity != "weight_quantization_error"
        if self.format == "openvino":
            return self.bits == 4 and (bool(self.corrections) or by_data)
        return bool(self.corrections)
