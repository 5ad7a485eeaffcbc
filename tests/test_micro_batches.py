"""Parts of a batch: the same gradient, and less memory where there is little."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForCausalLM

from tasks import micro_batches
from tasks.batches import Batch, answer_logits, pack, pad
from tasks.errors import ModelError
from tasks.examples import Example
from tasks.micro_batches import MicroBatches, rows_that_fit
from tests.tiny import tiny_model

EXAMPLES = [
    Example(str(n), tuple(range(5, 9 + 3 * n)), tuple(range(40, 42 + n % 3))) for n in range(6)
]
BATCHES = {"padded": pad(EXAMPLES, 2), "packed": pack(EXAMPLES, 2, 40)}


@pytest.fixture
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tiny_model(tmp_path_factory.mktemp("model"), layers=2)
    return AutoModelForCausalLM.from_pretrained(folder).train()


def loss_of(model: Any) -> micro_batches.Loss:
    def loss(batch: Batch) -> Tensor:
        return functional.cross_entropy(answer_logits(model, batch), batch.answers)

    return loss


def gradients(model: Any) -> list[Tensor]:
    return [value.grad.clone() for value in model.parameters()]


@pytest.mark.parametrize("rows", [1, 2, 4, 5])
@pytest.mark.parametrize("kind", BATCHES)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradient_of_the_parts_is_that_of_the_whole_batch(
    model: Any, rows: int, kind: str, checkpointing: bool
) -> None:
    batch, loss = BATCHES[kind], loss_of(model)
    whole = loss(batch)
    whole.backward()
    wanted = gradients(model)
    model.zero_grad()
    told = MicroBatches(model, rows, checkpointing).backward(batch, loss)
    assert told.item() == pytest.approx(whole.item(), rel=1e-5)
    for one, other in zip(gradients(model), wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def small(model: Any, most: int, needs_checkpointing: bool = False) -> micro_batches.Loss:
    """A loss that runs out of memory as CUDA does, with more than `most` rows at once."""
    loss = loss_of(model)

    def limited(batch: Batch) -> Tensor:
        value = loss(batch)
        held = needs_checkpointing and not model.is_gradient_checkpointing
        if len(batch.input_ids) > most or held:
            # After the forward pass of a part: gradients of earlier parts are there already.
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return value

    return limited


def test_out_of_memory_halves_the_rows_and_keeps_the_gradient(
    model: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = BATCHES["padded"]
    loss_of(model)(batch).backward()
    wanted = gradients(model)
    model.zero_grad()
    micro = MicroBatches(model, 6, False)
    micro.backward(batch, small(model, most=2))
    assert (micro.rows, micro.checkpointing) == (1, False)
    assert "from here on 1 rows at once" in capsys.readouterr().out
    for one, other in zip(gradients(model), wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_failure_in_a_later_part_leaves_nothing_of_the_earlier_ones(model: Any) -> None:
    batch = BATCHES["padded"]
    loss_of(model)(batch).backward()
    wanted = gradients(model)
    model.zero_grad()
    loss, calls = loss_of(model), []

    def fails_once(part: Batch) -> Tensor:
        calls.append(len(part.input_ids))
        if len(calls) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return loss(part)

    MicroBatches(model, 4, False).backward(batch, fails_once)
    assert calls == [4, 2, 2, 2, 2]
    for one, other in zip(gradients(model), wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_where_one_row_is_too_much_activations_are_computed_twice(model: Any) -> None:
    micro = MicroBatches(model, 2, False)
    micro.backward(BATCHES["padded"], small(model, most=1, needs_checkpointing=True))
    assert (micro.rows, micro.checkpointing) == (1, True)
    assert model.is_gradient_checkpointing


def test_where_nothing_helps_the_remedy_is_told(model: Any) -> None:
    with pytest.raises(ModelError, match=r"single row of .* tokens .* method lora"):
        MicroBatches(model, 8, False).backward(BATCHES["padded"], small(model, most=0))


def test_other_errors_are_not_taken_for_a_lack_of_memory(model: Any) -> None:
    def broken(_: Batch) -> Tensor:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        MicroBatches(model, 8, False).backward(BATCHES["padded"], broken)


def test_rows_follow_from_free_memory(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    loss, widest = loss_of(model), pad([EXAMPLES[-1]] * 2, 2)
    trained = model.num_parameters() * micro_batches.ADAM_BYTES
    row = micro_batches._kept_bytes(model, loss, pad([EXAMPLES[-1]], 2))
    assert row > 10_000
    fits = {}
    for rows in (0, 3, 12):
        free = int((trained + (rows + 0.5) * row * micro_batches.BACKWARD) / micro_batches.SHARE)
        monkeypatch.setattr(micro_batches, "_free_bytes", lambda _, free=free: free)
        fits[rows] = rows_that_fit(model, loss, widest)
    assert fits == {0: 0, 3: 3, 12: 12}


def test_checkpointing_keeps_less_and_nothing_counts_the_weights(model: Any) -> None:
    loss, batch = loss_of(model), BATCHES["padded"]
    kept = micro_batches._kept_bytes(model, loss, batch)
    for value in model.parameters():
        value.requires_grad_(False)
    assert micro_batches._kept_bytes(model, loss, batch) == 0
    for value in model.parameters():
        value.requires_grad_(True)
    MicroBatches(model, 1, checkpointing=True)
    assert micro_batches._kept_bytes(model, loss, batch) < kept / 2


def test_free_memory_of_a_container_is_less_than_its_machines(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(micro_batches, "CGROUP", tmp_path)
    machine = micro_batches._free_bytes(torch.device("cpu"))
    assert machine > 2**20
    (tmp_path / "memory.stat").write_text("anon 1000\nfile 999999\n")
    (tmp_path / "memory.max").write_text("5000\n")
    assert micro_batches._free_bytes(torch.device("cpu")) == 4000
    (tmp_path / "memory.max").write_text("max\n")
    assert micro_batches._free_bytes(torch.device("cpu")) > 2**20
