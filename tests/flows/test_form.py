"""The Prefect form: what it says and what it refuses."""

from typing import Any

import pytest
from prefect import Flow
from prefect.exceptions import ParameterTypeError

from flows.promotion import promote, rollback
from flows.release import release


def fields() -> dict[str, dict[str, Any]]:
    return dict(release.parameters.model_dump()["properties"])


def test_every_field_has_title_help_and_default() -> None:
    assert list(fields()) == ["workload", "budget", "overrides", "promote"]
    for name, field in fields().items():
        assert field["title"] != name, name
        assert len(field["description"]) > 20, name
        assert "default" in field, name


def test_the_budget_is_a_choice() -> None:
    assert fields()["budget"]["enum"] == ["smoke", "quick", "full"]
    assert fields()["budget"]["default"] == "quick"


@pytest.mark.parametrize(
    "wrong",
    [
        {"workload": "../secret"},
        {"budget": "huge"},
        {"overrides": {f"a.{number}": 1 for number in range(51)}},
        {"overrides": "a=1"},
        {"promote": "perhaps"},
    ],
)
def test_wrong_values_are_refused_before_a_run_starts(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterTypeError):
        release.validate_parameters(wrong)


@pytest.mark.parametrize("flow", [promote, rollback])
def test_a_change_of_what_is_in_use_asks_for_a_reason(flow: Flow[..., object]) -> None:
    form = flow.parameters.model_dump()
    for name, field in form["properties"].items():
        assert field["title"] != name, name
        assert len(field["description"]) > 15, name
    assert "reason" in form["required"]
    with pytest.raises(ParameterTypeError):
        flow.validate_parameters({"workload": "sentiment", "reason": ""})
