"""`python -m tasks.route` reads what evaluate left and says whether to route."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from bentos.router import calibration
from tasks import bento_store, bill, paths, records
from tasks.bento_store import Built
from tasks.errors import DataError
from tasks.records import Prediction, Record
from tasks.route import evidence
from tasks.route.__main__ import main
from tests.gate.made_up import evaluation

MODELS = ["small", "teacher"]
PRICES = {"small": 0.001, "teacher": 0.01}


def write(
    count: int = 1600,
    lost: float = 0.1,
    tells: bool = True,
    prices: dict[str, float] = PRICES,
    foretold: bool = True,
    **route: object,
) -> None:
    """A run in the working directory: the small model loses some, and may know which.

    Those that it loses speak of irony, if that is to be foretold.
    """
    rng = np.random.default_rng(0)
    right = {"teacher": rng.random(count) < 0.9}
    loses = rng.random(count) < lost
    right["small"] = right["teacher"] & ~loses
    doubt = rng.random(count) * 0.2 + (loses * 0.6 if tells else 0)
    for name in MODELS:
        sure = {"small": 1 - doubt}.get(name)
        rows = [
            Prediction(
                id=f"{n:06}",
                reference="positive",
                answer="positive" if right[name][n] else "negative",
                score=float(right[name][n]),
                confidence=None if sure is None else float(sure[n]),
            )
            for n in range(count)
        ]
        report = evaluation(name, prices[name])
        records.write(paths.evaluation(name) / paths.PREDICTIONS, rows)
        told = report.model_dump(mode="json")
        records.write_report(paths.evaluation(name) / paths.REPORT, told)
    asked = [
        Record(
            id=f"{n:06}",
            group=str(n),
            fields={},
            messages=[
                {
                    "role": "user",
                    "content": "x" * int(rng.integers(10, 200))
                    + " irony" * bool(foretold and loses[n]),
                }
            ],
            prompt="",
            reference="positive",
        )
        for n in range(count)
    ]
    records.write(paths.VALIDATION, asked)
    task = {"kind": "classification", "labels": ["negative", "positive"], "input_fields": ["text"]}
    task |= {"prompt": {"system": "Is it good?", "user": "{text}"}}
    content = {"workload": "sentiment", "task": task}
    content |= {"route": {"cascade": {"models": MODELS, **route}}}
    paths.PARAMS.write_text(yaml.safe_dump(content))


@pytest.fixture(autouse=True)
def _empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty checkout, where Bentos are not really built: tests/router builds one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bento_store, "build", lambda *_: Built("sentiment-router:1", 0.1, 0.1))
    paths.PREPARED.mkdir(parents=True)


def test_a_router_that_knows_what_is_lost_is_recommended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write()
    main(["cascade"])

    found = calibration.read(paths.route("cascade"))
    report = json.loads((paths.route("cascade") / paths.REPORT).read_text())
    assert found.recommended
    assert found.models == ("small", "teacher")
    assert found.level is not None
    assert report["rows"]["calibrating"] + report["rows"]["judging"] == 1600
    assert report["tag"] == "sentiment-router:1"
    assert (found.system, found.rows) == ("Is it good?", report["rows"]["calibrating"])
    assert found.evidence == report["worth"]
    assert '"httpx"' in (paths.route("cascade") / bill.FILE).read_text()
    worth = report["worth"]
    assert worth["beats_random"]["lower_bound"] > 0
    # What is paid: the small model always, the teacher for what goes on.
    onward = 1 - worth["price"] / 0.01
    assert worth["saving"]["value"] == pytest.approx(onward)
    assert "saved" in capsys.readouterr().out


def test_a_router_that_knows_nothing_is_not_recommended() -> None:
    write(tells=False)
    main(["cascade"])

    found = calibration.read(paths.route("cascade"))
    assert not found.recommended
    assert found.why.startswith("no router")


def test_a_small_model_that_is_good_enough_needs_no_router() -> None:
    write(lost=0.0)
    main(["cascade"])

    found = calibration.read(paths.route("cascade"))
    assert (found.level, found.recommended) == (0, False)
    assert "small alone" in found.why


def test_requests_that_no_cheap_model_settles_are_learned_where_it_saves() -> None:
    dear = {"small": 0.004, "teacher": 0.01}
    write(count=3000, lost=0.4, prices=dear, predictor_share=0.3)
    main(["cascade"])

    found = calibration.read(paths.route("cascade"))
    report = json.loads((paths.route("cascade") / paths.REPORT).read_text())
    assert found.predictor is not None
    # Of two models: the chance at which the small one's price is won back.
    assert found.predictor.least == pytest.approx(0.4)
    assert report["predictor"]["saving"]["low"] > 0
    assert report["predictor"]["at_once"] == pytest.approx(0.4, abs=0.05)
    assert sum(report["rows"].values()) == 3000
    # What was foreseen is not asked of the small model, which settles nearly all the rest.
    assert found.kept[0] > 0.95
    assert report["worth"]["saving"]["value"] == pytest.approx(0.6 * 0.6, abs=0.05)
    assert found.recommended


def test_a_predictor_that_saves_nothing_is_not_used() -> None:
    write(count=3000, lost=0.4, foretold=False, predictor_share=0.3)
    main(["cascade"])

    found = calibration.read(paths.route("cascade"))
    report = json.loads((paths.route("cascade") / paths.REPORT).read_text())
    assert found.predictor is None
    assert report["predictor"]["at_once"] == 0


def test_too_few_rows_show_nothing_and_say_so() -> None:
    write(count=40)
    main(["cascade"])

    found = calibration.read(paths.route("cascade"))
    assert (found.level, found.recommended) == (None, False)
    assert "more validation rows" in found.why


def test_models_that_are_not_in_the_order_of_their_prices_are_told() -> None:
    write(prices={"small": 0.02, "teacher": 0.01})
    with pytest.raises(DataError, match=r"cheap to dear; measured: small 0\.020000"):
        main(["cascade"])


def test_a_model_that_was_not_asked_how_sure_it_is_is_named() -> None:
    write()
    file = paths.evaluation("small") / paths.PREDICTIONS
    rows = [each.model_copy(update={"confidence": None}) for each in records.read(file, Prediction)]
    records.write(file, rows)
    with pytest.raises(DataError, match="confidence: true for small"):
        main(["cascade"])


def test_a_rival_pays_for_one_model_a_request() -> None:
    scores = np.array([[0.0, 1.0], [1.0, 1.0]] * 500)
    taken = np.array([1, 0] * 500)
    lengths = np.array([1, 2] * 500)
    prices = np.array([1.0, 10.0])

    never = np.zeros(1000, bool)

    found = evidence.worth(scores, taken, never, lengths, prices, overhead=0.5, confidence=0.95)

    assert found.price == pytest.approx(0.5 * 1 + 0.5 * 11 + 0.5)
    assert found.quality.value == 1
    # At that price a rival asks the teacher 11 times in 18.
    by_lot = 0.5 * 1 + 0.5 * 11 / 18
    assert found.beats_random.value == pytest.approx(1 - by_lot)
    # The longest requests are those that the cheap model answers well.
    assert found.beats_length.value == pytest.approx(
        1 - (500 + 1000 * 11 / 18 - 500) / 1000, abs=2e-3
    )
    assert found.saving.value == pytest.approx(1 - 6.5 / 10)
