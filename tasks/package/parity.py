"""Does the finished Bento answer as the candidate did that was evaluated?

    parity = check("sentiment:abc", home, candidate, evaluated, task, config)
    parity["agreement"]     # 1.0

It is served from the store, alone, and asked validation rows over HTTP. Prompts must be token for
token as long as evaluation's, and answers the same but for near ties, which come out by what else
is computed at the same time.
"""

from collections.abc import Sequence
from pathlib import Path

from bentos.generator.prompt import Renderer
from tasks import paths, records, service
from tasks.config import Task
from tasks.errors import ModelError
from tasks.examples import prompt_ids
from tasks.package.config import PackageConfig
from tasks.records import Prediction, Record
from tasks.scoring import Answers, Traffic

CONCURRENCY = 32
SHOWN = 5
"""Ids of rows that differ, in a message."""


def check(
    tag: str, home: Path, model: Path, evaluated: Path, task: Task, config: PackageConfig
) -> dict[str, object]:
    """Ask the Bento `tag` in the store `home`; what was asked and how many answers agree.

    Args:
        tag: of the Bento.
        home: BentoML's store.
        model: folder of the candidate that it holds.
        evaluated: folder of that candidate's evaluation.
        task: how the answers were drawn.
        config: how many rows, and how many of them must agree.

    Raises:
        ModelError: prompts differ in length, or too many answers do.
    """
    told = list(records.read(evaluated / paths.PREDICTIONS, Prediction))[: config.parity_rows]
    by_id = {row.id: row for row in records.read(paths.VALIDATION, Record)}
    rows = [by_id[each.id] for each in told]
    with service.of_bento(tag, home, task) as served:
        answers = served.answer_all(rows, Traffic(CONCURRENCY), progress_label="package:parity")
    _check_prompts(tag, rows, answers, model)
    pairs = zip(told, answers.predictions, strict=True)
    others = [one.id for one, other in pairs if one.answer != other.answer]
    agreement = 1 - len(others) / len(rows)
    if agreement < config.min_agreement:
        raise ModelError(
            f"{tag}: {len(others)} of {len(rows)} answers are not those that were evaluated "
            f"({', '.join(others[:SHOWN])}); package.min_agreement asks for "
            f"{config.min_agreement:.1%}"
        )
    return {"rows": len(rows), "agreement": agreement, "differing": others}


def _check_prompts(tag: str, rows: Sequence[Record], answers: Answers, model: Path) -> None:
    renderer = Renderer.from_folder(model)
    lengths = [len(prompt_ids(row, renderer)) for row in rows]
    others = [
        row.id
        for row, ours, theirs in zip(rows, lengths, answers.prompt_tokens, strict=True)
        if ours != theirs
    ]
    if others:
        raise ModelError(
            f"{tag}: {len(others)} prompts have not as many tokens as evaluation's "
            f"({', '.join(others[:SHOWN])}): the Bento's chat template or tokenizer is another one"
        )
