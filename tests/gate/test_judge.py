"""A judge over HTTP: what it is asked, how its bias is cancelled, what is paid."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.candidates_table import JudgeSummary
from tasks.errors import ConfigError, DataError
from tasks.gate import judge
from tasks.gate.config import JudgeConfig
from tasks.records import Prediction, Record
from tests.openai_server import OpenAIServer

Verdict = Callable[[str, str], str]
Serve = Callable[[Verdict], OpenAIServer]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a judge that chooses by a rule."""
    monkeypatch.setenv("STILLHOUSE_STATE", str(tmp_path))
    made: list[OpenAIServer] = []

    def start(rule: Verdict) -> OpenAIServer:
        made.append(OpenAIServer(lambda prompt: rule(*shown(prompt))))
        return made[-1]

    yield start
    for each in made:
        each.close()


def shown(prompt: str) -> tuple[str, str]:
    """The two answers in a judge's prompt."""
    a, b = (prompt.split(f"<answer_{x}>\n")[1].split(f"\n</answer_{x}>")[0] for x in "ab")
    return a, b


def config(server: OpenAIServer, **more: object) -> JudgeConfig:
    return JudgeConfig.model_validate({"base_url": server.base_url, "model": "m", **more})


def told(answers: dict[str, str]) -> dict[str, Prediction]:
    return {
        key: Prediction(id=key, reference="good", answer=text, score=float(text == "good"))
        for key, text in answers.items()
    }


def opinion(asked: JudgeConfig, teacher: dict[str, str], candidate: dict[str, str]) -> JudgeSummary:
    items = [
        Record(
            id=key,
            group=key,
            fields={},
            messages=[{"role": "user", "content": f"Is {key} good?"}],
            prompt="",
            reference="good",
        )
        for key in teacher
    ]
    return judge.judge(items, told(teacher), told(candidate), asked, judge.client(asked))


TEACHER = {f"item {n}": "good" if n < 6 else "bad" for n in range(10)}
CANDIDATE = {f"item {n}": "good" if n > 3 else "poor" for n in range(10)}
"""The teacher alone is right on 4, the candidate alone on 4, both on 2."""


def test_a_judge_that_prefers_what_it_reads_first_has_no_opinion(
    serve: Serve,
) -> None:
    found = opinion(config(serve(lambda a, b: "A")), TEACHER, CANDIDATE)
    assert (found.candidate_wins, found.teacher_wins, found.ties) == (0, 0, 10)
    assert found.swayed_by_order == 8
    assert found.preference.value == 0.5
    assert found.agreement_with_references is None


def test_a_judge_that_knows_the_reference_agrees_with_it(
    serve: Serve,
) -> None:
    judged = serve(lambda a, b: "A." if a == "good" else "**B**")
    found = opinion(config(judged), TEACHER, CANDIDATE)
    assert (found.candidate_wins, found.teacher_wins, found.ties) == (4, 4, 2)
    assert found.swayed_by_order == 0
    assert found.agreement_with_references is not None
    assert found.agreement_with_references.value == 1
    assert "user: Is item 0 good?" in str(judged.asked)


@pytest.mark.parametrize(
    ("reply", "choice"),
    [("A", "A"), ("**b**.", "B"), ("Answer: B", "B"), ("tie", "tie"), ("A better one is B", "tie")],
)
def test_only_a_reply_that_is_a_choice_is_one(reply: str, choice: str) -> None:
    assert judge.parse(reply) == choice


def test_no_answer_is_paid_twice_and_equal_ones_are_not_asked(
    serve: Serve,
) -> None:
    judged = serve(lambda a, b: "tie")
    first = opinion(config(judged), TEACHER, CANDIDATE)
    assert len(judged.asked) == 2 * 8
    assert opinion(config(judged), TEACHER, CANDIDATE) == first
    assert len(judged.asked) == 2 * 8


def test_only_as_many_rows_as_asked_for_are_judged(
    serve: Serve,
) -> None:
    judged = serve(lambda a, b: "B")
    assert opinion(config(judged, rows=3), TEACHER, CANDIDATE).n == 3
    assert len(judged.asked) == 2 * 3


def test_the_key_goes_to_the_judge_and_nowhere_else(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    judged = serve(lambda a, b: "A")
    with pytest.raises(ConfigError, match=r"gate\.judge\.api_key_env = JUDGE_KEY"):
        judge.client(config(judged, api_key_env="JUDGE_KEY"))
    monkeypatch.setenv("JUDGE_KEY", "s3cret")
    found = opinion(config(judged, api_key_env="JUDGE_KEY"), TEACHER, CANDIDATE)
    assert judged.keys == {"Bearer s3cret"}
    kept = "".join(file.read_text() for file in tmp_path.rglob("*.json"))
    assert "s3cret" not in kept + found.model_dump_json()


def test_a_judge_that_is_away_is_an_error_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STILLHOUSE_STATE", str(tmp_path))
    monkeypatch.setattr(judge, "RETRIES", 0)
    away = JudgeConfig(base_url="http://127.0.0.1:9/v1", model="m")
    with pytest.raises(DataError, match=r"gate\.judge at http://127\.0\.0\.1:9/v1: .*retry"):
        opinion(away, TEACHER, CANDIDATE)
