import json
import logging
from pathlib import Path
from typing import Any

import pytest

from benchmarks import pii as benchmark
from tasks import paths
from tasks.config import Task
from tasks.prepare import pipeline
from tasks.prepare.config import ENTITIES, Pii, Prepare
from tasks.prepare.pii import Finder, masked_json
from tests.prepare.conftest import TASK, write_raw

SAMPLES = 300
VALUES = {
    "EMAIL_ADDRESS": "jo.doe@example.org",
    "PHONE_NUMBER": "+1 415 555 2671",
    "CREDIT_CARD": "4111 1111 1111 1111",
    "IBAN_CODE": "DE89 3704 0044 0532 0130 00",
    "IP_ADDRESS": "192.168.17.4",
    "US_SSN": "536-90-4399",
}


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    return benchmark.measure(SAMPLES, seed=1)


@pytest.mark.parametrize("entity", ENTITIES)
def test_of_every_entity_nearly_all_are_found(measured: dict[str, Any], entity: str) -> None:
    assert measured[entity]["recall"] >= 0.95


def test_clean_text_is_left_alone(measured: dict[str, Any]) -> None:
    assert measured["clean"]["false_positives"] <= 0.02


def test_made_up_numbers_keep_their_check_sums() -> None:
    assert benchmark._luhn("411111111111111") == "1"


@pytest.mark.parametrize(("entity", "value"), VALUES.items())
def test_what_is_found_is_replaced_by_its_name_and_counted(entity: str, value: str) -> None:
    finder = Finder(Pii())
    finder.start()
    assert finder.mask(f"It is {value}, or {value}.") == f"It is <{entity}>, or <{entity}>."
    assert [dict(count) for count in finder.take()] == [{entity: 2}, {entity: 1}]
    assert [dict(count) for count in finder.take()] == [{}, {}]


def test_only_the_asked_entities_are_looked_for() -> None:
    finder = Finder(Pii(entities=("IP_ADDRESS",)))
    assert finder.mask(" ".join(VALUES.values())).count("<") == 1


def test_nothing_is_done_without_a_policy() -> None:
    assert Finder(None).mask(VALUES["US_SSN"]) == VALUES["US_SSN"]


@pytest.mark.parametrize(
    "text",
    [
        "Version 10.2.30.4 came on 2024-03-05 at 12:30:45.",
        "std::vector a::b",
        "id 4155552671",
        "order 123456789",
        "4111 1111 1111 1112",
        "16.4.2011 or 3.141592653",
    ],
)
def test_numbers_that_only_look_like_it(text: str) -> None:
    assert Finder(Pii()).mask(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("host 2001:db8::8a2e:370:7334: down", "host <IP_ADDRESS>: down"),
        ("de89370400440532013000 from there", "<IBAN_CODE> from there"),
        ("GB82 WEST 1234 5698 7654 32 EURO", "<IBAN_CODE> EURO"),
        ("4111111111111111 12/27 737", "<CREDIT_CARD> 12/27 737"),
        ("+33.1.23.42.45.28.", "<PHONE_NUMBER>."),
        ("SSN: 536904399", "SSN: <US_SSN>"),
    ],
)
def test_awkward_forms_and_surroundings(text: str, masked: str) -> None:
    assert Finder(Pii()).mask(text) == masked


def test_json_is_masked_in_values_keys_and_numbers() -> None:
    value = {"jo@example.org": [4111111111111111, 3, True, None, "a 192.168.17.4"]}
    assert masked_json(value, Finder(Pii()).mask) == {
        "<EMAIL_ADDRESS>": ["<CREDIT_CARD>", 3, True, None, "a <IP_ADDRESS>"]
    }


def rows() -> list[dict[str, object]]:
    """Rows of which some hold personal data wherever a row can."""
    fill: list[dict[str, object]] = [
        {"text": f"{n * 7919} is {n * 104729}", "label": f"answer {n}", "who": f"w{n}", "note": "x"}
        for n in range(80)
    ]
    for number, value in enumerate(VALUES.values()):
        fill.append(
            {
                "text": f"This is {value} as of row {number}",
                "label": f"so: {value}",
                "who": value,
                "note": f"by {value}",
            }
        )
        fill.append({"text": f"{value} " * 300, "label": value, "who": value, "note": value})
    return fill


CHAT = Task.model_validate(
    {
        "kind": "chat",
        "max_answer_tokens": 64,
        "input_fields": ["text"],
        "prompt": {"user": "{text}"},
    }
)


@pytest.mark.parametrize("action", ["mask", "drop"])
def test_no_value_is_in_anything_that_is_written_or_said(
    checkout: Path,
    action: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = Prepare.model_validate(
        {
            "fields": {"text": "text"},
            "reference": {"column": "label"},
            "group_column": "who",
            "metadata": {"note": "note"},
            "pii": {"action": action},
        }
    )
    write_raw(rows())
    with caplog.at_level(logging.DEBUG):
        report: Any = pipeline.run(config, CHAT)
    files = [*paths.PREPARED.rglob("*"), *paths.LOCKED_TEST.parent.rglob("*")]
    written = [file.read_text() for file in files if file.is_file()]
    said = capsys.readouterr()
    for value in VALUES.values():
        for text in (*written, json.dumps(report), said.out, said.err, caplog.text):
            assert value not in text
    found = report["pii"]["found"]
    assert all(found[entity]["rows"] == 2 for entity in ENTITIES)
    masked = sum(text.count("<EMAIL_ADDRESS>") for text in written)
    assert bool(masked) == (action == "mask")
    assert report["rows"]["quarantined"] == (12 if action == "drop" else 6)
    assert not list(paths.scratch("prepare").iterdir())


def test_keep_only_counts(checkout: Path) -> None:
    section = {"fields": {"text": "text"}, "reference": {"column": "label"}}
    config = Prepare.model_validate(section | {"pii": {"action": "keep"}})
    fill = [{"text": f"{n * 7919} is {n * 104729}", "label": TASK.labels[n % 2]} for n in range(80)]
    write_raw([*fill, {"text": "mail jo@example.org", "label": "positive"}])
    report: Any = pipeline.run(config, TASK)
    assert report["pii"]["found"]["EMAIL_ADDRESS"] == {"values": 1, "rows": 1}
    assert any("jo@example.org" in file.read_text() for file in pipeline.FILES.values())


def test_masked_groups_stay_apart_and_together(checkout: Path) -> None:
    config = Prepare.model_validate(
        {
            "fields": {"text": "text"},
            "reference": {"column": "label"},
            "group_column": "who",
            "pii": {},
            "max_validation": None,
        }
    )
    write_raw(
        {
            "text": f"{n * 7919} is {n * 104729}",
            "label": TASK.labels[n // 30 % 2],
            "who": f"user{n % 30}@example.org",
        }
        for n in range(180)
    )
    report: Any = pipeline.run(config, TASK)
    assert sum(side["groups"] for side in report["splits"].values()) == 30
