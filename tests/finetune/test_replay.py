"""General conversations among a task's examples."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tasks import paths
from tasks.errors import DataError
from tasks.finetune import answers, full, replay
from tasks.finetune.config import FinetuneConfig, ReplayConfig
from tests.tiny import tiny_data, tiny_model


def conversation(number: int) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": f"colour of thing {number}?"},
            {"role": "assistant", "content": "blue" if number % 3 else "red"},
        ],
        "source": "made up",
    }


def write(rows: list[Any]) -> Path:
    file = Path("general.jsonl").absolute()
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tiny_data(train=64)
    return tiny_model(paths.candidate("fetch/base"), layers=2)


def config(**changes: Any) -> FinetuneConfig:
    settings = {
        "from": "fetch/base",
        "method": "full",
        "max_steps": 10,
        "batch": 8,
        "checkpoints": 1,
        "validation_rows": 8,
        "warmup_steps": 0,
        "learning_rate": 0.005,
    }
    return FinetuneConfig.model_validate(settings | changes)


@pytest.mark.parametrize(("share", "expected"), [(0.25, (60, 20)), (0.5, (40, 40))])
def test_replay_has_its_share_of_the_examples(
    base: Path, share: float, expected: tuple[int, int]
) -> None:
    file = write([conversation(n) for n in range(60)])
    data = answers.read(config(replay={"file": str(file), "share": share, "held_out": 8}), base)
    assert (len(data.train) - data.replayed, data.replayed) == expected
    assert len(data.general) == 8
    assert not {e.id for e in data.general} & {e.id for e in data.train}


def test_little_data_of_the_task_keeps_the_share(base: Path) -> None:
    file = write([conversation(n) for n in range(60)])
    asked = config(max_steps=100, replay={"file": str(file), "share": 0.2, "held_out": 8})
    data = answers.read(asked, base)
    assert (len(data.train) - data.replayed, data.replayed) == (64, 16)


def test_too_few_conversations_for_the_share_are_told_before_training(base: Path) -> None:
    file = write([conversation(n) for n in range(20)])
    asked = config(replay={"file": str(file), "share": 0.25, "held_out": 1})
    with pytest.raises(DataError, match=r"general\.jsonl: 19 .* needs 20: .*lower replay\.share"):
        answers.read(asked, base)
    write([conversation(n) for n in range(21)])
    assert answers.read(asked, base).replayed == 20


def test_what_is_replayed_is_forgotten_less(base: Path) -> None:
    """Both models are tuned alike; one of them practised what the other did not see."""
    file = write([conversation(n) for n in range(60)])
    found = {}
    for share in (0.02, 0.5):
        asked = config(replay={"file": str(file), "share": share, "held_out": 20})
        found[share] = full.finetune("finetune/tuned", asked)["replay"]
    assert found[0.5]["loss_after"] < 0.8 * found[0.02]["loss_after"]
    assert found[0.5]["loss_before"] == found[0.02]["loss_before"]
    assert found[0.5]["held_out"] == 20


def test_conversations_too_long_are_left_out_and_too_few_are_told(base: Path) -> None:
    long = conversation(1)
    long["messages"][0]["content"] = "so " * 200
    file = write([long, *(conversation(n) for n in range(5))])
    settings = ReplayConfig(file=str(file), max_tokens=100, held_out=2)
    found = replay.read(settings, base)
    assert (len(found.train), len(found.held_out)) == (3, 2)
    with pytest.raises(DataError, match=r"5 of 6 conversations .* lower replay\.held_out"):
        replay.read(settings.model_copy(update={"held_out": 5}), base)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"text": "no messages"}, "line 2 is no conversation"),
        ({"messages": [{"role": "user", "content": "alone"}]}, "line 2 must end with"),
        (
            {"messages": conversation(1)["messages"] * 2 + [conversation(1)["messages"][0]]},
            "line 2",
        ),
    ],
)
def test_a_line_that_is_no_conversation_is_named(base: Path, row: object, told: str) -> None:
    file = write([conversation(1), row])
    with pytest.raises(DataError, match=told):
        replay.read(ReplayConfig(file=str(file)), base)


def test_a_file_that_changed_since_the_run_was_resolved_is_refused(base: Path) -> None:
    file = write([conversation(n) for n in range(40)])
    pinned = hashlib.sha256(file.read_bytes()).hexdigest()
    settings = ReplayConfig(file=str(file), sha256=pinned, held_out=2)
    assert replay.read(settings, base).train
    write([conversation(n) for n in range(41)])
    with pytest.raises(DataError, match="has changed since the run was started"):
        replay.read(settings, base)
