"""What a search has found, as reports/search.json.

{"workload": "sentiment", "budget": "quick", "seconds": 2810.4, "chosen": "small-int8-5f0c1a7e",
 "frontier": ["small-int4-…", …], "hypervolume": {"all": 0.61, "alone": {"prune/depth16": 0.2, …}},
 "tried": [{"name": "small-int8-5f0c1a7e", "recipe": "prune/depth16 (keep_layers 12) > …", …}, …]}
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tasks import paths, records
from tasks.candidates_table import Evaluation
from tasks.config import Config
from tasks.gate import selection
from tasks.gate.selection import Evaluated, Selection
from tasks.records import Prediction
from tasks.search import frontier
from tasks.search.config import SearchConfig
from tasks.search.frontier import Point
from tasks.search.recipe import Recipe, found
from tasks.workload import Budget, Workload


class Tried(Config):
    """One recipe and what came of it; quality and price of 1,000 requests with their intervals.

    Attributes:
        lever: the one that was tried alone, if one was.
        name: of the evaluated candidate; None where the recipe could not be made.
        reason: why it could not.
    """

    phase: str
    lever: str | None
    recipe: str
    name: str | None
    seconds: float
    quality: float | None = None
    quality_low: float | None = None
    quality_high: float | None = None
    price: float | None = None
    size_mb: float | None = None
    decision: str | None = None
    reason: str | None = None

    @property
    def point(self) -> Point | None:
        """Where it lies, if it could be made."""
        if self.quality is None or self.price is None:
            return None
        return Point(self.quality, self.price)


class Hypervolume(Config):
    """What all recipes together win, and what each lever wins alone; see tasks/search/frontier."""

    all: float
    alone: dict[str, float]

    @property
    def ratio(self) -> float | None:
        """Of all recipes to the best single lever; None where no lever wins anything."""
        best = max(self.alone.values(), default=0.0)
        return self.all / best if best > 0 else None


class Outcome(Config):
    """Everything that a search measured, and which recipe it recommends."""

    workload: str
    budget: Budget
    currency: str
    seconds: float
    margin: float
    max_cost_ratio: float
    teacher: Tried
    tried: tuple[Tried, ...]
    frontier: tuple[str, ...]
    hypervolume: Hypervolume
    chosen: str | None


class Trial(NamedTuple):
    """A recipe with its evaluation, or with the reason why it could not be made."""

    phase: str
    lever: str | None
    recipe: Recipe
    seconds: float
    evaluation: Evaluation | None
    reason: str | None = None


def summarize(
    root: Path, workload: Workload, teacher: Evaluation, trials: Sequence[Trial]
) -> tuple[Outcome, Recipe | None]:
    """The outcome, and the recipe that the gate's own selection would put to the locked test."""
    made = {each.evaluation.name: each for each in trials if each.evaluation}
    choice = _choice(root, workload, teacher, [t.evaluation for t in made.values() if t.evaluation])
    told = {each.name: each.decision for each in choice.considered}
    tried = tuple(_tried(each, told) for each in trials)
    chosen = choice.chosen.report.name if choice.chosen else None
    outcome = Outcome(
        workload=workload.workload,
        budget=workload.budget,
        currency=teacher.cost.currency,
        seconds=sum(each.seconds for each in trials),
        margin=workload.gate.margin,
        max_cost_ratio=workload.gate.max_cost_ratio,
        teacher=_tried(Trial("teacher", None, Recipe(levers=()), 0.0, teacher), {}),
        tried=tried,
        frontier=_frontier(tried, made),
        hypervolume=_hypervolume(tried, teacher),
        chosen=chosen,
    )
    return outcome, made[chosen].recipe if chosen else None


def workload_file(
    workload: Workload, search: SearchConfig, recipe: Recipe, outcome: Outcome
) -> str:
    """A workload file with the teacher and the chosen recipe alone."""
    content = found(workload, search, recipe) | {
        "budgets": {name: {} for name in ("smoke", "quick", "full")}
    }
    head = [
        f"# {outcome.workload}, as a search of {outcome.seconds / 3600:.1f} machine hours found it",
        f"# at the budget {outcome.budget}, whose sizes stand here: {recipe}.",
        *(f"# {line}" for line in _measured(outcome)),
    ]
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    return "\n".join(head) + "\n" + text


def _measured(outcome: Outcome) -> Iterator[str]:
    chosen = next(each for each in outcome.tried if each.name == outcome.chosen)
    teacher = outcome.teacher
    if chosen.quality is None or chosen.price is None or not (teacher.quality and teacher.price):
        return
    yield (
        f"On validation {chosen.quality:.3f} against the teacher's {teacher.quality:.3f}, and "
        f"{teacher.price / chosen.price:.1f} times cheaper; the locked test was not looked at."
    )


def _choice(
    root: Path, workload: Workload, teacher: Evaluation, found: Sequence[Evaluation]
) -> Selection:
    with (root / paths.LOCKED_TEST).open("rb") as lines:
        items = sum(1 for _ in lines)
    known = [Evaluated(each, _predictions(root, each)) for each in found]
    return selection.choose(
        Evaluated(teacher, _predictions(root, teacher)), known, workload.gate, items
    )


def _predictions(root: Path, evaluation: Evaluation) -> list[Prediction]:
    file = root / paths.evaluation(evaluation.name) / paths.PREDICTIONS
    return list(records.read(file, Prediction))


def _tried(trial: Trial, decisions: Mapping[str, str]) -> Tried:
    told: dict[str, Any] = {
        "phase": trial.phase,
        "lever": trial.lever,
        "recipe": str(trial.recipe),
        "name": None,
        "seconds": round(trial.seconds, 1),
        "reason": trial.reason,
    }
    if trial.evaluation is not None:
        quality, price = trial.evaluation.quality, trial.evaluation.cost.per_1000_requests
        told |= {
            "name": trial.evaluation.name,
            "quality": quality.value,
            "quality_low": quality.low,
            "quality_high": quality.high,
            "price": price.value,
            "size_mb": trial.evaluation.size_mb,
            "decision": decisions.get(trial.evaluation.name),
        }
    return Tried.model_validate(told)


def _frontier(tried: Sequence[Tried], made: Mapping[str, Trial]) -> tuple[str, ...]:
    """Names, from cheap to dear; of those equally good and cheap the one of the fewest levers."""
    points = {each.name: each.point for each in tried if each.name and each.point}
    names = sorted(points, key=lambda name: (len(made[name].recipe.levers), name))
    front = frontier.best([points[name] for name in names], frontier.CLEARLY)
    return tuple(names[n] for n in front)


def _hypervolume(tried: Sequence[Tried], teacher: Evaluation) -> Hypervolume:
    own = Point(teacher.quality.value, teacher.cost.per_1000_requests.value)
    corner = frontier.corner(own)
    levers = dict.fromkeys(each.lever for each in tried if each.lever)
    return Hypervolume(
        all=_won([e.point for e in tried if e.point], corner),
        alone={
            lever: _won([e.point for e in tried if e.point and e.lever == lever], corner)
            for lever in levers
        },
    )


def _won(points: Sequence[Point], corner: Point) -> float:
    return round(frontier.hypervolume(points, corner), 6)
