from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM

from tasks.errors import ModelError
from tasks.fetch import gguf
from tests.fetch.conftest import write_gguf


def test_the_converted_model_computes_what_the_original_does(tmp_path: Path) -> None:
    original = write_gguf(tmp_path / "tiny.gguf")
    folder = tmp_path / "converted"
    gguf.convert(tmp_path / "tiny.gguf", folder)
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    ids = torch.tensor([[1, 5, 70, 200, 2]])
    with torch.inference_mode():
        assert torch.allclose(loaded(ids).logits, original(ids).logits, atol=1e-5)
    assert loaded.dtype == torch.float32
    assert not hasattr(loaded.config, "quantization_config")


def test_tied_embeddings_are_stored_once(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf")
    gguf.convert(tmp_path / "tiny.gguf", tmp_path / "converted")
    with safe_open(tmp_path / "converted/model.safetensors", framework="numpy") as tensors:
        names = set(tensors.keys())
    assert "model.embed_tokens.weight" in names
    assert "lm_head.weight" not in names
    assert {p.suffix for p in (tmp_path / "converted").iterdir()} == {".json", ".safetensors"}


def test_an_architecture_that_cannot_be_read_is_refused_with_a_remedy(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf")
    content = (tmp_path / "tiny.gguf").read_bytes()
    (tmp_path / "odd.gguf").write_bytes(content.replace(b"llama", b"lemma"))
    with pytest.raises(
        ModelError, match=r"odd\.gguf: transformers cannot convert it.*hf: or path:"
    ):
        gguf.convert(tmp_path / "odd.gguf", tmp_path / "converted")
