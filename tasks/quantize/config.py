"""Settings of `quantize`: which engine's format, and how many bits a weight keeps.

quantize:
  small-int8: {from: distill/small, format: openvino, bits: 8}
"""

from typing import Literal

from pydantic import ConfigDict, Field

from tasks.config import CandidateName, Config


class QuantizeConfig(Config):
    """One quantized variant."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    parent: CandidateName = Field(alias="from", description="Candidate to convert.")
    format: Literal["openvino"] = Field(default="openvino", description="Engine that serves it.")
    bits: Literal[32, 8, 4] = Field(
        description="Bits a weight; 32 converts only. Embeddings keep 8 bits when it is 4."
    )
    group_size: int = Field(
        default=64, ge=16, le=1024, description="4 bits: weights that share one scale."
    )
    int4_ratio: float = Field(
        default=1.0, gt=0.0, le=1.0, description="4 bits: share of layers, the others keep 8."
    )
    parity_rows: int = Field(
        default=32, ge=1, le=512, description="Validation prompts compared with the parent."
    )
