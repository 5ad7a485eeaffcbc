"""The bill of materials names what a Bento brings, and nothing of what it does not."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest

from tasks import bill
from tasks.errors import StillhouseError

REQUIREMENTS = Path(__file__).parents[1] / "bentos/generator/requirements.txt"


def test_the_bill_names_every_package_and_the_models_files(tmp_path: Path) -> None:
    file = tmp_path / bill.FILE
    bill.write(
        file, "sentiment", REQUIREMENTS, {"openvino_model.bin": "ab" * 32, "x.json": "0" * 64}
    )

    told = json.loads(file.read_text())
    parts = {part["name"]: part for part in told["components"]}
    assert told["specVersion"] == "1.6"
    assert told["metadata"]["component"]["name"] == "sentiment"
    for name in ("fastapi", "openvino-genai", "bentoml", "starlette", "uvicorn"):
        assert parts[name]["purl"] == f"pkg:pypi/{name}@{version(name)}"
    assert parts["openvino_model.bin"]["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert not {"torch", "transformers", "prefect", "dvc"} & set(parts)
    graph = {each["ref"]: each.get("dependsOn", []) for each in told["dependencies"]}
    assert (
        f"pkg:pypi/starlette@{version('starlette')}"
        in graph[f"pkg:pypi/fastapi@{version('fastapi')}"]
    )


def test_a_requirement_that_is_not_there_is_named(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("no-such-package==1.0\n")
    with pytest.raises(StillhouseError, match=r"no-such-package==1\.0: not installed"):
        bill.write(tmp_path / bill.FILE, "x", requirements, {})
