"""One tiny random model, as it was trained and converted, for all tests of the generator."""

from pathlib import Path

import pytest

from bentos.generator.prompt import Renderer
from tasks.quantize import openvino_ir
from tasks.quantize.config import QuantizeConfig
from tests.tiny import tiny_model


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("trained"), layers=2)


@pytest.fixture(scope="session")
def converted(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("converted")
    config = QuantizeConfig.model_validate({"from": "fetch/base", "bits": 32})
    openvino_ir.convert(trained, folder, config)
    return folder


@pytest.fixture(scope="session")
def renderer(trained: Path) -> Renderer:
    return Renderer.from_folder(trained)
