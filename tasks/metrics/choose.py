"""The metrics of a task.

    score = scorer(task.primary_metric, task)
    score("positive", "negative")               0.0
    corpus("macro_f1")(answers, references).value()    0.873

Libraries are imported when a metric that needs them is chosen.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from tasks import intervals
from tasks.config import CORPUS_METRICS, Task
from tasks.intervals import Interval
from tasks.records import Prediction

if TYPE_CHECKING:
    from tasks.metrics.additive import Additive

Score = Callable[[str, str], float]
"""Of one answer beside its reference, 0 to 1."""

CorpusScore = Callable[[Sequence[str], Sequence[str]], "Additive"]
"""Of all answers beside their references, 0 to 1."""


def scorer(metric: str, task: Task) -> Score:
    """What gives one answer its score.

    Raises:
        ConfigError: a metric of the user's own that cannot be loaded.
        ValueError: not a metric that single answers have.
    """
    match metric:
        case "accuracy" | "exact_match" if task.kind != "extraction":
            from tasks.metrics.classification import exact_match

            return exact_match
        case "exact_match":
            from tasks.metrics.extraction import same_value

            return same_value
        case "field_f1":
            from tasks.metrics.extraction import field_f1

            return field_f1
        case "json_validity":
            from tasks.metrics.extraction import json_validity

            schema = task.answer_schema or {}
            return lambda answer, _: json_validity(answer, schema)
        case "chrf":
            from tasks.metrics.text import chrf

            return chrf
        case "rouge_1" | "rouge_2" | "rouge_l":
            from tasks.metrics.text import rouge

            return partial(rouge, metric)
        case _ if ":" in metric:
            from tasks.metrics.custom import load

            return load(metric)
        case _:
            raise ValueError(f"{metric}: no score of a single answer")


def corpus(metric: str) -> CorpusScore:
    """What gives all answers together their score.

    Raises:
        ValueError: not a metric of whole corpora.
    """
    match metric:
        case "macro_f1":
            from tasks.metrics.classification import macro_f1

            return macro_f1
        case "bleu":
            from tasks.metrics.text import bleu

            return bleu
        case "corpus_chrf":
            from tasks.metrics.text import corpus_chrf

            return corpus_chrf
        case _:
            raise ValueError(f"{metric}: no score of a corpus")


def interval(metric: str, predictions: Sequence[Prediction], task: Task) -> Interval:
    """A metric of all answers with its 95% interval.

    Raises:
        ConfigError: a metric of the user's own that cannot be loaded.
    """
    answers = [each.answer for each in predictions]
    references = [each.reference for each in predictions]
    if metric in CORPUS_METRICS:
        return corpus(metric)(answers, references).interval()
    score = scorer(metric, task)
    return intervals.mean_score([score(*pair) for pair in zip(answers, references, strict=True)])
