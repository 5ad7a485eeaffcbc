import json

import pytest

from tasks.config import Task
from tasks.prepare import reference
from tasks.prepare.config import Reference
from tasks.prepare.conversation import UnusableError
from tasks.prepare.reference import OutsideBinsError
from tests.prepare.conftest import TASK

BINS = Reference(column="rating", bins={"negative": (None, -1.0), "positive": (1.0, None)})
SCHEMA = {
    "type": "object",
    "properties": {"total": {"type": "number"}, "to": {"type": "string"}},
    "required": ["total"],
    "additionalProperties": False,
}
EXTRACTION = Task.model_validate(
    {
        "kind": "extraction",
        "answer_schema": SCHEMA,
        "input_fields": ["text"],
        "prompt": {"user": "{text}"},
    }
)


def plain(text: str) -> str:
    return text


def hide(text: str) -> str:
    return text.replace("jo@x.org", "<EMAIL_ADDRESS>")


@pytest.mark.parametrize(
    ("rating", "label"),
    [("-1.01", "negative"), (-3, "negative"), ("1", "positive"), (2.5, "positive")],
)
def test_bins_hold_their_lower_bound(rating: object, label: str) -> None:
    assert reference.of(rating, BINS, TASK, plain) == label


@pytest.mark.parametrize("rating", [0, "-1.0", 0.99])
def test_numbers_between_the_bins_are_left_out(rating: object) -> None:
    with pytest.raises(OutsideBinsError):
        reference.label(rating, BINS)


@pytest.mark.parametrize(
    ("rating", "reason"),
    [
        ("high", "rating is not a number"),
        ("nan", "rating is not a number"),
        (" ", "no rating"),
        (None, "no rating"),
    ],
)
def test_what_is_no_label_has_a_reason(rating: object, reason: str) -> None:
    with pytest.raises(UnusableError, match=f"^{reason}$"):
        reference.of(rating, BINS, TASK, plain)


def test_a_mapping_names_labels_and_rejects_the_rest() -> None:
    mapping = Reference(column="stars", mapping={"1": "negative", "5": "positive"})
    assert reference.label(5, mapping) == "positive"
    with pytest.raises(UnusableError, match=r"stars is not in prepare\.reference\.mapping"):
        reference.label("3", mapping)


def test_labels_outside_the_task_are_rejected() -> None:
    with pytest.raises(UnusableError, match=r"not in task\.labels"):
        reference.of("mixed", Reference(column="label"), TASK, plain)


@pytest.mark.parametrize("value", [{"to": "jo@x.org", "total": 3}, '{"to":"jo@x.org","total":3}'])
def test_json_has_one_spelling_and_is_masked_inside(value: object) -> None:
    found = reference.of(value, Reference(column="answer"), EXTRACTION, hide)
    assert found == '{"to": "<EMAIL_ADDRESS>", "total": 3}'


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ('{"total"', "answer is not JSON"),
        ('{"total": "secret"}', r"answer breaks task\.answer_schema at properties/total/type"),
        ('{"secret": 1}', r"answer breaks task\.answer_schema at (required|additionalProperties)"),
    ],
)
def test_an_answer_that_breaks_the_schema_is_rejected_without_a_word_of_it(
    value: str, reason: str
) -> None:
    with pytest.raises(UnusableError, match=reason) as caught:
        reference.of(value, Reference(column="answer"), EXTRACTION, plain)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("kind", ["translation", "summarization", "chat"])
def test_other_answers_are_text(kind: str) -> None:
    task = Task.model_validate(
        {"kind": kind, "input_fields": ["text"], "prompt": {"user": "{text}"}}
    )
    assert reference.of(" Bon  jour ", Reference(column="to"), task, plain) == "Bon jour"
    assert json.loads(reference.of(["a"], Reference(column="to"), task, plain)) == ["a"]
