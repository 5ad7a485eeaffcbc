"""Which recipe comes next: the search's memory, on disk after every step.

    study = Study(Path("search.log"), config)
    while (turn := study.next(teacher=Point(quality=0.91, price=0.0017))) is not None:
        study.tell(turn, Point(quality=0.9, price=0.0002), seconds=95.0)

Every lever alone comes first, then all together that won something alone, then recipes that
Optuna's tree-structured Parzen estimator proposes (Ozaki et al. 2022, JAIR 73:1209, for several
goals), each by a brief look; at last the finalists in full. What comes next depends on what was
told alone, so a search that was killed goes on as it would have.
"""

import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import optuna
from optuna.samplers import RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from tasks.search import frontier
from tasks.search.config import Chain, SearchConfig, owner
from tasks.search.frontier import Point
from tasks.search.recipe import (
    ALIKE,
    Origins,
    Recipe,
    alone,
    brief,
    in_full,
    of_chain,
    together,
    unique,
)

Phase = Literal["alone", "brief", "full"]
RECIPE, PHASE, LEVER, SECONDS, REASON = "recipe", "phase", "lever", "seconds", "reason"
"""What a trial of Optuna's is told of."""

SECONDS_PER_HOUR = 3600
LOOKING = 0.5
"""Share of the hours that levers alone leave, after which no brief look begins: finalists need time
too."""

DRAWS = 50
"""Proposals in a row that were all tried already: then there is nothing new to find."""

OWN = 5
"""Of these the estimator's own; where it insists on what it knows, chance takes over."""


class Turn(NamedTuple):
    """What to try now.

    Attributes:
        number: of the trial that waits for its result.
        lever: which lever is tried alone, if one is.
    """

    number: int
    phase: Phase
    recipe: Recipe
    lever: str | None = None


class Told(NamedTuple):
    """What became of a recipe; no point but a reason where it could not be made."""

    turn: Turn
    point: Point | None
    seconds: float
    reason: str | None = None


