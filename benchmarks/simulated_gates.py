"""How often the gate is wrong: thousands of gates whose truth is known.

    .venv/bin/python -m benchmarks.simulated_gates

The gate itself decides, on made-up answers: it chooses on validation, then looks at a locked test
once. Told are the shares of passes with exact binomial bounds (Clopper and Pearson 1934): false
ones where every candidate is truly at the margin, true ones where it is truly the teacher's equal.
Where slices are at the margin of slices, told is how often any of them raises a false alarm.
Writes benchmarks/results/simulated-gates.json.
"""

import json
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.release import RESULTS
from tasks import records, stage
from tasks.candidates_table import Evaluation, Role, Verdict
from tasks.config import Task
from tasks.errors import StillhouseError
from tasks.gate.config import GateConfig
from tasks.gate.decide import Run, decide
from tasks.gate.selection import Evaluated
from tasks.progress import Progress
from tasks.records import Prediction, Record

RESULT = RESULTS / "simulated-gates.json"
GATES = 2000
CONFIDENCE = 0.95
TEACHER_WRONG = 0.12
DISCORDANCE = 0.09
"""As in the demo: shares of items that the teacher gets wrong, and that one of two gets right."""

STEPS = 20
TEACHER_SCORE = 0.73
"""Of graded scores, each a multiple of 1/STEPS: the teacher's mean."""

REDRAWN = 0.3
"""Of graded scores: share of items on which a candidate does not answer as the teacher does."""

CONFIG = GateConfig(
    teacher="teacher",
    margin=0.03,
    confidence=CONFIDENCE,
    max_cost_ratio=0.5,
    # The least that may be asked: the more candidates are put to the test, the more can go wrong.
    min_pass_probability=0.5,
)


LABELS = ("no", "yes")

Scores = NDArray[np.int64]


class World(NamedTuple):
    """What is true, and how much of it a gate sees.

    Attributes:
        difference: every candidate's share of right answers minus the teacher's.
        candidates: how many there are, each wrong on items of its own.
        graded: scores lie between 0 and 1, as those of chrF do, instead of being one of the two.
        slices: parts of equal size, each with the same truth.
        config: the limits that the gate keeps to.
    """

    difference: float
    candidates: int = 1
    validation_items: int = 500
    test_items: int = 1500
    graded: bool = False
    slices: int = 1
    config: GateConfig = CONFIG

    @property
    def task(self) -> Task:
        """Labels that are equally frequent: macro-F1 then falls by what accuracy falls."""
        return Task(kind="classification", labels=LABELS, slices=("part",))

    def told(self) -> dict[str, Any]:
        """What the result says of it."""
        limits = self.config.model_dump(include={"margin", "guards", "slice_margin"})
        return self._asdict() | {"config": limits}


WIDE = CONFIG.model_copy(update={"margin": 0.1})
"""A metric that holds beyond doubt, so that the verdict is that of what stands beside it."""

ALARM = "ten slices at their margin"
GUARDED = "macro-F1 at its margin, one candidate"

WORLDS = {
    "at the margin, one candidate": World(-CONFIG.margin),
    "at the margin, ten candidates": World(-CONFIG.margin, candidates=10),
    "at the margin, one candidate, graded scores": World(-CONFIG.margin, graded=True),
    GUARDED: World(
        -CONFIG.margin, config=WIDE.model_copy(update={"guards": {"macro_f1": CONFIG.margin}})
    ),
    # So few validation items that no slice is judged by them.
    ALARM: World(
        -CONFIG.margin,
        validation_items=190,
        slices=10,
        config=WIDE.model_copy(update={"slice_margin": CONFIG.margin}),
    ),
    "equal to the teacher": World(0.0),
    "equal to the teacher, graded scores": World(0.0, graded=True),
    "equal to the teacher, 50 test items": World(0.0, test_items=50),
}


def main(arguments: list[str]) -> None:
    """Simulate every world, print and write; takes no arguments."""
    if arguments:
        raise StillhouseError("usage: python -m benchmarks.simulated_gates (no arguments)")
    result = {
        name: world.told() | summary(simulate(world, GATES)) for name, world in WORLDS.items()
    }
    records.write_report(RESULT, result)
    print(json.dumps(result, indent=2))


