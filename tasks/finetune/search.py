"""Learning rate and rank by short trials, before the training itself.

    search: {learning_rate: [1.0e-5, 1.0e-3], ranks: [8, 16, 32], trials: 12, steps: 40}

Optuna proposes (tree-structured Parzen estimators) and a trial that lags behind the median of those
before it is given up. The journal lies with the checkpoints: a killed search goes on where it was.
"""

import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tasks import checkpoints
from tasks.finetune.config import FinetuneConfig, SearchConfig
from tasks.progress import Progress

JOURNAL = "search.journal"
STARTED = 4
"""Trials at random and to their end, before proposals are informed and poor trials given up."""
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)

Attempt = Callable[[FinetuneConfig, Path, TrainerCallback], None]
"""Trains one trial's config in a scratch folder, and tells the callback of its evaluations."""


def best(
    config: FinetuneConfig, search: SearchConfig, scratch: Path, attempt: Attempt
) -> tuple[FinetuneConfig, dict[str, Any]]:
    """The config with the best learning rate and rank that were found, and what was tried."""
    study = _study(scratch / JOURNAL)
    progress = Progress("trials", search.trials)
    progress.advance(len(_ended(study)))
    while not _is_over(study, search):
        number = len(_ended(study))
        # Seeded anew for each: a search that was killed goes on as if it had not been.
        study.sampler = TPESampler(seed=config.seed + number, n_startup_trials=STARTED)
        trial = study.ask()
        tried = _with(config, _proposed(trial, search)).model_copy(
            update={"max_steps": search.steps, "checkpoints": search.checkpoints}
        )
        folder = scratch / f"trial-{number}"
        folder.mkdir(exist_ok=True)
        watch = _Watch(trial)
        attempt(tried, folder, watch)
        if watch.given_up:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, watch.lowest)
        checkpoints.discard(folder)
        progress.advance(1, f"loss {study.best_value:.3f}")
    return _with(config, study.best_params), _report(study)


def _study(journal: Path) -> optuna.Study:
    """The study so far; a trial that was killed is to be tried again."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        study_name=journal.stem,
        load_if_exists=True,
        pruner=MedianPruner(n_startup_trials=STARTED),
    )
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)
    return study


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(states=ENDED)


def _is_over(study: optuna.Study, search: SearchConfig) -> bool:
    ended = _ended(study)
    if not ended or search.max_minutes is None:
        return len(ended) >= search.trials
    spent = sum((trial.duration or timedelta() for trial in ended), timedelta())
    return len(ended) >= search.trials or spent >= timedelta(minutes=search.max_minutes)


def _proposed(trial: Trial, search: SearchConfig) -> dict[str, Any]:
    proposed: dict[str, Any] = {}
    if search.learning_rate is not None:
        low, high = search.learning_rate
        proposed["learning_rate"] = trial.suggest_float("learning_rate", low, high, log=True)
    if search.ranks:
        proposed["rank"] = trial.suggest_categorical("rank", search.ranks)
    return proposed


def _with(config: FinetuneConfig, proposed: Mapping[str, Any]) -> FinetuneConfig:
    """The config with what was proposed; an update's scale keeps its ratio to the rank."""
    rank = int(proposed.get("rank", config.rank))
    alpha = max(1, round(config.alpha * rank / config.rank))
    return config.model_copy(update={**proposed, "alpha": alpha})


def _report(study: optuna.Study) -> dict[str, Any]:
    ended = _ended(study)
    return {
        "chosen": study.best_params,
        "seconds": round(sum(t.duration.total_seconds() for t in ended if t.duration), 1),
        "trials": [
            {
                **trial.params,
                "steps": trial.last_step,
                "given_up": trial.state == TrialState.PRUNED,
                "validation_loss": _finite(min(trial.intermediate_values.values())),
            }
            for trial in ended
        ],
    }


def _finite(loss: float) -> float | None:
    return loss if math.isfinite(loss) else None


class _Watch(TrainerCallback):
    """Tells a trial of its validation losses, and ends it where it lags behind."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._told = 0
        self.lowest = math.inf
        self.given_up = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Tell what it found before it was interrupted, if it was."""
        self._tell(state)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Tell one loss."""
        self._tell(state)
        if state.global_step < state.max_steps and self._trial.should_prune():
            self.given_up = control.should_training_stop = True

    def _tell(self, state: TrainerState) -> None:
        entries = [entry for entry in state.log_history if "eval_loss" in entry]
        for entry in entries[self._told :]:
            loss = float(entry["eval_loss"])
            # A training that diverged is the worst there is, not one without a result.
            loss = loss if math.isfinite(loss) else math.inf
            self._trial.report(loss, int(entry["step"]))
            self.lowest = min(self.lowest, loss)
        self._told = len(entries)
