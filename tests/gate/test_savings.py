"""A saving counts only if it was measured: phantom savings are rejected, in words."""

from typing import Any

import pytest

from tasks.candidates_table import Evaluation
from tasks.gate import savings
from tasks.gate.config import LedgerConfig
from tasks.gate.selection import Evaluated, choose
from tests.gate.made_up import CONFIG, answers, evaluation

TEACHER = evaluation("teacher", 0.01, "teacher")


def changed(report: Evaluation, **cost: Any) -> Evaluation:
    return report.model_copy(update={"cost": report.cost.model_copy(update=cost)})


def lacks(candidate: Evaluation, teacher: Evaluation = TEACHER) -> str:
    return "; ".join(savings.lacks(teacher, candidate, CONFIG))


def test_a_measured_saving_lacks_nothing() -> None:
    assert lacks(evaluation("small", 0.001)) == ""


def test_a_smaller_model_that_is_no_cheaper_is_said_to_be_so() -> None:
    half = evaluation("int8", 0.013).model_copy(update={"size_mb": TEACHER.size_mb / 2})  # type: ignore[operator]
    assert "50% of the teacher's size, but not cheaper" in lacks(half)
    selection = choose(
        Evaluated(TEACHER, answers(600, range(60))),
        [Evaluated(half, answers(600, range(60)))],
        CONFIG,
        test_items=1000,
    )
    assert selection.chosen is None
    assert selection.undecided is None
    assert "not cheaper" in selection.considered[0].decision


def test_masked_weights_save_nothing() -> None:
    masked = evaluation("masked", 0.0101).model_copy(update={"size_mb": TEACHER.size_mb})
    assert "not cheaper" in lacks(masked)
    assert "and it is no smaller" in lacks(masked)


def test_a_saving_within_the_noise_does_not_count() -> None:
    noisy = changed(evaluation("noisy", 0.008), repeats=(0.004, 0.012, 0.008))
    assert "not cheaper" in lacks(noisy)


def test_a_price_measured_once_does_not_count() -> None:
    once = changed(evaluation("once", 0.001), repeats=(0.001,))
    assert "raise evaluate.measure.repeats to 2 or more" in lacks(once)


def test_a_saving_on_other_hardware_does_not_count() -> None:
    here = TEACHER.model_copy(update={"hardware": {"cpu": "A", "cores": 2}})
    there = evaluation("small", 0.001).model_copy(update={"hardware": {"cpu": "A", "cores": 64}})
    assert "other hardware than the teacher (cores 64 against 2)" in lacks(there, here)


def test_a_saving_under_another_load_does_not_count() -> None:
    small = evaluation("small", 0.001)
    performance = small.performance.model_copy(update={"concurrency": 64})
    assert "under another load" in lacks(small.model_copy(update={"performance": performance}))


def test_a_candidate_that_misses_the_service_level_cannot_be_chosen() -> None:
    level = {"p95_ms_asked": 100.0, "p95_ms_measured": 180.0, "met": False, "concurrency": 1}
    teacher, late = (
        Evaluation.model_validate(
            one.model_dump() | {"cost": one.cost.model_dump() | {"service_level": level}}
        )
        for one in (TEACHER, evaluation("late", 0.001))
    )
    found = lacks(late, teacher)
    assert "does not answer 95% of requests within the 100 ms" in found
    assert "180 ms" in found


def test_router_judge_and_fallback_count_against_the_saving() -> None:
    config = CONFIG.model_copy(
        update={
            "ledger": LedgerConfig(
                escalation_share=0.1, router_per_1000=0.0005, judge_per_1000=0.0003
            )
        }
    )
    small = evaluation("small", 0.001)
    found = savings.ledger(TEACHER, small, config)
    assert found.fallback_per_1000 == pytest.approx(0.001)
    assert found.net_per_1000 == pytest.approx(0.0028)
    assert found.saving_per_1000 == pytest.approx(0.0072)
    assert found.ratio.value == pytest.approx(0.28)
    assert "it costs 0.280 of the teacher's price" in "".join(savings.lacks(TEACHER, small, config))


def test_what_was_spent_once_is_paid_back_by_so_many_requests() -> None:
    config = CONFIG.model_copy(
        update={
            "ledger": LedgerConfig(
                labels_price=0.62, training_price_per_hour=0.36, requests_per_month=50_000
            )
        }
    )
    seconds = {"finetune/lora": 1000.0, "label/lora": 200.0, "distill/small": 600.0}
    spent = {"machine_seconds": seconds, "paid": {"ask/large": 0.2}}
    small = evaluation("small", 0.001).model_copy(update=spent)
    found = savings.ledger(TEACHER, small, config)
    assert found.machine_price == pytest.approx(0.18)
    assert found.labels_price == pytest.approx(0.82)
    assert found.one_time == pytest.approx(1.0)
    assert found.break_even_requests == pytest.approx(1.0 / 0.009 * 1000, abs=1)
    assert found.months_to_break_even == pytest.approx(1.0 / 0.009 / 50, abs=0.01)
    assert "pay back" in savings.words(found)


def test_a_ledger_without_a_saving_says_so() -> None:
    found = savings.ledger(TEACHER, evaluation("dear", 0.02), CONFIG)
    assert found.break_even_requests is None
    assert savings.words(found).startswith("nothing is saved")
    assert "no router, judge or fallback is configured" in found.notes[0]
