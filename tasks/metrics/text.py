"""Answers that are texts, measured by what they share with the reference.

    chrf("the cat sat", "the cat sat down")     0.76...
    bleu(["the cat sat"], ["the cat sat down"]).value()    of all answers together

chrF (Popovic 2015) and BLEU (Papineni et al. 2002) as sacrebleu computes them (Post 2018), ROUGE
(Lin 2004) as rouge-score does, all divided by 100 where they are percentages.
"""

from collections.abc import Sequence
from functools import cache, partial
from typing import Literal

import numpy as np
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from tasks.metrics.additive import Additive, Floats

MAX_ORDER = 4
Rouge = Literal["rouge_1", "rouge_2", "rouge_l"]


def chrf(answer: str, reference: str) -> float:
    """Character n-gram F score of one answer, 0 to 1."""
    return min(1.0, sacrebleu.sentence_chrf(answer, [reference]).score / 100)


def corpus_chrf(answers: Sequence[str], references: Sequence[str]) -> Additive:
    """Character n-gram F score of all answers together, 0 to 1, as papers report it."""
    metric = sacrebleu.CHRF()
    # What sacrebleu draws its own bootstrap samples from.
    rows = metric._extract_corpus_statistics(answers, [references])

    def of_one(sums: Floats) -> float:
        return min(1.0, metric._compute_f_score(list(sums)) / 100)

    return Additive(np.array(rows, dtype=float), partial(np.apply_along_axis, of_one, -1))


def bleu(answers: Sequence[str], references: Sequence[str]) -> Additive:
    """BLEU of all answers together, 0 to 1; it has no meaning for a single short one."""
    rows = []
    for answer, reference in zip(answers, references, strict=True):
        one = sacrebleu.sentence_bleu(answer, [reference])
        rows.append([*one.counts, *one.totals, one.sys_len, one.ref_len])
    return Additive(np.array(rows, dtype=float), partial(np.apply_along_axis, _bleu, -1))


def _bleu(sums: Floats) -> float:
    *ngrams, sys_len, ref_len = (round(value) for value in sums)
    counts, totals = ngrams[:MAX_ORDER], ngrams[MAX_ORDER:]
    found = sacrebleu.BLEU.compute_bleu(
        counts, totals, sys_len, ref_len, smooth_method="exp", max_ngram_order=MAX_ORDER
    )
    return min(1.0, float(found.score) / 100)


def rouge(kind: Rouge, answer: str, reference: str) -> float:
    """F measure of shared words, of pairs of words or of the longest common subsequence."""
    [(_, found)] = _scorer(kind).score(reference, answer).items()
    return float(found.fmeasure)


@cache
def _scorer(kind: Rouge) -> RougeScorer:
    name = kind.replace("_", "").replace("l", "L")
    # Without a stemmer, which knows English only.
    return RougeScorer([name], use_stemmer=False)
