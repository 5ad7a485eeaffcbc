"""Reading the common beginning of prompts once."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from tasks.batches import answer_logits, pad
from tasks.examples import Example, tokenize
from tasks.label.beginning import Beginning
from tests.tiny import record, tiny_model


@pytest.mark.parametrize("different", [False, True])
@torch.inference_mode()
def test_logits_are_the_same_as_without_a_shared_beginning(tmp_path: Path, different: bool) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model(tmp_path)).eval()
    examples = tokenize([record(number) for number in range(6)], tmp_path)
    if different:
        examples.append(Example("other", (5, 6, 7), (8, 9)))
    shared = Beginning(model, examples)
    assert (shared.tokens == 0) is different
    for part in (examples[:4], examples[4:]):
        whole = answer_logits(model, pad(part, 0))
        cut = answer_logits(model, pad(shared.cut(part), 0), shared.cache(len(part)))
        assert torch.allclose(cut, whole, atol=1e-5)


@torch.inference_mode()
def test_equal_prompts_keep_the_token_that_predicts(tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model(tmp_path)).eval()
    examples = tokenize([record(1), record(1)], tmp_path)
    shared = Beginning(model, examples)
    assert [len(example.prompt) for example in shared.cut(examples)] == [1, 1]
