"""Divergences against sums over the whole vocabulary, in double precision."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tasks.distill import losses
from tasks.distill.config import DistillConfig, Divergence
from tasks.logits import NOTHING

VOCABULARY = 12
CONFIG = DistillConfig.model_validate({"from": "prune/a", "labels": "b", "max_steps": 1})


def config(divergence: Divergence, beta: float = 0.5) -> DistillConfig:
    return CONFIG.model_copy(update={"divergence": divergence, "beta": beta, "rest": "one_token"})


CONFIGS = [
    config("forward_kl"),
    config("reverse_kl"),
    *(config("jensen_shannon", beta) for beta in (0.1, 0.5, 0.9)),
]
logits = st.lists(
    st.lists(st.floats(-8, 8, width=32), min_size=VOCABULARY, max_size=VOCABULARY),
    min_size=2,
    max_size=2,
).map(lambda rows: torch.tensor(rows).reshape(2, 1, VOCABULARY))
heats = st.sampled_from([0.5, 1.0, 2.0, 5.0])
configs = st.sampled_from(CONFIGS)


def dense(student: Tensor, teacher: Tensor, heat: float, asked: DistillConfig) -> float:
    """By the definition, over every token."""
    q, p = ((each.double() / heat).softmax(-1) for each in (student, teacher))

    def kl(a: Tensor, b: Tensor) -> Tensor:
        return torch.xlogy(a, a / b).sum(-1).mean()

    mixture = asked.beta * p + (1 - asked.beta) * q
    return float(
        {
            "forward_kl": kl(p, q),
            "reverse_kl": kl(q, p),
            "jensen_shannon": asked.beta * kl(p, mixture) + (1 - asked.beta) * kl(q, mixture),
        }[asked.divergence]
    )


def stored(teacher: Tensor, top_k: int) -> tuple[Tensor, Tensor, Tensor]:
    scores = teacher.log_softmax(-1)
    top = scores.topk(top_k)
    rests = scores.scatter(-1, top.indices, NOTHING).logsumexp(-1)
    return top.values, top.indices, rests


@given(logits, heats, configs)
def test_over_all_tokens_divergences_are_those_of_their_definition(
    pair: Tensor, heat: float, asked: DistillConfig
) -> None:
    student, teacher = pair
    found = losses.diverge(losses.soft(student, heat), losses.soft(teacher, heat), asked)
    assert float(found) == pytest.approx(dense(student, teacher, heat, asked), abs=2e-5, rel=1e-4)


@given(logits, heats, configs)
def test_keeping_every_token_and_the_rest_is_the_dense_divergence(
    pair: Tensor, heat: float, asked: DistillConfig
) -> None:
    student, teacher = pair
    kept = losses.aligned_with_rest(student, *stored(teacher, VOCABULARY), heat)
    found = float(losses.diverge(*kept, asked))
    assert found == pytest.approx(dense(student, teacher, heat, asked), abs=2e-5, rel=1e-4)


@given(logits, st.integers(1, VOCABULARY - 1), configs)
def test_rest_as_one_token_never_tells_more_than_all_tokens_do(
    pair: Tensor, top_k: int, asked: DistillConfig
) -> None:
    student, teacher = pair
    kept = losses.aligned_with_rest(student, *stored(teacher, top_k), 1.0)
    found = float(losses.diverge(*kept, asked))
    assert -1e-5 <= found <= dense(student, teacher, 1.0, asked) + 2e-5


@given(logits, st.integers(1, VOCABULARY), heats, configs)
def test_student_that_equals_its_teacher_has_nothing_to_learn(
    pair: Tensor, top_k: int, heat: float, asked: DistillConfig
) -> None:
    teacher = pair[1].requires_grad_()
    kept = losses.aligned_with_rest(teacher, *(t.detach() for t in stored(teacher, top_k)), heat)
    found = losses.diverge(*kept, asked)
    (slope,) = torch.autograd.grad(found, teacher)
    assert float(found.detach()) == pytest.approx(0, abs=1e-5)
    assert float(slope.abs().max()) == pytest.approx(0, abs=1e-5)


@given(logits, st.integers(1, VOCABULARY), heats)
def test_scaling_the_kept_tokens_up_is_forward_divergence_to_that_teacher(
    pair: Tensor, top_k: int, heat: float
) -> None:
    student, teacher = pair
    values, tokens, _ = stored(teacher, top_k)
    only = torch.full_like(teacher, -200.0).scatter(-1, tokens, values)
    kept = losses.aligned(student, values, tokens, heat)
    found = float(losses.forward_kl(*kept))
    expected = dense(student, only, heat, config("forward_kl"))
    assert found == pytest.approx(expected, abs=2e-5, rel=1e-4)


@given(logits)
@settings(max_examples=20)
def test_jensen_shannon_nears_either_divergence_at_its_ends(pair: Tensor) -> None:
    student, teacher = (each.double().log_softmax(-1) for each in pair / 4)
    end = 1e-6
    forward = losses.jensen_shannon(student, teacher, end) / end
    reverse = losses.jensen_shannon(student, teacher, 1 - end) / end
    # Terms of a divergence that is nearly nothing cancel, and what was rounded is divided too.
    near = partial(pytest.approx, rel=1e-3, abs=VOCABULARY * torch.finfo(torch.double).eps / end)
    assert float(forward) == near(float(losses.forward_kl(student, teacher)))
    assert float(reverse) == near(float(losses.reverse_kl(student, teacher)))


@pytest.mark.parametrize("asked", CONFIGS)
def test_a_teacher_that_is_certain_gives_finite_loss_and_slope(asked: DistillConfig) -> None:
    student = torch.zeros(1, VOCABULARY, requires_grad=True)
    teacher = torch.zeros(1, VOCABULARY)
    teacher[0, 3] = 500.0
    kept = losses.aligned_with_rest(student, *stored(teacher, 1), 2.0)
    loss = losses.diverge(*kept, asked)
    (slope,) = torch.autograd.grad(loss, student)
    assert torch.isfinite(loss)
    assert torch.isfinite(slope).all()
    assert slope[0, 3] < 0


def test_loss_is_the_cross_entropy_when_the_teacher_has_no_weight() -> None:
    scores, answers = torch.randn(3, 10), torch.tensor([1, 2, 3])
    alone = CONFIG.model_copy(update={"kl_weight": 0.0})
    loss = losses.mixed(torch.tensor(7.0), scores, answers, alone)
    assert torch.allclose(loss, torch.nn.functional.cross_entropy(scores, answers))
