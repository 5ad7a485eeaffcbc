"""Evaluations and answers made up for tests of the gate."""

from pathlib import Path

from tasks import records
from tasks.candidates_table import Evaluation, Role
from tasks.gate.config import GateConfig
from tasks.gate.decide import Run
from tasks.gate.selection import Evaluated
from tasks.records import Prediction
from tests.tiny import TASK

CONFIG = GateConfig(teacher="teacher", margin=0.03, max_cost_ratio=1 / 6)


def evaluation(name: str, cost: float = 0.001, role: Role = "candidate") -> Evaluation:
    """A report of the evaluate stage with the given cost per 1,000 requests."""
    return Evaluation.model_validate(
        {
            "name": name,
            "candidate": f"quantize/{name}",
            "engine": "openvino",
            "role": role,
            "quality": {"metric": "accuracy", "n": 600, "value": 0.9, "low": 0.87, "high": 0.92},
            "performance": {
                "concurrency": 16,
                "requests_per_second": {"value": 20.0, "low": 19.0, "high": 21.0},
                "latency_ms": {"p50": 80.0, "p95": 130.0},
            },
            "cost": {
                "currency": "USD",
                "price_per_hour": 0.08,
                "per_1000_requests": {"value": cost, "low": cost * 0.9, "high": cost * 1.1},
                "repeats": [cost * 0.98, cost, cost * 1.02],
            },
            "size_mb": 72.0,
            "model_hash": "ab" * 32,
        }
    )


def answers(n: int, wrong: range = range(0)) -> list[Prediction]:
    """`n` answers to items 0..n-1, all right but those in `wrong`."""
    return [
        Prediction(
            id=f"{item:04}",
            reference="positive",
            answer="negative" if item in wrong else "positive",
            score=float(item not in wrong),
        )
        for item in range(n)
    ]


def locked_test(folder: Path, n: int) -> Path:
    """A locked test of `n` items."""
    rows = [
        records.Record(
            id=f"{item:04}", group="g", fields={}, messages=[], prompt="", reference="positive"
        )
        for item in range(n)
    ]
    file = folder / "test.jsonl"
    records.write(file, rows)
    return file


def run(test: Path, *candidates: Evaluated) -> Run:
    """A run whose teacher costs USD 0.01 and is right on all 600 validation items but 60."""
    teacher = Evaluated(evaluation("teacher", 0.01, "teacher"), answers(600, range(60)))
    evaluated = {each.report.name: each for each in (teacher, *candidates)}
    return Run("sentiment", "quick", TASK, evaluated, test, data_hash="cd" * 32)
