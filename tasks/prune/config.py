"""Settings of one pruned variant.

depth16: {from: finetune/lora, method: depth, keep_layers: 16, blocks: ends}
narrow: {from: finetune/lora, importance: lora, method: neurons, keep_neurons: 768}
half: {from: finetune/lora, importance: lora, method: combined, to_parameters: 0.5}
quick: {from: finetune/lora, importance: lora, method: combined, to_latency: 0.5}
small: {from: distill/small, method: vocabulary, keep_tokens: 16384}
"""

from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from tasks.config import CandidateName, Config, VariantName

Method = Literal["depth", "neurons", "heads", "channels", "combined", "vocabulary"]
Blocks = Literal["influential", "least_loss", "ends"]
Axis = Literal["blocks", "neurons", "groups", "channels"]

SPARSE = ("unstructured", "2:4")
NO_GAIN = (
    "zeros scattered over a matrix make nothing cheaper here: the engines multiply and store them "
    "like all other numbers. Take out whole parts (neurons, heads, channels, depth, combined), or "
    "store fewer bits (quantize)"
)
"""Why sparsity is refused, and what to do."""

AMOUNTS = {
    "depth": ("keep_layers",),
    "neurons": ("keep_neurons",),
    "heads": ("keep_groups",),
    "channels": ("keep_channels",),
    "combined": ("to_parameters", "to_latency"),
}
"""Fields of which one says how much of a model stays, by method; vocabulary has a default."""

ONLY = {
    "keep_tokens": ("vocabulary",),
    "blocks": ("depth", "combined"),
    "axes": ("combined",),
    "step": ("combined",),
}
"""Further fields that only some methods read."""


class PruneConfig(Config):
    """What to take out of a model. Shapes stay alike in every block, so that engines load them."""

    parent: CandidateName = Field(alias="from", description="Candidate to prune.")
    method: Method = Field(
        description="What goes. depth: whole blocks. neurons: of the MLP. heads: of attention, in "
        "whole key/value groups. channels: of the residual stream. combined: all of these, to a "
        "number of parameters or a latency. vocabulary: tokens that the workload never uses."
    )
    importance: VariantName | None = Field(
        default=None, description="Variant of importance that tells what can be spared."
    )
    keep_layers: int | None = Field(default=None, ge=1, description="depth: blocks that stay.")
    keep_neurons: int | None = Field(
        default=None,
        ge=1,
        description="neurons: how many stay in each block; engines like multiples of 32.",
    )
    keep_groups: int | None = Field(
        default=None,
        ge=1,
        description="heads: key/value heads that stay in each block, each with its query heads.",
    )
    keep_channels: int | None = Field(
        default=None,
        ge=1,
        description="channels: how many stay; engines like multiples of 32.",
    )
    to_parameters: float | None = Field(
        default=None,
        gt=0,
        description="combined: parameters that may stay, embeddings too: a share of the parent's "
        "below 1, else their number.",
    )
    to_latency: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="combined: time that a forward pass may take, as a share of the parent's. It "
        "is measured where the stage runs, so another machine may choose another shape.",
    )
    keep_tokens: int = Field(
        default=16384,
        ge=256,
        description="vocabulary: tokens that stay, more where the training rows use more.",
    )
    blocks: Blocks = Field(
        default="influential",
        description="depth, combined: which blocks stay. influential: those that turn what passes "
        "through them the most. least_loss: those without which the loss is highest. ends: the "
        "first ones and the last.",
    )
    axes: tuple[Axis, ...] = Field(
        default=get_args(Axis), min_length=1, description="combined: what there may be fewer of."
    )
    step: int = Field(
        default=32, ge=1, description="combined: neurons and channels stay in multiples of this."
    )
    reads: str | None = Field(
        default=None, description="What it reads beside its parent; filled in by a run."
    )

    @model_validator(mode="before")
    @classmethod
    def _tell_what_is_read(cls, given: Any) -> Any:
        """DVC has no conditions: it is told the one thing that a variant depends on."""
        if not isinstance(given, dict):
            return given
        if given.get("method") in SPARSE:
            raise ValueError(f"method {given['method']}: {NO_GAIN}")
        name = given.get("importance")
        reads = f"data/importance/{name}" if name else "data/prepared/train.jsonl"
        return {**given, "reads": reads}

    @model_validator(mode="after")
    def _fits_its_method(self) -> "PruneConfig":
        for method, fields in AMOUNTS.items():
            given = [field for field in fields if getattr(self, field) is not None]
            if method == self.method and len(given) != 1:
                one = " or ".join(fields)
                raise ValueError(f"method {method} needs {one}: how much stays")
            if method != self.method and given:
                raise ValueError(f"{given[0]} is for method {method}: leave it out")
        for field, methods in ONLY.items():
            default = type(self).model_fields[field].default
            if self.method not in methods and getattr(self, field) != default:
                raise ValueError(f"{field} is for {', '.join(methods)}: leave it out")
        if self.needs_importance != (self.importance is not None):
            how = f"method {self.method}"
            how += f" with blocks: {self.blocks}" if self.method == "depth" else ""
            needs = "needs importance: name a variant of it"
            none = "asks for no importance: leave it out"
            raise ValueError(f"{how} {needs if self.needs_importance else none}")
        return self

    @property
    def needs_importance(self) -> bool:
        """Whether scores tell what goes; the first blocks and the last are known without."""
        return self.method != "vocabulary" and (self.method, self.blocks) != ("depth", "ends")
