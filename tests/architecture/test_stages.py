"""One stage, one folder, one name: package under tasks/, key in dvc.yaml, section of parameters."""

import re
from pathlib import Path
from typing import get_args

import yaml

from tasks.evaluate.config import EvaluateConfig
from tasks.workload import Workload

ROOT = Path(__file__).parents[2]


def stages() -> dict[str, dict[str, object]]:
    return dict(yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"])


def packages() -> set[str]:
    return {path.parent.name for path in (ROOT / "tasks").glob("*/__main__.py")}


def test_every_stage_of_the_graph_is_a_package_of_tasks_and_the_other_way_round() -> None:
    assert set(stages()) == packages()


def test_every_stage_runs_the_package_of_its_name() -> None:
    for name, stage in stages().items():
        body = stage.get("do", stage)
        assert isinstance(body, dict)
        command = str(body["cmd"])
        assert command.startswith(f"python -m tasks.{name}"), command


def test_every_stage_depends_on_its_own_code() -> None:
    for name, stage in stages().items():
        body = stage.get("do", stage)
        assert isinstance(body, dict)
        deps = [str(dep) for dep in body["deps"]]
        assert any(dep.startswith(f"tasks/{name}") for dep in deps), name


def test_every_setting_that_a_stage_depends_on_exists() -> None:
    """DVC finds a misnamed one only when a run comes to that stage."""
    checked = set()
    for name, stage in stages().items():
        fields = set(re.findall(r"\$\{item\.(\w+)\}", str(stage.get("do"))))
        if fields:
            section = EvaluateConfig if name == "evaluate" else Workload
            key = "candidates" if name == "evaluate" else name
            config = get_args(section.model_fields[key].annotation)[1]
            known = {field.alias or named for named, field in config.model_fields.items()}
            assert fields <= known, name
            checked.add(name)
    assert {"finetune", "prune", "quantize", "distill", "label", "ask", "evaluate"} <= checked


def test_artefact_folders_hold_no_code() -> None:
    tracked = [
        path for folder in ("data", "models", "reports") for path in (ROOT / folder).glob("*")
    ]
    assert [path for path in tracked if path.suffix == ".py"] == []
