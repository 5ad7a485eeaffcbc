"""What comes back from disk, how near it is and how small it was."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import logits
from tasks.logits import Bits, StoredLogits


def made(lengths: list[int], top_k: int, vocabulary: int, seed: int) -> StoredLogits:
    chance = torch.Generator().manual_seed(seed)
    scores = 6 * torch.randn(sum(lengths), vocabulary, generator=chance)
    exact = scores.log_softmax(-1)
    top = exact.topk(top_k)
    rests = exact.scatter(-1, top.indices, logits.NOTHING).logsumexp(-1)
    return StoredLogits(
        "finetune/lora",
        "f00d",
        [f"{number:016x}" for number in range(len(lengths))],
        list(top.values.split(lengths)),
        list(top.indices.split(lengths)),
        list(rests.split(lengths)),
    )


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=6),
    st.integers(1, 20),
    st.sampled_from([20, 300, 70_000]),
    st.integers(0, 99),
)
@settings(max_examples=30)
def test_16_bits_give_back_float16_values_and_every_token(
    tmp_path_factory: pytest.TempPathFactory,
    lengths: list[int],
    top_k: int,
    vocabulary: int,
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("labels")
    told = made(lengths, top_k, vocabulary, seed)
    logits.write(folder, told)
    found = logits.read(folder)
    assert found[:3] == told[:3]
    for before, after in zip(told.values, found.values, strict=True):
        assert torch.equal(before.half().float(), after)
    for before, after in zip(told.tokens, found.tokens, strict=True):
        assert torch.equal(before, after)
    for before, after in zip(told.rests, found.rests, strict=True):
        assert torch.equal(before.half().float(), after)


@given(st.integers(1, 20), st.integers(0, 99))
@settings(max_examples=30)
def test_8_bits_are_off_by_less_where_a_token_is_likelier(
    tmp_path_factory: pytest.TempPathFactory, top_k: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("labels")
    told = made([3, 1, 4], top_k, 300, seed)
    logits.write(folder, told, bits=8)
    exact, found = torch.cat(told.values), torch.cat(logits.read(folder).values)
    depth = -exact.amin(-1, keepdim=True)
    # Half a step of the square root, and what it is of the value itself.
    step = 0.5 / logits.STEPS
    most = 2 * step * (exact * -depth).sqrt() + step**2 * depth
    assert (found - exact).abs().le(most + 1e-4).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_certainty_is_kept(tmp_path: Path, bits: Bits) -> None:
    zero, nothing = torch.zeros(1, 1), torch.full((1,), logits.NOTHING)
    told = StoredLogits("t", "f", ["0"], [zero], [torch.tensor([[7]])], [nothing])
    logits.write(tmp_path, told, bits)
    found = logits.read(tmp_path)
    assert found.values[0].item() == 0
    assert found.rests[0].exp().item() == 0


def test_files_are_less_than_half_of_plain_ones_and_8_bits_smaller_still(
    tmp_path: Path,
) -> None:
    """Answers that use few tokens, as those of a workload do."""
    told = made([2] * 400, 32, 64, seed=0)
    plain = 800 * 32 * (2 + 4)
    sixteen, eight = logits.write(tmp_path, told), logits.write(tmp_path, told, bits=8)
    assert eight < sixteen < plain / 2
