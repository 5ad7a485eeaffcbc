"""Which workloads the flow search refuses before any work."""

from pathlib import Path

import pytest

from flows.search import section
from tasks.errors import ConfigError
from tasks.remote_config import RemoteConfig
from tasks.workload import Workload, resolve

FILE = "workloads/mine.yaml"
WORKLOAD = resolve("sentiment", "smoke", {}, Path(__file__).parents[2]).workload


def refused(workload: Workload) -> str:
    with pytest.raises(ConfigError) as caught:
        section(workload, FILE)
    return str(caught.value)


def test_a_workload_that_names_no_levers_is_not_searched() -> None:
    told = refused(WORKLOAD.model_copy(update={"search": None}))
    assert told.startswith(f"{FILE}: search = -: no such section; name the levers")


def test_a_teacher_that_runs_elsewhere_cannot_be_searched_against() -> None:
    large = RemoteConfig(
        base_url="http://127.0.0.1:1/v1",
        model="large",
        price_per_million_input_tokens=1.0,
        price_per_million_output_tokens=1.0,
    )
    gate = WORKLOAD.gate.model_copy(update={"teacher": "large"})
    told = refused(WORKLOAD.model_copy(update={"remote": {"large": large}, "gate": gate}))
    assert told.startswith(f"{FILE}: gate.teacher = large: an entry of remote")
    assert "name an entry of evaluate.candidates" in told
    assert section(WORKLOAD, FILE) == WORKLOAD.search
