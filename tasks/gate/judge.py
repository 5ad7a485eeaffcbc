"""A model's opinion: which of two answers is better, asked twice with the order swapped.

    gate: {judge: {base_url: "https://api.example.com/v1", model: large, api_key_env: JUDGE_KEY}}

Judges prefer what they read first, or last (Zheng et al. 2023, arXiv:2306.05685): an answer wins
only if it wins in both places, and a judge that changes its mind has said tie. Shown beside it is
how often the judge sides with the reference where that tells the two answers apart; a judge that
does not is not worth listening to. Only validation answers are shown to a judge, whose opinion is
reported and decides nothing.
"""

import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from openai import OpenAI, OpenAIError

from tasks import intervals, paths
from tasks.candidates_table import JudgeSummary, Span
from tasks.errors import ConfigError, DataError, Problem
from tasks.gate.config import JudgeConfig
from tasks.progress import Progress
from tasks.records import Prediction, Record

Choice = Literal["A", "B", "tie"]
TIE: tuple[Choice, Choice] = ("tie", "tie")
Ask = Callable[[str], str]
"""A prompt in, the judge's words out."""

PROMPT = """\
Two assistants answered the same request. Say which answer is better for the one who asked.

<request>
{request}
</request>

<answer_a>
{a}
</answer_a>

<answer_b>
{b}
</answer_b>

Reply with one word: A, B or tie."""
RETRIES = 5
SECONDS = 120.0
LONGEST_REPLY = 1024
"""Tokens: some models think before they choose."""


def judge(
    items: Sequence[Record],
    teacher: Mapping[str, Prediction],
    candidate: Mapping[str, Prediction],
    config: JudgeConfig,
    ask: Ask,
) -> JudgeSummary:
    """The judge's opinion of the first `config.rows` items; equal answers are ties unasked.

    Raises:
        DataError: the judge does not answer.
    """
    shown = items[: config.rows]
    progress = Progress("judge", len(shown))

    def one(item: Record) -> tuple[Choice, Choice]:
        mine, theirs = candidate[item.id].answer, teacher[item.id].answer
        request = "\n".join(f"{each['role']}: {each['content']}" for each in item.messages)
        try:
            return TIE if mine == theirs else _both_orders(ask, request, mine, theirs)
        finally:
            progress.advance()

    with ThreadPoolExecutor(config.concurrency) as threads:
        opinions = list(threads.map(one, shown))
    return _summary(shown, opinions, teacher, candidate, config)


def client(config: JudgeConfig) -> Ask:
    """Asks over HTTP; every reply is kept by the hash of what was asked, so none is paid twice.

    Raises:
        ConfigError: the variable with the key is not set.
    """
    key = os.environ.get(config.api_key_env) if config.api_key_env else "none"
    if not key:
        remedy = "the environment has no such variable: set it, or take gate.judge out"
        raise ConfigError(
            [Problem(str(paths.PARAMS), "gate.judge.api_key_env", str(config.api_key_env), remedy)]
        )
    api = OpenAI(base_url=config.base_url, api_key=key, max_retries=RETRIES, timeout=SECONDS)

    def ask(prompt: str) -> str:
        kept = _kept(config, prompt)
        if not kept.exists():
            try:
                reply = api.chat.completions.create(
                    model=config.model,
                    messages=[{"role": "user", "content": prompt}],
                    temperature=0,
                    max_tokens=LONGEST_REPLY,
                )
            except OpenAIError as error:
                raise DataError(
                    f"gate.judge at {config.base_url}: {error}; retry the run, which asks only "
                    "what has no answer yet, or take gate.judge out"
                ) from error
            if not reply.choices[0].message.content:
                return ""
            # Whole or not at all: the process may be killed while it writes.
            part = kept.with_suffix(f".{threading.get_ident()}")
            part.write_text(json.dumps(reply.choices[0].message.content), encoding="utf-8")
            part.replace(kept)
        return str(json.loads(kept.read_text(encoding="utf-8")))

    return ask


def parse(reply: str) -> Choice:
    """The choice that a reply consists of, perhaps after `Answer`; anything else is a tie."""
    found = re.fullmatch(r"\W*(?:answer\W*)?(a|b)\W*", reply.strip(), re.IGNORECASE)
    if found is None:
        return "tie"
    return "A" if found[1].upper() == "A" else "B"


def _both_orders(ask: Ask, request: str, mine: str, theirs: str) -> tuple[Choice, Choice]:
    """What is chosen with the candidate as A and with the candidate as B."""
    return (
        parse(ask(PROMPT.format(request=request, a=mine, b=theirs))),
        parse(ask(PROMPT.format(request=request, a=theirs, b=mine))),
    )


def _summary(
    items: Sequence[Record],
    opinions: Sequence[tuple[Choice, Choice]],
    teacher: Mapping[str, Prediction],
    candidate: Mapping[str, Prediction],
    config: JudgeConfig,
) -> JudgeSummary:
    # For the candidate: 1 it wins in both places, 0 the teacher does, else 1/2.
    points = [{("A", "B"): 1.0, ("B", "A"): 0.0}.get(opinion, 0.5) for opinion in opinions]
    gains = [candidate[item.id].score - teacher[item.id].score for item in items]
    told = [
        (point > 0.5) == (gain > 0)
        for point, gain in zip(points, gains, strict=True)
        if point != 0.5 and gain != 0
    ]
    preference = intervals.mean_score(points)
    return JudgeSummary(
        model=config.model,
        n=len(items),
        candidate_wins=points.count(1.0),
        teacher_wins=points.count(0.0),
        ties=points.count(0.5),
        swayed_by_order=sum(one == other != "tie" for one, other in opinions),
        preference=Span(**preference._asdict()),
        agreement_with_references=Span(**intervals.proportion(sum(told), len(told))._asdict())
        if told
        else None,
    )


def _kept(config: JudgeConfig, prompt: str) -> Path:
    asked = "\0".join((config.base_url, config.model, prompt))
    return paths.scratch("judge") / f"{hashlib.sha256(asked.encode()).hexdigest()}.json"
