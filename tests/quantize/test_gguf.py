import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader
from tokenizers import Tokenizer
from transformers import Qwen2Config, Qwen2ForCausalLM

from bentos.generator.prompt import Renderer
from tasks.errors import ModelError
from tasks.fetch import gguf as fetched
from tasks.fetch import tokenizer as fetched_tokenizer
from tasks.quantize import gguf, reference
from tasks.quantize.config import SCHEMES, QuantizeConfig, Scheme
from tests.tiny import tiny_model

PROMPTS = [[1, 2, 3], [9, 8, 7, 6, 5, 4], list(range(40))]
TEXTS = ("A triumph, 2024!", "  two  spaces\n\nand 😀 1234", "<|im_start|>user\nnegative<|im_end|>")
LOST: dict[Scheme, float] = {"q8_0": 0.01, "q5_1": 0.05, "q5_0": 0.05, "q4_1": 0.1, "q4_0": 0.1}
"""Largest relative error of a matrix."""


def config(scheme: str) -> QuantizeConfig:
    told = {"from": "fetch/base", "format": "gguf", "scheme": scheme}
    return QuantizeConfig.model_validate(told)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("trained"), layers=2)


@pytest.fixture(scope="module")
def written(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gguf")
    gguf.convert(trained, folder, config("q8_0"))
    return folder


@pytest.mark.parametrize("scheme", SCHEMES["gguf"])
def test_transformers_reads_back_what_was_written(
    trained: Path, tmp_path: Path, scheme: Scheme
) -> None:
    gguf.convert(trained, tmp_path, config(scheme))

    read = gguf.restored(tmp_path)
    for name, exact in reference.load(trained).named_parameters():
        error = float((read[name] - exact).norm() / exact.norm())
        assert error == 0 if exact.ndim == 1 else 0 < error < LOST[scheme], name


def test_logits_are_within_the_error_of_rounding(trained: Path, written: Path) -> None:
    original, other = reference.next_logits(reference.load(trained)), gguf.next_logits(written)
    for ids in PROMPTS:
        expected = original(ids)
        assert np.linalg.norm(other(ids) - expected) < 0.06 * np.linalg.norm(expected)


def test_matrices_outside_the_blocks_keep_eight_bits(trained: Path, tmp_path: Path) -> None:
    gguf.convert(trained, tmp_path, config("q4_0"))

    types = {t.name: t.tensor_type.name for t in GGUFReader(tmp_path / gguf.MODEL).tensors}
    assert types["token_embd.weight"] == "Q8_0"
    assert types["blk.1.ffn_down.weight"] == "Q4_0"
    assert types["blk.1.attn_norm.weight"] == "F32"


def test_what_is_written_can_be_fetched_again(trained: Path, written: Path, tmp_path: Path) -> None:
    fetched.convert(written / gguf.MODEL, tmp_path)
    vocabulary = fetched_tokenizer.read_gguf(written / gguf.MODEL)
    rebuilt = fetched_tokenizer.write(vocabulary, tmp_path)

    original = Tokenizer.from_file(str(trained / "tokenizer.json"))
    for text in TEXTS:
        assert rebuilt.encode(text).ids == original.encode(text).ids
    assert vocabulary.chat_template == (trained / "chat_template.jinja").read_text()
    assert vocabulary.special["eos_token"] == "<|im_end|>"
    np.testing.assert_allclose(
        reference.next_logits(reference.load(tmp_path))(PROMPTS[2]),
        gguf.next_logits(written)(PROMPTS[2]),
        atol=1e-4,
    )


ASK = """
import json, sys, xllamacpp
path, requests = json.load(sys.stdin)
parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.n_ctx, parameters.warmup = path, 128, False
server = xllamacpp.Server(parameters)
print(json.dumps([server.handle_completions(one) for one in requests]))
"""


def test_llama_cpp_loads_it_and_agrees(trained: Path, written: Path) -> None:
    renderer, original = Renderer.from_folder(trained), gguf.next_logits(written)
    # Answering with half a character, it would tell no probabilities: told to say "negative".
    told = {"max_tokens": 1, "logprobs": 5, "logit_bias": [[renderer.encode("negative")[0], 100]]}
    asked = json.dumps([str(written / gguf.MODEL), [{"prompt": text, **told} for text in TEXTS]])

    # A process of its own: llama.cpp keeps threads and handlers of signals.
    command = [sys.executable, "-c", ASK]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True)

    for text, answer in zip(TEXTS, json.loads(done.stdout), strict=True):
        logits = original(renderer.encode(text))
        expected = logits - np.log(np.exp(logits).sum())
        # The prompt was split as the renderer splits it, and then read alike.
        assert answer["usage"]["prompt_tokens"] == len(renderer.encode(text))
        [first] = answer["choices"][0]["logprobs"]["content"]
        for likely in first["top_logprobs"]:
            assert likely["logprob"] == pytest.approx(expected[likely["id"]], abs=0.1)


def test_another_architecture_is_refused(trained: Path, tmp_path: Path) -> None:
    sizes = {"vocab_size": 300, "hidden_size": 32, "intermediate_size": 32}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "num_hidden_layers": 1}
    Qwen2ForCausalLM(Qwen2Config(**sizes, **heads)).save_pretrained(tmp_path)

    with pytest.raises(ModelError, match="Qwen2ForCausalLM is not a Llama"):
        gguf.convert(tmp_path, tmp_path / "child", config("q8_0"))


def test_tokenizer_without_a_name_in_llama_cpp_is_refused(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "odd", layers=1)
    content = json.loads((folder / "tokenizer.json").read_text())
    content["pre_tokenizer"]["add_prefix_space"] = True
    (folder / "tokenizer.json").write_text(json.dumps(content))

    with pytest.raises(ModelError, match=r"tokenizer\.json: llama\.cpp has no name"):
        gguf.convert(folder, tmp_path / "child", config("q8_0"))
