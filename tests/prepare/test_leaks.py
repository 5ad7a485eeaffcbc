"""Whatever is planted twice, in any disguise and in any split, stays once."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks import records
from tasks.config import Task
from tasks.prepare import pipeline
from tasks.prepare.config import Prepare
from tests.prepare.conftest import TASK, write_raw

CONFIG = Prepare.model_validate(
    {
        "fields": {"text": "text"},
        "reference": {"column": "label"},
        "group_column": "group",
        "split": {"validation": 0.3, "test": 0.3},
        "max_prompt_tokens": 5000,
        "label_noise_rows": 0,
    }
)
CHAT = Task.model_validate({"kind": "chat", "max_answer_tokens": 64})
CHAT_CONFIG = Prepare.model_validate(
    CONFIG.model_dump() | {"fields": {}, "messages": "chat", "tools": "tools", "reference": {}}
)
VOCABULARY = [f"{first}{second}" for first in "bdfgklmnprstvz" for second in ("ano", "ile", "ux")]
MESSAGE = st.lists(st.sampled_from(VOCABULARY), min_size=8, max_size=25)
DISGUISES = ("exact", "case", "spaces", "punctuation", "one word changed", "one word more")


def disguised(text: list[str], how: str, place: int) -> str:
    place %= len(text)
    match how:
        case "case":
            return " ".join(word.upper() if n % 2 else word for n, word in enumerate(text))
        case "spaces":
            return "  " + "\t\n ".join(text) + "\r\n"
        case "punctuation":
            return "... ".join(text) + "?!"
        case "one word changed":
            return " ".join([*text[:place], "changed", *text[place + 1 :]])
        case "one word more":
            return " ".join([*text[:place], "added", *text[place:]])
        case _:
            return " ".join(text)


def background(count: int) -> list[list[str]]:
    chance = random.Random(1)
    return [[f"w{chance.randrange(10**6)}" for _ in range(12)] for _ in range(count)]


def kept() -> list[records.Record]:
    return [r for file in pipeline.FILES.values() for r in records.read(file, records.Record)]


@given(
    planted=st.lists(
        st.tuples(
            MESSAGE,
            st.lists(st.tuples(st.sampled_from(DISGUISES), st.integers(0, 99)), max_size=3),
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda entry: " ".join(entry[0]),
    )
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_disguise_of_a_text_survives_beside_it(
    checkout: Path, planted: list[tuple[list[str], list[tuple[str, int]]]]
) -> None:
    rows: list[dict[str, object]] = [
        {"text": " ".join(words), "label": TASK.labels[n % 2], "group": n}
        for n, words in enumerate(background(60))
    ]
    for number, (text, copies) in enumerate(planted):
        versions = [" ".join(text), *(disguised(text, how, place) for how, place in copies)]
        rows += [
            {"text": version, "label": "positive", "group": f"{number} {copy}"}
            for copy, version in enumerate(versions)
        ]
    write_raw(rows)
    pipeline.run(CONFIG, TASK)
    texts = [set(record.fields["text"].casefold().split()) for record in kept()]
    for text, _ in planted:
        # Of eight words or more, nobody else has all but one.
        assert sum(len(set(text) - words) <= 1 for words in texts) <= len(planted)
    assert len(texts) <= 60 + len(planted)


def talk(*contents: str, system: str = "Be kind.") -> list[dict[str, Any]]:
    turns = [
        {"role": ("user", "assistant")[n % 2], "content": content}
        for n, content in enumerate(contents)
    ]
    return [{"role": "system", "content": system}, *turns]


QUESTIONS = (
    "how do i renew the passport of my oldest daughter",
    "you need two photographs and the form from the town hall",
    "and where may i hand all of these papers in then",
)
OTHER = "Answer as a pirate would, with many curses and a song."


@pytest.mark.parametrize(
    ("changed", "survivors"),
    [
        (talk(*QUESTIONS, "at the office."), 1),
        (talk(*QUESTIONS, "in Paris, by post."), 1),
        (talk(*QUESTIONS[::-1], "at the office."), 1),
        (talk(*(q.upper() for q in QUESTIONS), "at the office."), 1),
        (talk(*QUESTIONS, "at the office.", system="BE  kind!"), 1),
        (talk(QUESTIONS[0].replace("oldest", "youngest"), *QUESTIONS[1:], "at the office."), 1),
        (talk(*QUESTIONS, "at the office.", system=OTHER), 2),
        (talk("what is a tax", "a fee", "who pays it and when each year", "all"), 2),
    ],
)
def test_of_conversations_messages_in_any_order_are_the_same_under_one_system_message(
    checkout: Path, changed: list[dict[str, Any]], survivors: int
) -> None:
    fill = [
        {"chat": talk(" ".join(words), f"answer {n}"), "group": n}
        for n, words in enumerate(background(60))
    ]
    planted = [talk(*QUESTIONS, "at the office."), changed]
    for order in (planted, planted[::-1]):
        write_raw([*fill, *({"chat": c, "group": f"p{n}"} for n, c in enumerate(order))])
        # The column of tools must exist.
        config = CHAT_CONFIG.model_copy(update={"tools": None})
        pipeline.run(config, CHAT)
        assert len(kept()) == 60 + survivors


def test_a_changed_word_in_a_long_system_message_hides_nothing(checkout: Path) -> None:
    system = " ".join(VOCABULARY)
    fill = [
        {"chat": talk(" ".join(words), "yes", system=system), "group": n}
        for n, words in enumerate(background(60))
    ]
    leak = [
        {"chat": talk(QUESTIONS[0], "yes", system=text), "group": text[-9:]}
        for text in (system, system.replace("bano", "changed"))
    ]
    write_raw([*fill, *leak])
    pipeline.run(CHAT_CONFIG.model_copy(update={"tools": None}), CHAT)
    assert len(kept()) == 61


def test_other_tools_make_another_request_and_the_same_do_not(checkout: Path) -> None:
    def tools(name: str) -> list[dict[str, Any]]:
        return [{"type": "function", "function": {"name": name, "description": f"to {name} it"}}]

    fill = [
        {"chat": talk(" ".join(words), "yes"), "group": n, "tools": tools("buy")}
        for n, words in enumerate(background(60))
    ]
    leaks = [
        {"chat": talk(QUESTIONS[0], "yes"), "group": f"{n}", "tools": tools(name)}
        for n, name in enumerate(("buy", "buy", "sell"))
    ]
    write_raw([*fill, *leaks])
    pipeline.run(CHAT_CONFIG, CHAT)
    assert len(kept()) == 62
    assert all(record.tools for record in kept())
