"""Vocabulary pruning on a tiny model."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from tasks import paths
from tasks.errors import ModelError
from tasks.prune import vocabulary
from tasks.prune.config import PruneConfig
from tests.tiny import SPECIAL, tiny_data, tiny_model, tiny_tokenizer

BYTES_AND_SPECIAL = 256 + len(SPECIAL)
NEGATIVE_AND_ITS_PARTS = [["n", "e"], ["ne", "g"], ["neg", "a"], ["nega", "t"], ["negat", "i"]]


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tiny_data()
    return tiny_model(paths.candidate("fetch/base"), layers=2)


def config(keep: int) -> PruneConfig:
    return PruneConfig.model_validate(
        {"from": "fetch/base", "method": "vocabulary", "keep_tokens": keep}
    )


def tiny_json() -> dict:  # type: ignore[type-arg]
    return json.loads(tiny_tokenizer().to_str())  # type: ignore[no-any-return]


@pytest.mark.parametrize("tied", [True, False])
def test_tokens_that_stay_are_scored_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tied: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = AutoModelForCausalLM.from_pretrained(tiny_model(tmp_path / "whole", tied=tied))
    kept = [*range(0, 200, 2), 201, whole.config.eos_token_id]
    ids = torch.randint(0, len(kept), (2, 9))
    before = whole(torch.tensor(kept)[ids]).logits[..., kept]

    vocabulary.keep_tokens(whole, kept)
    whole.save_pretrained("small")
    small = AutoModelForCausalLM.from_pretrained("small")

    assert torch.equal(small(ids).logits, before)
    assert small.config.vocab_size == len(kept)
    assert small.config.eos_token_id == small.generation_config.eos_token_id == len(kept) - 1


def test_training_rows_encode_to_the_same_pieces(base: Path) -> None:
    report = vocabulary.prune("prune/small", config(256))

    before = Tokenizer.from_file(str(base / "tokenizer.json"))
    after = Tokenizer.from_file(str(paths.candidate("prune/small") / "tokenizer.json"))
    text = "<|im_start|>user\ngrand film 3<|im_end|>negative"
    assert before.encode(text).tokens == after.encode(text).tokens
    assert report["tokens_after"] == after.get_vocab_size() <= before.get_vocab_size()
    assert report["parameters_after"] <= report["parameters_before"]


@settings(max_examples=300)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_still_encodes(text: str) -> None:
    whole = tiny_json()
    kept = vocabulary.tokens_to_keep(whole, [], 256, Path())

    small = Tokenizer.from_str(json.dumps(vocabulary.trimmed(whole, kept)))

    assert len(kept) == BYTES_AND_SPECIAL
    assert small.decode(small.encode(text).ids, skip_special_tokens=False) == text


def test_used_token_keeps_the_merges_that_lead_to_it() -> None:
    whole = tiny_json()
    kept = vocabulary.tokens_to_keep(whole, [whole["model"]["vocab"]["negati"]], 256, Path())

    assert vocabulary.trimmed(whole, kept)["model"]["merges"] == NEGATIVE_AND_ITS_PARTS


def test_room_left_goes_to_the_earliest_merges() -> None:
    whole = tiny_json()
    kept = vocabulary.tokens_to_keep(whole, [], BYTES_AND_SPECIAL + 5, Path())

    assert vocabulary.trimmed(whole, kept)["model"]["merges"] == NEGATIVE_AND_ITS_PARTS


def test_merges_written_as_strings_are_those_written_as_pairs() -> None:
    paired, strings = tiny_json(), tiny_json()
    strings["model"]["merges"] = [" ".join(pair) for pair in paired["model"]["merges"]]
    room = BYTES_AND_SPECIAL + 5
    kept = vocabulary.tokens_to_keep(strings, [], room, Path())

    assert kept == vocabulary.tokens_to_keep(paired, [], room, Path())
    assert vocabulary.trimmed(strings, kept) == vocabulary.trimmed(paired, kept)


def test_byte_that_the_tokenizer_lacks_stays_lacking() -> None:
    whole = tiny_json()
    del whole["model"]["vocab"]["ÿ"]

    assert len(vocabulary.tokens_to_keep(whole, [], 256, Path())) == BYTES_AND_SPECIAL - 1


def test_tokenizer_without_bytes_is_refused() -> None:
    whole = tiny_json()
    whole["decoder"] = {"type": "WordPiece"}

    with pytest.raises(ModelError, match="not byte-level BPE"):
        vocabulary.tokens_to_keep(whole, [], 256, Path("models/fetch/base"))


def test_post_processor_that_names_tokens_by_number_is_refused() -> None:
    whole = tiny_json()
    whole["post_processor"] = {
        "type": "TemplateProcessing",
        "special_tokens": {"<s>": {"ids": [1]}},
    }

    with pytest.raises(ModelError, match="TemplateProcessing names tokens by number"):
        vocabulary.tokens_to_keep(whole, [], 256, Path("models/fetch/base"))
