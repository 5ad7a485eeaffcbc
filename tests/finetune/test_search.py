"""Search for learning rate and rank by trials."""

from collections.abc import Callable
from math import log10
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from tasks import paths
from tasks.finetune import lora, search
from tasks.finetune.config import FinetuneConfig, SearchConfig
from tests.tiny import tiny_data, tiny_model

CONFIG = FinetuneConfig.model_validate(
    {"from": "fetch/base", "rank": 8, "alpha": 16, "max_steps": 100}
)
SPACE = SearchConfig(learning_rate=(1e-5, 1e-1), ranks=(4, 16), trials=14, steps=40, checkpoints=4)


def made_up(
    ran: list[tuple[float, int, int]], on_trial: Callable[[int], None] = lambda _: None
) -> search.Attempt:
    """Trials whose loss is least at a learning rate of 0.001 and rank 16."""

    def attempt(config: FinetuneConfig, folder: Path, callback: Any) -> None:
        assert folder.is_dir()
        state, control = TrainerState(max_steps=config.max_steps), TrainerControl()
        arguments = TrainingArguments(output_dir=str(folder))
        callback.on_train_begin(arguments, state, control)
        end = abs(log10(config.learning_rate) + 3) + (0.3 if config.rank == 4 else 0.0)
        for step in range(config.checkpoint_steps, config.max_steps + 1, config.checkpoint_steps):
            on_trial(len(ran))
            state.global_step = step
            state.log_history.append({"step": step, "eval_loss": end + 10 / step})
            callback.on_evaluate(arguments, state, control)
            if control.should_training_stop:
                break
        ran.append((config.learning_rate, config.rank, state.global_step))

    return attempt


def test_best_of_what_was_tried_is_chosen_and_poor_trials_are_given_up(tmp_path: Path) -> None:
    ran: list[tuple[float, int, int]] = []
    chosen, report = search.best(CONFIG, SPACE, tmp_path, made_up(ran))
    assert len(ran) == len(report["trials"]) == 14
    best = min(t["validation_loss"] for t in report["trials"])
    tried = next(t for t in report["trials"] if t["validation_loss"] == best)
    assert (chosen.learning_rate, chosen.rank) == (tried["learning_rate"], tried["rank"])
    assert 1e-4 < chosen.learning_rate < 1e-2
    assert chosen.alpha == 2 * chosen.rank
    assert chosen.max_steps == CONFIG.max_steps
    assert {t["steps"] for t in report["trials"] if not t["given_up"]} == {40}
    given_up = [t for t in report["trials"] if t["given_up"]]
    assert given_up
    assert all(t["steps"] < 40 for t in given_up)


@pytest.mark.parametrize("killed_at", [0, 3, 9])
def test_killed_search_goes_on_and_ends_like_one_undisturbed(
    tmp_path: Path, killed_at: int
) -> None:
    whole: list[tuple[float, int, int]] = []
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    wanted = search.best(CONFIG, SPACE, tmp_path / "whole", made_up(whole))

    def die(number: int) -> None:
        if number == killed_at:
            raise KeyboardInterrupt

    ran: list[tuple[float, int, int]] = []
    with pytest.raises(KeyboardInterrupt):
        search.best(CONFIG, SPACE, tmp_path / "killed", made_up(ran, die))
    found = search.best(CONFIG, SPACE, tmp_path / "killed", made_up(ran))
    assert ran == whole
    assert found[0] == wanted[0]
    assert found[1]["trials"] == wanted[1]["trials"]


def test_no_trial_begins_when_the_time_is_spent(tmp_path: Path) -> None:
    ran: list[tuple[float, int, int]] = []
    hurried = SPACE.model_copy(update={"max_minutes": 1e-9})
    chosen, _ = search.best(CONFIG, hurried, tmp_path, made_up(ran))
    assert len(ran) == 1
    assert chosen.learning_rate == ran[0][0]


def test_a_trial_that_diverged_is_the_worst_not_an_error(tmp_path: Path) -> None:
    ran: list[float] = []

    def attempt(config: FinetuneConfig, folder: Path, callback: Any) -> None:
        state, control = TrainerState(max_steps=config.max_steps), TrainerControl()
        state.global_step = config.max_steps
        loss = float("nan") if not ran else 1.0
        state.log_history.append({"step": config.max_steps, "eval_loss": loss})
        callback.on_evaluate(TrainingArguments(output_dir=str(folder)), state, control)
        ran.append(config.learning_rate)

    space = SPACE.model_copy(update={"trials": 2})
    chosen, report = search.best(CONFIG, space, tmp_path, attempt)
    assert chosen.learning_rate == ran[1]
    assert [trial["validation_loss"] for trial in report["trials"]] == [None, 1.0]


def test_training_uses_what_the_search_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_data(train=32)
    tiny_model(paths.candidate("fetch/base"), layers=2)
    settings = {
        "from": "fetch/base",
        "max_steps": 4,
        "batch": 4,
        "warmup_steps": 0,
        "validation_rows": 8,
        "checkpoints": 1,
        "search": {
            "learning_rate": [1e-4, 1e-2],
            "ranks": [2, 4],
            "trials": 2,
            "steps": 2,
            "checkpoints": 2,
        },
    }
    report = lora.finetune("finetune/lora", FinetuneConfig.model_validate(settings))
    adapter = paths.candidate("finetune/lora") / "adapter/adapter_config.json"
    assert f'"r": {report["search"]["chosen"]["rank"]}' in adapter.read_text()
    assert [len(report["search"]["trials"]), report["steps"]] == [2, 4]
    assert not any(paths.scratch("finetune").iterdir())
