"""Training records whose label is probably wrong.

{"looked_at": 6400, "suspected": 173, "ids": ["00a1…", …]}

Confident learning (Northcutt, Jiang and Chuang 2021): a model that never saw a record says how
probable each label is; a record is suspected when another label is at least as probable as that
label is on average for records that carry it, and more than any other such label. The model is
TF-IDF and logistic regression in five folds. Nothing is removed: someone should look.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.config import Task
from tasks.prepare.config import Prepare
from tasks.prepare.duplicates import Positions
from tasks.prepare.table import Table, lines

FOLDS = 5
SHOWN = 200


def suspected(
    file: Path, table: Table, side: Positions, config: Prepare, task: Task
) -> dict[str, object] | None:
    """What is suspected in one split; None of a task without labels or with too few records.

    Args:
        file: the records.
        table: numbers of the records.
        side: the split, in order of ids: hashes, so that its beginning is a fair sample.
        config: how many records are looked at.
        task: has the labels.
    """
    chosen = side[: config.label_noise_rows]
    labels = table.label[chosen]
    if not task.labels or not len(chosen) or np.bincount(labels).min() < FOLDS:
        return None
    texts, ids = [], []
    for line in lines(file, table, chosen):
        record = json.loads(line)
        texts.append(" ".join(m["content"] for m in record["messages"] if m["role"] != "system"))
        ids.append(record["id"])
    doubts = doubtful(_probabilities(texts, labels), labels)
    worst = [ids[place] for place in doubts[:SHOWN]]
    return {"looked_at": len(chosen), "suspected": len(doubts), "ids": worst}


def doubtful(probabilities: NDArray[np.float64], labels: NDArray[np.int32]) -> list[int]:
    """Places whose label is doubted, the least probable label first.

    Args:
        probabilities: of each label, from a model that was not trained on the row. (N, L)
        labels: what the rows carry. (N,)
    """
    rows = np.arange(len(labels))
    given = probabilities[rows, labels]
    usual = np.array([given[labels == label].mean() for label in range(probabilities.shape[1])])
    likely = np.where(probabilities >= usual, probabilities, -1.0)
    likely[rows, labels] = np.where(given >= usual[labels], given, -1.0)
    best = likely.argmax(axis=1)
    wrong = np.flatnonzero((likely.max(axis=1) >= 0) & (best != labels))
    return [int(place) for place in wrong[np.argsort(given[wrong], kind="stable")]]


def _probabilities(texts: list[str], labels: NDArray[np.int32]) -> NDArray[np.float64]:
    from sklearn.feature_extraction.text import TfidfVectorizer  # heavy, and not always needed
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    model: Any = make_pipeline(
        TfidfVectorizer(sublinear_tf=True),
        LogisticRegression(C=4.0, tol=1e-2, max_iter=1000),
    )
    found = cross_val_predict(
        model, texts, labels, cv=StratifiedKFold(FOLDS), method="predict_proba"
    )
    return np.asarray(found, np.float64)
