import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from bentos.generator import serving
from bentos.generator.decoding import Decoding
from bentos.generator.parse import parse_answer
from bentos.generator.prompt import PromptTemplate
from bentos.generator.serving import Serving

SERVING = Serving(
    workload="sentiment",
    model_name="sentiment",
    engine="openvino",
    input_fields=("text",),
    prompt=PromptTemplate(user="{text}"),
    decoding=Decoding(choices=("negative", "positive")),
)


def test_serving_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    serving.write(SERVING, tmp_path)

    assert serving.read(tmp_path) == SERVING


def test_broken_serving_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "serving.json").write_text('{"workload": "x"}')

    with pytest.raises(ValueError, match=r"serving\.json is not valid"):
        serving.read(tmp_path)


def test_files_that_are_not_those_that_were_packaged_are_named(tmp_path: Path) -> None:
    for name in ("weights.bin", "config.json"):
        (tmp_path / name).write_text(name)
    files = {name: serving.sha256(tmp_path / name) for name in ("weights.bin", "config.json")}
    packaged = SERVING.model_copy(update={"files": files})

    serving.verify(packaged, tmp_path)
    (tmp_path / "weights.bin").write_text("others")
    with pytest.raises(ValueError, match=r"weights\.bin differ"):
        serving.verify(packaged, tmp_path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(FileNotFoundError):
        serving.verify(packaged, tmp_path)


def test_prompt_may_only_use_input_fields() -> None:
    with pytest.raises(ValidationError, match="not in input_fields"):
        Serving.model_validate({**SERVING.model_dump(), "prompt": {"user": "{body}"}})


def test_answer_is_parsed_into_one_of_the_choices() -> None:
    assert parse_answer(" positive\n", SERVING.decoding) == "positive"
    assert parse_answer(" any text ", Decoding()) == "any text"
    with pytest.raises(ValueError, match="'maybe' is none of negative, positive"):
        parse_answer("maybe", SERVING.decoding)


@pytest.mark.parametrize(
    "settings",
    [
        {"choices": ("a", "a")},
        {"choices": ("a",), "stop": ("b",)},
        {"choices": ()},
        {"stop": ("",)},
        {"temperature": -1},
        {"top_p": 0},
        {"max_new_tokens": 0},
        {"beams": 0},
        {"beams": 4, "choices": ("a", "b")},
        {"beams": 4, "temperature": 1},
        {"beams": 4, "logprobs": True},
        {"beams": 4, "json_schema": "{}"},
        {"bemas": 4},
    ],
)
def test_impossible_decoding_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Decoding.model_validate(settings)


def test_openvino_serves_without_torch(converted: Path) -> None:
    serving.write(SERVING, converted)
    code = (
        "import sys; from pathlib import Path\n"
        "import bentos.generator.api\n"
        "from bentos.generator.engine import load_engine\n"
        f"load_engine('openvino', Path({str(converted)!r})).close()\n"
        "print([m for m in ('torch', 'transformers', 'prefect', 'dvc') if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"
