import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, pre_tokenizers
from transformers import AutoTokenizer

from tasks.errors import ModelError
from tasks.fetch import tokenizer as rebuilt
from tasks.fetch.tokenizer import Vocabulary
from tests.fetch.conftest import MERGES, SPECIAL, tiny_tokens, write_gguf


def vocabulary(without: str = "", split: str = "smollm") -> Vocabulary:
    """The tiny model's."""
    tokens = tiny_tokens(MERGES, without)
    types = tuple(3 if token in SPECIAL else 1 for token in tokens)
    special = {"eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}
    return Vocabulary(tuple(tokens), MERGES, types, split, special, None, 128)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return rebuilt.build(vocabulary())


def test_every_code_point_of_every_plane_survives(tokenizer: Tokenizer) -> None:
    result = rebuilt.require_lossless(tokenizer, "tiny")
    assert result == rebuilt.RoundTrip(0x110000 - 0x800, 0, 0)


@given(text=st.text())
@settings(max_examples=300)
def test_any_text_survives(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


@given(
    parts=st.lists(st.one_of(st.sampled_from([*SPECIAL, "7", "  ", " the"]), st.text(max_size=3)))
)
def test_special_tokens_are_single_ids_amid_any_text(
    tokenizer: Tokenizer, parts: list[str]
) -> None:
    text = "".join(parts)
    encoded = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(encoded.ids, skip_special_tokens=False) == text
    for token in SPECIAL:
        assert encoded.tokens.count(token) == text.count(token)


@given(number=st.integers(min_value=0))
def test_digits_stand_alone(tokenizer: Tokenizer, number: int) -> None:
    assert tokenizer.encode(str(number)).tokens == list(str(number))


def test_merges_and_spaces_are_those_of_the_file(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode(" the in  x").tokens == ["Ġthe", "Ġ", "in", "Ġ", "Ġ", "x"]
    assert tokenizer.encode("the").tokens == ["t", "he"]


def test_ids_are_positions_in_the_file(tokenizer: Tokenizer) -> None:
    for number, token in enumerate(tiny_tokens()):
        assert tokenizer.token_to_id(token) == number


def test_bytes_that_the_vocabulary_lacks_are_counted_and_nothing_else_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rebuilt, "EVERY_BLOCK", 64)
    # "ñ" stands for byte 0xF1, which begins the code points U+40000 to U+7FFFF.
    result = rebuilt.require_lossless(rebuilt.build(vocabulary(without="ñ")), "tiny")
    assert result.lost == result.unrepresentable == 0x40000 // 64


def test_a_tokenizer_that_changes_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilt, "EVERY_BLOCK", 512)
    wrong = rebuilt.build(vocabulary())
    wrong.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    with pytest.raises(ModelError, match="do not survive"):
        rebuilt.require_lossless(wrong, "tiny")


def test_unknown_splits_and_other_kinds_are_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.ggml\.pre = qwen2.*hf: or path:"):
        rebuilt.build(vocabulary(split="qwen2"))
    (tmp_path / "no.gguf").write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match="not a readable GGUF"):
        rebuilt.read_gguf(tmp_path / "no.gguf")


def test_a_gguf_gives_back_what_its_writer_put_in(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf")
    read = rebuilt.read_gguf(tmp_path / "tiny.gguf")
    assert read.tokens == tuple(tiny_tokens())
    assert read.merges == MERGES
    assert read.special == {
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|im_end|>",
        "unk_token": "<|endoftext|>",
    }
    assert (read.split, read.context_length) == ("smollm", 128)


@given(text=st.text())
@settings(max_examples=100)
def test_auto_tokenizer_reads_the_folder_alike(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "auto"
    if not folder.exists():
        folder.mkdir()
        rebuilt.write(vocabulary(), folder)
        # With a model type, transformers would rather build that type's own tokenizer.
        (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    stock = AutoTokenizer.from_pretrained(folder)
    ours = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert stock.is_fast
    assert stock(text, add_special_tokens=False)["input_ids"] == ours.encode(text).ids
    assert (stock.eos_token, stock.pad_token) == ("<|im_end|>", "<|im_end|>")


def folder_with(path: Path, change: Vocabulary) -> Path:
    """A folder that holds a tokenizer."""
    path.mkdir()
    rebuilt.write(change, path)
    return path


def test_models_with_one_tokenizer_pass(tmp_path: Path) -> None:
    folders = {name: folder_with(tmp_path / name, vocabulary()) for name in ("a", "b")}
    rebuilt.require_same(folders)


def test_models_with_different_tokenizers_are_both_named(tmp_path: Path) -> None:
    tokens, types = vocabulary().tokens, vocabulary().types
    others = {
        "vocabularies": Vocabulary((*tokens, "zz"), MERGES, (*types, 1), "smollm", {}, None, 1),
        "merges": Vocabulary(tokens, tuple(reversed(MERGES)), types, "smollm", {}, None, 1),
        "special tokens": Vocabulary(tokens, MERGES, (1, *types[1:]), "smollm", {}, None, 1),
    }
    teacher = folder_with(tmp_path / "teacher", vocabulary())
    for what, other in others.items():
        student = folder_with(tmp_path / what.replace(" ", "-"), other)
        with pytest.raises(ModelError, match=f"teacher and student .*{what} differ"):
            rebuilt.require_same({"teacher": teacher, "student": student})
