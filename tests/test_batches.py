"""Rows of tokens: what a model says of an example does not depend on what lies beside it."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from transformers import AutoModelForCausalLM

from tasks.batches import answer_logits, pack, pad, parts
from tasks.examples import Example
from tests.tiny import tiny_model

TOKENS = st.lists(st.integers(3, 200), min_size=2, max_size=16)
EXAMPLES = st.lists(
    TOKENS.map(lambda ids: Example(str(ids), tuple(ids[:-1]), (ids[-1], 2))),
    min_size=1,
    max_size=7,
    unique_by=lambda example: example.id,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tiny_model(tmp_path_factory.mktemp("model"), layers=2)
    return AutoModelForCausalLM.from_pretrained(folder)


@settings(max_examples=40)
@given(examples=EXAMPLES, width=st.integers(1, 48), attention=st.sampled_from(["eager", "sdpa"]))
def test_packed_examples_have_the_logits_that_each_has_alone(
    model: Any, examples: list[Example], width: int, attention: str
) -> None:
    model.set_attn_implementation(attention)
    batch = pack(examples, 0, width)
    known = {(*e.prompt, *e.answer): e for e in examples}
    order = [
        known.pop(tuple(row[owners == number].tolist()))
        for row, owners in zip(batch.input_ids, batch.attention_mask, strict=True)
        for number in range(1, int(owners.max()) + 1)
    ]
    assert not known
    with torch.inference_mode():
        together = answer_logits(model, batch)
        alone = torch.cat([answer_logits(model, pad([example], 0)) for example in order])
    assert torch.allclose(together, alone, atol=1e-4)


@given(examples=EXAMPLES, width=st.integers(1, 48))
def test_packed_rows_are_no_wider_than_asked_and_hold_nothing_twice(
    examples: list[Example], width: int
) -> None:
    batch = pack(examples, 0, width)
    assert batch.input_ids.shape[1] <= max(width, max(example.tokens for example in examples))
    assert int((batch.attention_mask > 0).sum()) == sum(example.tokens for example in examples)
    assert len(batch.input_ids) <= len(examples)


@settings(max_examples=40)
@given(examples=EXAMPLES, rows=st.integers(1, 8), packed=st.booleans())
def test_parts_of_a_batch_have_its_logits(
    model: Any, examples: list[Example], rows: int, packed: bool
) -> None:
    batch = pack(examples, 0, 24) if packed else pad(examples, 0)
    with torch.inference_mode():
        whole = answer_logits(model, batch)
        apart = torch.cat([answer_logits(model, part) for part in parts(batch, rows)])
    assert torch.allclose(apart, whole, atol=1e-4)


def test_scoring_answers_alone_gives_the_loss_and_gradient_of_scoring_every_token(
    model: Any,
) -> None:
    examples = [Example("a", (5, 6, 7, 8), (9, 2)), Example("b", (15, 16), (17, 18, 2))]
    batch = pad(examples, 2)
    labels = torch.full_like(batch.input_ids, -100)
    labels[batch.rows, batch.columns + 1] = batch.answers
    losses, gradients = [], []
    for few in (True, False):
        model.zero_grad()
        if few:
            loss = functional.cross_entropy(answer_logits(model, batch), batch.answers)
        else:
            mask = batch.attention_mask
            loss = model(input_ids=batch.input_ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        losses.append(loss.detach())
        gradients.append([value.grad.clone() for value in model.parameters()])
    assert torch.allclose(*losses, atol=1e-6)
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-6)
