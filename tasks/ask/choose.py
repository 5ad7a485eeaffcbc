"""Which of several answers a student learns.

    choose(["4", "4", "5"], "", config, score)    Choice("4", 0.5)

Several samples and a filter make better examples than one answer taken on trust: by the reference
(STaR, Zelikman et al. 2022, arXiv:2203.14465) or, where there is none, by what most samples say
(self-consistency, Wang et al. 2022, arXiv:2203.11171).
"""

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple, assert_never

from tasks.ask.config import AskConfig
from tasks.metrics.choose import Score


class Choice(NamedTuple):
    """An answer with what the filter says of it, 0 to 1."""

    answer: str
    score: float


def choose(answers: Sequence[str], reference: str, config: AskConfig, score: Score) -> Choice:
    """The best of at least one answer; of equals the first."""
    match config.filter:
        case "none":
            return Choice(answers[0], 1.0)
        case "reference":
            rated = [Choice(answer, score(answer, reference)) for answer in answers]
        case "agreement":
            rated = [
                Choice(answer, agreement(answer, [*answers[:place], *answers[place + 1 :]], score))
                for place, answer in enumerate(answers)
            ]
        case _:
            assert_never(config.filter)
    return max(rated, key=lambda choice: choice.score)


def agreement(answer: str, others: Sequence[str], score: Score) -> float:
    """Mean score of an answer with each of the others as its reference.

    With right-or-wrong scores the best one is the vote's winner; with graded ones it is nearest to
    all (minimum Bayes risk, Eikema and Aziz 2020, arXiv:2005.10283).
    """
    return fmean(score(answer, other) for other in others) if others else 0.0
