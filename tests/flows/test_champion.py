"""The release in use comes back as a rival."""

import json
from pathlib import Path

import pytest
import yaml

from flows import champion
from flows.champion import Champion
from flows.registry import Registry, RegistryError
from tests.flows.conftest import git
from tests.flows.toy.tasks import step

OUTPUT = {"path": "models/quantize/small", "hash": "md5", "md5": "0f.dir", "size": 7, "nfiles": 2}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STILLHOUSE_STATE", str(tmp_path / ".stillhouse"))
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/gate.json").write_text(json.dumps(step.gate()))
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": {"q": {"outs": [OUTPUT]}}}))
    git(tmp_path, "add", "reports", "dvc.lock")
    git(tmp_path, "commit", "--quiet", "--message", "a run")
    return tmp_path


def promoted(checkout: Path) -> None:
    registry = Registry(checkout, "toy")
    registry.promote(registry.register("HEAD", "toy:one", "passed"), "it passed", require=str)


def test_before_the_first_promotion_nothing_is_in_use(checkout: Path) -> None:
    assert champion.in_use(checkout, "toy") is None
    assert champion.of_run(checkout) is None


def test_a_run_keeps_the_champion_that_it_began_with(checkout: Path) -> None:
    promoted(checkout)
    found = champion.in_use(checkout, "toy")
    kept = {key: value for key, value in OUTPUT.items() if key != "path"}
    assert found == Champion("v0.0.1", "quantize/small", "openvino", kept)
    found.write(checkout)
    assert champion.of_run(checkout) == found
    [out] = yaml.safe_load((checkout / "champion.dvc").read_text())["outs"]
    assert out == {**kept, "path": "models/champion/current"}
    entry = {"candidate": "champion/current", "engine": "openvino", "role": "champion"}
    assert found.parameters()["evaluate.candidates.champion"] == entry


def test_a_champion_without_a_known_model_is_answered_with_the_remedy(checkout: Path) -> None:
    (checkout / "dvc.lock").write_text("stages: {}")
    git(checkout, "commit", "--quiet", "--all", "--message", "nothing made")
    promoted(checkout)
    with pytest.raises(RegistryError, match=r"toy v0\.0\.1.*no models/quantize/small; promote"):
        champion.in_use(checkout, "toy")
