"""Answers of one evaluated model to the locked test, by the engine that serves it.

answer(report, items, task)     one Prediction per item, in order
"""

from collections.abc import Sequence

from bentos.generator.engine import load_engine
from tasks import params, paths
from tasks.candidates_table import Evaluation
from tasks.config import Task
from tasks.errors import DataError
from tasks.records import Prediction, Record
from tasks.remote_config import RemoteConfig
from tasks.scoring import Traffic, answer_all

CONCURRENCY = 16
"""Where the evaluation does not tell its own; changes speed, not answers."""


def answer(report: Evaluation, items: Sequence[Record], task: Task) -> Sequence[Prediction]:
    """Run the model of `report` over the items.

    Raises:
        DataError: what was evaluated is not a model of an engine.
    """
    if report.engine == "remote":
        key = f"remote.{report.name}"
        config = params.read(key, RemoteConfig)
        from tasks.remote_model import answer_all as ask_remote

        return ask_remote(config, items, task, f"gate:{report.name}", key).predictions
    match report.engine:
        case "openvino" | "vllm" | "transformers" as kind if report.candidate is not None:
            folder = paths.candidate(report.candidate)
            engine = load_engine(kind, folder)
        case _:
            raise DataError(
                f"{report.name}: only candidates with the engine openvino, vllm or transformers "
                f"can be put to the locked test, not {report.engine}; mend its role in "
                "evaluate.candidates"
            )
    try:
        return answer_all(
            engine,
            folder,
            items,
            task,
            Traffic(report.performance.concurrency or CONCURRENCY),
            progress_label=f"gate:{report.name}",
        ).predictions
    finally:
        engine.close()
