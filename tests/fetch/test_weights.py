import json
from pathlib import Path

import pytest

from bentos.generator.prompt import Renderer
from tasks import candidate
from tasks.errors import FetchError, HashMismatchError, ModelError
from tasks.fetch import tokenizer, weights
from tasks.fetch.config import Probe, Weights
from tests.fetch.conftest import CHAT_TEMPLATE, MERGES, write_gguf

FILES = {
    "candidate.json",
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
}


def entry(path: Path, probe: Probe | None = None, chat_template: str | None = None) -> Weights:
    """Weights from a local path, with the right hash."""
    digest = candidate.sha256(path)
    return Weights(source=f"path:{path}", sha256=digest, probe=probe, chat_template=chat_template)


@pytest.fixture(autouse=True)
def few_code_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them are tried in test_tokenizer.py."""
    monkeypatch.setattr(tokenizer, "EVERY_BLOCK", 512)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    write_gguf(path)
    return path


def test_a_gguf_becomes_a_complete_candidate(tiny: Path, checkout: Path) -> None:
    report = weights.fetch({"base": entry(tiny)})
    folder = checkout / "models/fetch/base"
    assert {file.name for file in folder.iterdir()} == FILES
    assert (folder / "chat_template.jinja").read_text() == CHAT_TEMPLATE
    generation = json.loads((folder / "generation_config.json").read_text())
    assert (generation["eos_token_id"], generation["pad_token_id"]) == (2, 2)
    lineage = candidate.Candidate.model_validate_json((folder / "candidate.json").read_text())
    assert (lineage.name, lineage.parent) == ("fetch/base", None)
    facts = report["base"]
    assert isinstance(facts, dict)
    assert facts["round_trip"] == {"characters": 9 * 256, "lost": 0, "unrepresentable": 0}
    assert facts["model_hash"] == candidate.sha256(folder)
    assert facts["parameters"] == 264 * 32 + 2 * (32 * 32 * 3 + 64 * 32 * 3 + 64) + 32


def test_a_folder_is_taken_over_and_fetched_twice_is_the_same(tiny: Path, checkout: Path) -> None:
    weights.fetch({"base": entry(tiny)})
    saved = (checkout / "models/fetch/base").rename(checkout / "saved")
    (saved / "pytorch_model.bin").write_bytes(b"never loaded")
    (saved / "modeling.py").write_text("raise SystemExit")
    pinned = Weights(source="path:saved", sha256=_model_files_hash(saved))
    first = weights.fetch({"base": pinned})
    assert weights.fetch({"base": pinned}) == first
    assert {file.name for file in (checkout / "models/fetch/base").iterdir()} == FILES


def _model_files_hash(folder: Path) -> str:
    """What the wrong hash is answered with."""
    with pytest.raises(HashMismatchError) as caught:
        weights.fetch({"base": Weights(source=f"path:{folder}", sha256="0" * 64)})
    return str(caught.value).split("got ")[1][:64]


def test_a_wrong_hash_stops_before_anything_is_converted(tiny: Path, checkout: Path) -> None:
    wrong = Weights(source=f"path:{tiny}", sha256="0" * 64)
    with pytest.raises(HashMismatchError, match="expected sha256 " + "0" * 64):
        weights.fetch({"base": wrong})
    assert not list(checkout.glob("models/fetch/base/*"))


def test_different_tokenizers_stop_before_anything_is_converted(tiny: Path, checkout: Path) -> None:
    write_gguf(checkout / "other.gguf", merges=tuple(reversed(MERGES)))
    with pytest.raises(ModelError, match="base and student have different tokenizers"):
        weights.fetch({"base": entry(tiny), "student": entry(checkout / "other.gguf")})
    assert not list(checkout.glob("models/fetch/**/*.safetensors"))


def test_a_senseless_answer_is_an_error_that_shows_it(tiny: Path, checkout: Path) -> None:
    probe = Probe(question="What is the capital of France?", expect="Paris", max_new_tokens=4)
    with pytest.raises(ModelError, match=r"capital of France.* answered .* without 'Paris'"):
        weights.fetch({"base": entry(tiny, probe)})


def test_an_answer_as_expected_is_reported(
    tiny: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Renderer, "decode", lambda *_: " It is PARIS. ")
    probe = Probe(question="Where?", expect="Paris", max_new_tokens=1)
    facts = weights.fetch({"base": entry(tiny, probe)})["base"]
    assert isinstance(facts, dict)
    assert facts["probe"]["answer"] == "It is PARIS."


def test_a_model_without_chat_template_needs_one_from_the_workload(checkout: Path) -> None:
    write_gguf(checkout / "plain.gguf", chat_template=None)
    with pytest.raises(ModelError, match="brings no chat template; give one in chat_template"):
        weights.fetch({"base": entry(checkout / "plain.gguf")})
    weights.fetch({"base": entry(checkout / "plain.gguf", chat_template="{{ messages }}")})
    template = checkout / "models/fetch/base/chat_template.jinja"
    assert template.read_text() == "{{ messages }}"


def test_folders_that_cannot_be_loaded_safely_are_refused(checkout: Path) -> None:
    folder = checkout / "model"
    folder.mkdir()
    pinned = Weights(source="path:model", sha256="0" * 64)
    with pytest.raises(ModelError, match=r"no config\.json"):
        weights.fetch({"base": pinned})
    (folder / "config.json").write_text('{"auto_map": {}}')
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="pickles are not loaded"):
        weights.fetch({"base": pinned})
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="auto_map"):
        weights.fetch({"base": pinned})


def test_other_files_and_missing_ones_are_refused(checkout: Path) -> None:
    (checkout / "model.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"neither a folder with safetensors nor a \.gguf"):
        weights.fetch({"base": entry(checkout / "model.bin")})
    with pytest.raises(FetchError, match="does not exist"):
        weights.fetch({"base": Weights(source="path:gone", sha256="0" * 64)})
