"""What the settings of a student allow."""

from typing import Any

import pytest
from pydantic import ValidationError

from tasks.distill.config import DistillConfig

STEPS = {"from": "prune/a", "max_steps": 1}


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ({"labels": "lora"}, "data/labels/lora"),
        ({"method": "online", "teacher": "finetune/lora"}, "models/finetune/lora"),
        ({"method": "on_policy", "teacher": "fetch/base"}, "models/fetch/base"),
        ({"method": "text", "answers": "large"}, "data/answers/large"),
        ({"labels": "lora", "reads": "data/labels/old"}, "data/labels/lora"),
    ],
)
def test_dvc_is_told_the_folder_that_is_learned_from(told: dict[str, Any], read: str) -> None:
    config = DistillConfig.model_validate(STEPS | told)
    assert config.reads == read
    again = DistillConfig.model_validate(config.model_dump(mode="json", by_alias=True))
    assert again == config


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({}, "method cached_logits learns from labels"),
        ({"labels": "a", "answers": "b"}, "give it, and no other"),
        ({"method": "text", "labels": "a"}, "method text learns from answers"),
        ({"method": "online", "teacher": "prune/a"}, "nothing to learn from it"),
        ({"labels": "a", "hidden_weight": 1}, "hidden_weight is for online: leave it out"),
        ({"method": "text", "answers": "a", "temperature": 1}, "temperature is for"),
        ({"labels": "a", "unlabelled": 1}, "unlabelled is for on_policy: leave it out"),
        ({"labels": "a", "divergence": "reverse_kl"}, "needs rest: one_token"),
        (
            {"method": "on_policy", "teacher": "fetch/b", "chat_template": "x"},
            "one prompt for teacher and student",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    told: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValidationError, match=complaint):
        DistillConfig.model_validate(STEPS | told)