def simulate(world: World, gates: int, seed: int = 0) -> Counter[Verdict]:
    """The verdicts of `gates` independent gates in one world."""
    generator = np.random.default_rng(seed)
    verdicts: Counter[Verdict] = Counter()
    progress = Progress("simulate", gates)
    with tempfile.TemporaryDirectory() as folder:
        test = Path(folder) / "test.jsonl"
        records.write(test, _items(world.test_items))
        for _ in range(gates):
            verdicts[_gate(world, test, generator)] += 1
            progress.advance()
    return verdicts


def summary(verdicts: Counter[Verdict]) -> dict[str, Any]:
    """Counts, and the shares of passes and of failures with their exact intervals."""
    shares = {"passes": _share(verdicts, "pass"), "failures": _share(verdicts, "fail")}
    return {"gates": verdicts.total(), "verdicts": dict(verdicts), **shares}


def _share(verdicts: Counter[Verdict], verdict: Verdict) -> dict[str, float]:
    gates = verdicts.total()
    exact = stats.binomtest(verdicts[verdict], gates).proportion_ci(CONFIDENCE, method="exact")
    return {"value": verdicts[verdict] / gates, "low": exact.low, "high": exact.high}


def _gate(world: World, test: Path, generator: np.random.Generator) -> Verdict:
    names = ["teacher", *(f"candidate-{n}" for n in range(world.candidates))]
    seen = _scores(world, world.validation_items, generator)  # (1 + C, V)
    locked = dict(zip(names, _scores(world, world.test_items, generator), strict=True))
    # All cost the same, so that the gate is free to take whichever looks best by name alone.
    evaluated = {
        name: Evaluated(
            _evaluation(name, "teacher" if name == "teacher" else "candidate"),
            _answers(row, world.slices),
        )
        for name, row in zip(names, seen, strict=True)
    }
    run = Run("simulated", "quick", world.task, evaluated, test, data_hash="")
    decision = decide(run, world.config, lambda side, _: _answers(locked[side.name], world.slices))
    return decision.report.verdict


def _scores(world: World, items: int, generator: np.random.Generator) -> Scores:
    """What everyone scores on every item, in steps, (1 + C, items), the teacher first."""
    if world.graded:
        return _graded(world, items, generator)
    gain, loss = (DISCORDANCE + world.difference) / 2, (DISCORDANCE - world.difference) / 2
    teacher = generator.random(items) >= TEACHER_WRONG
    differs = np.where(teacher, loss / (1 - TEACHER_WRONG), gain / TEACHER_WRONG)
    flipped = generator.random((world.candidates, items)) < differs
    return STEPS * np.vstack([teacher, teacher ^ flipped]).astype(np.int64)


def _graded(world: World, items: int, generator: np.random.Generator) -> Scores:
    teacher = generator.binomial(STEPS, TEACHER_SCORE, items)
    size = (world.candidates, items)
    mean = TEACHER_SCORE + world.difference / REDRAWN
    redrawn = generator.binomial(STEPS, mean, size)
    return np.vstack([teacher, np.where(generator.random(size) < REDRAWN, redrawn, teacher)])


def _answers(steps: NDArray[np.int64], slices: int) -> list[Prediction]:
    return [_prediction(item, int(step), slices) for item, step in enumerate(steps)]


@cache
def _prediction(item: int, step: int, slices: int) -> Prediction:
    reference, other = LABELS[item % 2], LABELS[1 - item % 2]
    return Prediction(
        id=f"{item:05}",
        reference=reference,
        answer=reference if step == STEPS else other,
        score=step / STEPS,
        # Not by the remainder of 2: both labels belong to every slice.
        metadata={"part": str(item // 2 % slices)},
    )


def _items(count: int) -> list[Record]:
    return [
        Record(id=f"{item:05}", group="", fields={}, messages=[], prompt="", reference="yes")
        for item in range(count)
    ]


def _evaluation(name: str, role: Role) -> Evaluation:
    """Costs and quality are not what is simulated: all candidates cost a tenth of the teacher."""
    cost = 1.0 if role == "teacher" else 0.1
    return Evaluation.model_validate(
        {
            "name": name,
            "candidate": name,
            "engine": "simulated",
            "role": role,
            "quality": {"n": 1, "value": 0.0, "low": 0.0, "high": 0.0},
            "performance": {
                "requests_per_second": {"value": 1.0, "low": None, "high": None},
                "latency_ms": {"p50": 1.0, "p95": 1.0},
            },
            "cost": {
                "price_per_hour": 1.0,
                "per_1000_requests": {"value": cost, "low": cost, "high": cost},
                "repeats": [cost, cost],
            },
        }
    )


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
