"""Which recipes a search may try.

search:
  chains: [[prune/depth16, distill/small, prune/small, quantize/small-int8]]
  optional: [prune/depth16, distill/small, prune/small]
  values:
    prune.depth16.keep_layers: [20, 16, 12]
    quantize.small-int8.bits: [32, 8, 4]
  idle: {quantize.small-int8.bits: 32}
  brief: {distill.small.max_steps: 75}

A chain names variants of the workload in the order in which they are applied; they are the levers.
"""

from collections.abc import Iterator

from pydantic import Field, model_validator

from tasks.config import CandidateName, Config

Value = bool | int | float | str
Chain = tuple[CandidateName, ...]


def owner(key: str) -> str:
    """The lever that a dotted key belongs to: prune.depth16.keep_layers is of prune/depth16."""
    return "/".join(key.split(".")[:2])


class SearchConfig(Config):
    """Levers, the order and strength that each may have, and how long to look."""

    chains: tuple[Chain, ...] = Field(
        min_length=1, description="Levers in the order in which a recipe applies them."
    )
    optional: tuple[CandidateName, ...] = Field(
        default=(), description="Levers that a recipe may leave out."
    )
    values: dict[str, tuple[Value, ...]] = Field(
        default={}, description="What a setting of a lever may be, by its dotted key."
    )
    idle: dict[str, Value] = Field(
        default={},
        description="Settings with which a lever that cannot be left out does nothing: every other "
        "lever is then tried alone.",
    )
    brief: dict[str, Value] = Field(
        default={}, description="Settings of a first, cheap look; finalists get the workload's own."
    )
    trials: int = Field(default=24, ge=1, le=1000, description="Recipes that are looked at.")
    finalists: int = Field(default=6, ge=1, le=100, description="Of these, tried in full.")
    hours: float = Field(default=1.0, gt=0, le=1000, description="Machine time, then it ends.")
    rows: int = Field(default=300, ge=1, description="Validation rows that a recipe is judged by.")

    @model_validator(mode="after")
    def _is_whole(self) -> "SearchConfig":
        problems = [*self._levers(), *self._keys()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _levers(self) -> Iterator[str]:
        for chain in self.chains:
            if not chain:
                yield "chains: each names at least one lever"
            elif len(set(chain)) != len(chain):
                yield f"chains: {' > '.join(chain)} names a lever twice; give it a second variant"
            elif chain[-1] in self.optional:
                yield f"optional: {chain[-1]} ends a chain: it makes what the engine runs"
        known = {lever for chain in self.chains for lever in chain}
        for lever in self.optional:
            if lever not in known:
                yield f"optional: {lever} is in no chain"

    def _keys(self) -> Iterator[str]:
        known = {lever for chain in self.chains for lever in chain}
        for section in ("values", "idle", "brief"):
            for key in getattr(self, section):
                if owner(key) not in known or key.count(".") < 2:
                    yield f"{section}: {key} is no <stage>.<variant>.<setting> of a lever"
        for key in {*self.brief} & {*self.values}:
            yield f"brief: {key} stands in values too, so a brief look would hide its choice"
        for key, choices in self.values.items():
            if len(set(choices)) != len(choices) or not choices:
                yield f"values: {key} needs choices that differ from each other"
