"""What a student is trained to make small, in nats a token.

    student, teacher = aligned(scores, values, tokens, heat=2.0)
    loss = mixed(diverge(student, teacher, config), scores, answers, config)

Divergences take log-probabilities (A, K) of the same K outcomes and give their mean over A.
"""

import math
from typing import assert_never

import torch
from torch import Tensor
from torch.nn import functional

from tasks.distill.config import DistillConfig
from tasks.logits import NOTHING


def forward_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher | student) (Hinton et al. 2015, arXiv:1503.02531)."""
    return functional.kl_div(student, teacher, reduction="batchmean", log_target=True)


def reverse_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(student | teacher) (MiniLLM, Gu et al. 2023, arXiv:2306.08543)."""
    return forward_kl(teacher, student)


def jensen_shannon(student: Tensor, teacher: Tensor, beta: float) -> Tensor:
    """Mean divergence of both from their mixture, the teacher weighing `beta`.

    Over `beta` it nears the forward divergence where beta nears 0, over 1 - `beta` the reverse one
    where it nears 1 (GKD, Agarwal et al. 2023, arXiv:2306.13649, section 2).
    """
    mixture = torch.logaddexp(teacher + math.log(beta), student + math.log1p(-beta))
    return beta * forward_kl(mixture, teacher) + (1 - beta) * forward_kl(mixture, student)


def diverge(student: Tensor, teacher: Tensor, config: DistillConfig) -> Tensor:
    """The divergence that the student's settings name."""
    match config.divergence:
        case "forward_kl":
            return forward_kl(student, teacher)
        case "reverse_kl":
            return reverse_kl(student, teacher)
        case "jensen_shannon":
            return jensen_shannon(student, teacher, config.beta)
        case _:
            assert_never(config.divergence)


def mixed(divergence: Tensor, scores: Tensor, answers: Tensor, config: DistillConfig) -> Tensor:
    """A divergence mixed with the cross-entropy of the answers.

    The divergence is scaled by the temperature's square, so that its weight means the same at every
    temperature (Hinton et al. 2015, section 2).
    """
    reference = functional.cross_entropy(scores, answers)
    weight = config.kl_weight
    return weight * config.temperature**2 * divergence + (1 - weight) * reference


def soft(scores: Tensor, heat: float) -> Tensor:
    """Log-probabilities at a temperature."""
    return (scores / heat).log_softmax(-1)


def aligned(scores: Tensor, values: Tensor, tokens: Tensor, heat: float) -> tuple[Tensor, Tensor]:
    """Student and teacher over the kept tokens, the teacher as if there were no others.

    Args:
        scores: the student's logits, (A, V).
        values: the teacher's log-probabilities of its likeliest tokens, (A, K).
        tokens: which tokens those are, (A, K).
        heat: the temperature.
    """
    return soft(scores, heat).gather(-1, tokens), soft(values, heat)


def aligned_with_rest(
    scores: Tensor, values: Tensor, tokens: Tensor, rests: Tensor, heat: float
) -> tuple[Tensor, Tensor]:
    """Student and teacher over the kept tokens and one more that stands for all others, (A, K + 1).

    What is left out biases the student towards what is kept (Anshumann et al. 2025,
    arXiv:2503.16870). At temperature 1 no divergence here is greater than over all tokens, for
    telling fewer outcomes apart cannot drive distributions further apart.

    Args:
        scores: the student's logits, (A, V).
        values: the teacher's log-probabilities of its likeliest tokens, (A, K).
        tokens: which tokens those are, (A, K).
        rests: log of the probability of the others, (A,).
        heat: the temperature.
    """
    student = scores.log_softmax(-1)  # (A, V)
    others = student.scatter(-1, tokens, NOTHING).logsumexp(-1, keepdim=True)
    student = torch.cat([student.gather(-1, tokens), others], -1)
    return soft(student, heat), soft(torch.cat([values, rests[:, None]], -1), heat)
