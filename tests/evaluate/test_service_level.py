"""The load that is priced is the highest that keeps to the service level."""

from collections.abc import Callable, Sequence

import pytest
from pydantic import ValidationError

from tasks import evaluation_report
from tasks.evaluate.served import Ask, priced
from tasks.measure import MeasureConfig
from tasks.records import Prediction, Record
from tasks.scoring import Answers, Traffic
from tests.tiny import record

ROWS = [record(number) for number in range(24)]
SHARES = [ROWS[:12], ROWS[12:]]


def server(latency: Callable[[int], float]) -> Ask:
    """A server whose requests take `latency(concurrency)` seconds."""

    def ask(rows: Sequence[Record], traffic: Traffic) -> Answers:
        each = latency(traffic.concurrency)
        predictions = [
            Prediction(id=r.id, reference=r.reference, answer="negative", score=1.0) for r in rows
        ]
        return Answers(
            predictions,
            latencies=[each] * len(rows),
            prompt_tokens=[20] * len(rows),
            completion_tokens=[1] * len(rows),
            seconds=len(rows) * each / traffic.concurrency,
        )

    return ask


def config(**told: object) -> MeasureConfig:
    given = {"price_per_hour": 0.36, "repeats": 2, "seconds": 0, "concurrency": 16}
    return MeasureConfig.model_validate({**given, "load_curve": [1, 4, 64], **told})


def test_without_a_service_level_the_configured_load_is_priced() -> None:
    predictions, load = priced(server(lambda n: 0.01 * n), ROWS, SHARES, config(), 0.0)
    assert load.concurrency == 16
    assert [point.concurrency for point in load.curve] == [1, 4, 64]
    assert [prediction.id for prediction in predictions] == [row.id for row in ROWS]


@pytest.mark.parametrize(("p95_ms", "expected"), [(5, 1), (15, 1), (50, 4), (200, 16), (999, 64)])
def test_the_highest_load_within_the_service_level_is_priced(p95_ms: float, expected: int) -> None:
    measure = config(p95_ms=p95_ms)
    _, load = priced(server(lambda n: 0.01 * n), ROWS, SHARES, measure, 0.0)
    level = evaluation_report.cost(load, measure)["service_level"]
    assert (load.concurrency, level["met"]) == (expected, 10 * expected <= p95_ms)
    assert level["p95_ms_measured"] == pytest.approx(10 * expected)


def test_a_load_that_only_seemed_to_keep_the_service_level_is_not_priced() -> None:
    tries = iter([0.01, 0.02, 0.03, 0.5])  # 1, 4, 16 and 64 in flight, each tried briefly
    whole = {16: 0.2, 4: 0.05}
    seen: list[int] = []

    def latency(concurrency: int) -> float:
        seen.append(concurrency)
        return next(tries) if len(seen) <= 4 else whole[concurrency]

    _, load = priced(server(latency), ROWS, SHARES, config(p95_ms=100), 0.0)
    assert load.concurrency == 4
    assert seen == [1, 4, 16, 64, 16, 16, 4, 4]


def queue(seconds: float) -> Ask:
    """A server that answers one request after the other, each in so many seconds."""
    steady = server(lambda concurrency: seconds * concurrency)

    def ask(rows: Sequence[Record], traffic: Traffic) -> Answers:
        if traffic.per_second is None:
            return steady(rows, traffic)
        free, latencies = 0.0, []
        for due in traffic.due(len(rows)):
            free = max(free, due) + seconds
            latencies.append(free - due)
        return steady(rows, traffic)._replace(latencies=latencies, seconds=free)

    return ask


def test_random_arrivals_are_priced_at_the_highest_rate_within_the_service_level() -> None:
    # A queue with one server (M/D/1), which answers 100 requests a second: 95% take up to 52 ms
    # at 70 arrivals a second, and up to 77 ms at 80.
    measure = config(arrivals="random", p95_ms=60, seconds=100)
    predictions, load = priced(queue(0.01), ROWS, SHARES, measure, 0.0)
    assert load.arrivals_per_second == pytest.approx(70)
    assert load.rates == pytest.approx([70, 70], rel=0.05)
    assert len(load.latencies) == 2 * 7000
    assert [prediction.id for prediction in predictions] == [row.id for row in ROWS]


def test_random_arrivals_that_never_keep_the_service_level_are_said_not_to() -> None:
    measure = config(arrivals="random", p95_ms=5)
    _, load = priced(queue(0.01), ROWS, SHARES, measure, 0.0)
    assert load.arrivals_per_second == pytest.approx(10)
    assert not evaluation_report.cost(load, measure)["service_level"]["met"]


def test_random_arrivals_need_a_service_level() -> None:
    with pytest.raises(ValidationError, match="random needs p95_ms"):
        config(arrivals="random")


def test_prices_follow_from_rates_and_tokens() -> None:
    measure = config(load_curve=[])
    _, load = priced(server(lambda n: 0.016), ROWS, SHARES, measure, 0.0)
    told = evaluation_report.cost(load, measure)
    # 16 in flight at 16 ms each are 1,000 requests/s: a second of machine for 1,000 requests.
    assert told["repeats"] == pytest.approx([0.0001, 0.0001])
    assert told["per_million_tokens"]["value"] == pytest.approx(0.0001 / (1000 * 21) * 1e6)
    assert told["energy_wh_per_1000_requests"] is None or load.watt_hours is not None


def test_a_service_level_needs_loads_to_choose_from() -> None:
    with pytest.raises(ValidationError, match="give load_curve too"):
        config(p95_ms=100, load_curve=[])


def test_loads_must_differ() -> None:
    with pytest.raises(ValidationError, match="differ from each other and from concurrency"):
        config(load_curve=[1, 16])
