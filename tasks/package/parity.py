"""Does the finished Bento answer as the candidate did that was evaluated?

    parity = check("sentiment:abc", home, candidate, evaluated, task, config)
    parity["agreement"]     # 1.0

It is served from the store, alone, and asked validation rows over HTTP. Prompts must be token for
token evaluation's. HTTP tells how many tokens were read, not which, so the Bento's own code and
files render them once more, in a process that finds nothing of the checkout, and the served ones
must be as long. Answers must be the same but for near ties, which come out by what else is computed
at the same time.
"""

import json
import os
import subprocess
import sys
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

RENDER = """
import json, sys
from pathlib import Path
from bentos.generator.prompt import Renderer
renderer = Renderer.from_folder(Path("bentos/generator/model"))
for line in sys.stdin:
    print(json.dumps(renderer.encode(renderer.render(json.loads(line)))))
"""
"""Token ids of messages, a line each; in the folder of a Bento's code."""


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
        ModelError: prompts differ, or too many answers do.
    """
    told = list(records.read(evaluated / paths.PREDICTIONS, Prediction))[: config.parity_rows]
    by_id = {row.id: row for row in records.read(paths.VALIDATION, Record)}
    rows = [by_id[each.id] for each in told]
    prompts = _check_tokens(tag, home, rows, model)
    with service.of_bento(tag, home, task) as served:
        answers = served.answer_all(rows, Traffic(CONCURRENCY), progress_label="package:parity")
    _check_lengths(tag, rows, prompts, answers)
    pairs = zip(told, answers.predictions, strict=True)
    others = [one.id for one, other in pairs if one.answer != other.answer]
    agreement = 1 - len(others) / len(rows)
    if agreement < config.min_agreement:
        raise ModelError(
            f"{tag}: {len(others)} of {len(rows)} answers are not those that were evaluated "
            f"({', '.join(others[:SHOWN])}); package.min_agreement asks for "
            f"{config.min_agreement:.1%}"
        )
    return {
        "rows": len(rows),
        "identical_prompts": len(prompts),
        "agreement": agreement,
        "differing": others,
    }


def _check_tokens(tag: str, home: Path, rows: Sequence[Record], model: Path) -> list[list[int]]:
    """Evaluation's prompts, which the Bento's own renderer must make, too."""
    renderer = Renderer.from_folder(model)
    evaluated = [prompt_ids(row, renderer) for row in rows]
    pairs = zip(rows, evaluated, packaged_ids(tag, home, rows), strict=True)
    others = [row.id for row, ours, theirs in pairs if ours != theirs]
    if others:
        raise ModelError(
            f"{tag}: {len(others)} prompts have other tokens than evaluation's "
            f"({', '.join(others[:SHOWN])}): the Bento's chat template, tokenizer or renderer is "
            "another one; package again"
        )
    return evaluated


def packaged_ids(tag: str, home: Path, rows: Sequence[Record]) -> list[list[int]]:
    """The rows' prompts as the Bento `tag` in the store `home` renders them.

    Raises:
        ModelError: it could not, with the end of what it said.
    """
    done = subprocess.run(
        [sys.executable, "-B", "-c", RENDER],
        input="".join(f"{json.dumps(row.messages)}\n" for row in rows),
        cwd=home / "bentos" / tag.replace(":", "/") / "src",
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ModelError(f"{tag}: its renderer failed: {done.stderr.strip()[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def _check_lengths(
    tag: str, rows: Sequence[Record], prompts: Sequence[Sequence[int]], answers: Answers
) -> None:
    trios = zip(rows, prompts, answers.prompt_tokens, strict=True)
    others = [row.id for row, prompt, read in trios if len(prompt) != read]
    if others:
        raise ModelError(
            f"{tag}: {len(others)} prompts have not as many tokens as evaluation's "
            f"({', '.join(others[:SHOWN])}): the service asks its model something else than its "
            "renderer makes of these messages, such as another system message"
        )