class Study:
    """A search that outlives its process; chains that are `composed` have no lever to try alone.

    `origins` tell chains apart that do not start from the same.
    """

    def __init__(
        self,
        file: Path,
        config: SearchConfig,
        composed: Collection[Chain] = (),
        origins: Origins = ALIKE,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._config, self._origins = config, origins
        self._singles = alone(config, composed, origins)
        self._study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(file))),
            study_name="search",
            directions=["maximize", "minimize"],
            load_if_exists=True,
        )

    def next(self, teacher: Point) -> Turn | None:
        """What to try now, to win over the teacher; None when time or recipes are used up."""
        for trial in self._study.get_trials(states=[TrialState.RUNNING]):
            if RECIPE in trial.user_attrs:  # an earlier process was ended in the middle of it
                return _turn(trial)
            self._study.tell(trial.number, state=TrialState.FAIL)
        told = self.told()
        spent = _hours(told)
        if spent >= self._config.hours:
            return None
        turn = self._alone(told)
        alone = _hours([each for each in told if each.turn.phase == "alone"])
        if turn is None and spent < alone + LOOKING * (self._config.hours - alone):
            turn = self._brief(told, teacher)
        return turn or self._full(told, teacher)

    def tell(self, turn: Turn, point: Point, seconds: float) -> None:
        """What was measured."""
        self._note(turn, SECONDS, seconds)
        self._study.tell(turn.number, [point.quality, math.log(point.price)])

    def fail(self, turn: Turn, seconds: float, reason: str) -> None:
        """The recipe cannot be made."""
        self._note(turn, REASON, reason)
        self._note(turn, SECONDS, seconds)
        self._study.tell(turn.number, state=TrialState.FAIL)

    def told(self) -> list[Told]:
        """All that was tried so far, in order."""
        return [
            Told(
                _turn(trial),
                _point(trial),
                float(trial.user_attrs[SECONDS]),
                trial.user_attrs.get(REASON),
            )
            for trial in self._study.get_trials()
            if trial.state.is_finished() and RECIPE in trial.user_attrs
        ]

    def _alone(self, told: Sequence[Told]) -> Turn | None:
        known = [each.turn.recipe for each in told if each.turn.phase == "alone"]
        for lever, recipes in self._singles.items():
            for recipe in recipes:
                if recipe not in known:
                    return self._begin(self._study.ask(), "alone", recipe, lever)
        return None

    def _brief(self, told: Sequence[Told], teacher: Point) -> Turn | None:
        known = [each.turn.recipe for each in told]
        looked = [each for each in told if each.turn.phase == "brief"]
        if len(looked) >= self._config.trials or any(e.turn.phase == "full" for e in told):
            return None
        winners = together(self._config, self._strongest(told, teacher), self._origins)
        if winners is not None and (recipe := brief(winners, self._config)) not in known:
            return self._begin(self._study.ask(), "brief", recipe)
        for draw in range(DRAWS):
            # Seeded by what was told, so that a search goes on as it would have.
            seed = DRAWS * len(looked) + draw
            self._study.sampler = TPESampler(seed=seed) if draw < OWN else RandomSampler(seed)
            trial = self._study.ask()
            recipe = brief(_drawn(trial, self._config, self._origins), self._config)
            if recipe not in known:
                return self._begin(trial, "brief", recipe)
            self._study.tell(trial, state=TrialState.FAIL)
        return None

    def _strongest(self, told: Sequence[Told], teacher: Point) -> dict[str, Recipe]:
        """Of every lever that won something alone the recipe that won most."""
        corner, most = frontier.corner(teacher), dict[str, tuple[float, Recipe]]()
        for turn, point, *_ in told:
            if turn.lever is not None and point is not None:
                won = frontier.hypervolume([point], corner)
                if won > most.get(turn.lever, (0.0,))[0]:
                    most[turn.lever] = won, turn.recipe
        return {lever: recipe for lever, (_, recipe) in most.items()}

    def _full(self, told: Sequence[Told], teacher: Point) -> Turn | None:
        done = [each.turn.recipe for each in told if each.turn.phase == "full"]
        for recipe in self._finalists(told, teacher):
            if recipe not in done:
                return self._begin(self._study.ask(), "full", recipe)
        return None

    def _finalists(self, told: Sequence[Told], teacher: Point) -> list[Recipe]:
        """The best of the brief looks, frontier by frontier, now in full.

        What was tried as it stands already, alone or because no lever of it has a brief setting,
        takes no finalist's place.
        """
        known = [each.turn.recipe for each in told if each.turn.phase != "full"]
        looked = [
            (each.turn.recipe, each.point)
            for each in told
            if each.turn.phase == "brief" and each.point is not None
        ]
        order = frontier.ranked([point for _, point in looked], frontier.corner(teacher))
        whole = [in_full(looked[position][0], self._config) for position in order]
        return [each for each in unique(whole) if each not in known][: self._config.finalists]

    def _begin(self, trial: Trial, phase: Phase, recipe: Recipe, lever: str | None = None) -> Turn:
        trial.set_user_attr(SECONDS, 0.0)
        trial.set_user_attr(PHASE, phase)
        trial.set_user_attr(LEVER, lever)
        # Last: a trial that has it is whole.
        trial.set_user_attr(RECIPE, recipe.model_dump(mode="json"))
        return Turn(trial.number, phase, recipe, lever)

    def _note(self, turn: Turn, key: str, value: float | str) -> None:
        Trial(self._study, self._study.get_trials()[turn.number]._trial_id).set_user_attr(
            key, value
        )


def _hours(told: Sequence[Told]) -> float:
    return math.fsum(each.seconds for each in told) / SECONDS_PER_HOUR


def _drawn(trial: Trial, config: SearchConfig, origins: Origins) -> Recipe:
    """Only what matters is proposed: the settings of levers that are taken."""
    position = trial.suggest_categorical("chain", list(range(len(config.chains))))
    chain = config.chains[position]
    levers = tuple(
        lever
        for lever in chain
        if lever not in config.optional or trial.suggest_categorical(f"with {lever}", [True, False])
    )
    values = {
        key: trial.suggest_categorical(key, list(choices))
        for key, choices in config.values.items()
        if owner(key) in levers
    }
    return of_chain(chain, levers, values, config, origins)


def _turn(trial: FrozenTrial) -> Turn:
    told = trial.user_attrs
    recipe = Recipe.model_validate(told[RECIPE])
    return Turn(trial.number, told[PHASE], recipe, told[LEVER])


def _point(trial: FrozenTrial) -> Point | None:
    if trial.state != TrialState.COMPLETE:
        return None
    quality, log_price = trial.values
    return Point(quality, math.exp(log_price))
