"""What is kept of requests: a sample, by BentoML, and content only where it may be."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ANSWER = "Completion('a secret answer', 12, 3, 'stop')"
CODE = """
import sys
from pathlib import Path
from bentos.generator.engine import Completion
from bentos.generator.feedback import Feedback, FeedbackConfig

draws = iter([0.1, 0.9, 0.1])
config = FeedbackConfig(share=0.5, content={content})
feedback = Feedback("tiny", config, Path(sys.argv[1]), lambda: next(draws))
messages = [{{"role": "user", "content": "a secret question"}}]
for _ in range(3):
    feedback.note(messages, {answer}, {choice})
"""


def kept(folder: Path, content: bool, choice: bool = False) -> list[dict[str, object]]:
    """BentoML's monitor is one a process, so that each case has its own."""
    code = CODE.format(content=content, answer=ANSWER, choice=choice)
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code, str(folder)], cwd=root, check=True)
    lines = (folder / "feedback/data/data.0.log").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.timeout(120)
def test_a_share_is_kept_with_what_was_asked_and_answered(tmp_path: Path) -> None:
    rows = kept(tmp_path, content=True)
    assert len(rows) == 2
    assert rows[0]["messages"] == [{"role": "user", "content": "a secret question"}]
    assert rows[0]["answer"] == "a secret answer"
    assert (rows[0]["prompt_tokens"], rows[0]["completion_tokens"]) == (12, 3)
    assert rows[0]["timestamp"]


@pytest.mark.timeout(120)
def test_content_is_left_out_where_it_must_not_be_kept(tmp_path: Path) -> None:
    rows = kept(tmp_path, content=False)
    assert "secret" not in json.dumps(rows)
    [label, *_] = kept(tmp_path / "labels", content=False, choice=True)
    assert label["answer"] == "a secret answer"
    assert label["messages"] is None
