"""General conversations among the task's examples: what is practised is not forgotten.

{"messages": [{"role": "user", "content": "Why is the sky blue?"},
              {"role": "assistant", "content": "Air scatters blue light most."}]}

A model tuned on one task loses others; a share of general examples keeps them (Scialom et al.
2022, arXiv:2205.12393).
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from bentos.generator.prompt import Message
from tasks.errors import DataError
from tasks.examples import Example, tokenize
from tasks.finetune.config import ReplayConfig
from tasks.records import Record


class Conversation(BaseModel):
    """One line of the file; other keys than messages are not read."""

    messages: list[Message]


class General(NamedTuple):
    """General examples, and those that nobody is trained on."""

    train: list[Example]
    held_out: list[Example]


def read(config: ReplayConfig, model: Path) -> General:
    """The file's conversations as examples for the model in a folder.

    Raises:
        DataError: the file is not the one that the run was told of, a line is not such a
            conversation, or too few are short enough.
    """
    file = Path(config.file)
    content = file.read_bytes()
    if config.sha256 not in {None, hashlib.sha256(content).hexdigest()}:
        raise DataError(f"{file} has changed since the run was started: start it again")
    lines = enumerate(content.split(b"\n"), start=1)
    found = [_record(line, f"{file}: line {number}") for number, line in lines if line.strip()]
    short = [e for e in tokenize(found, model) if e.tokens <= config.max_tokens]
    if len(short) <= config.held_out:
        raise DataError(
            f"{file}: {len(short)} of {len(found)} conversations have at most {config.max_tokens} "
            f"tokens, and {config.held_out} are held out: add some, raise replay.max_tokens or "
            "lower replay.held_out"
        )
    # By hash, not by place: files are often sorted by topic.
    short.sort(key=lambda example: example.id)
    return General(short[config.held_out :], short[: config.held_out])


def _record(line: bytes, where: str) -> Record:
    try:
        messages = Conversation.model_validate_json(line).messages
    except ValidationError as error:
        raise DataError(f"{where} is no conversation: {error}") from error
    roles = [message["role"] for message in messages]
    if len(roles) < 2 or roles[-2:] != ["user", "assistant"]:
        raise DataError(f"{where} must end with a user's message and the assistant's answer")
    name = hashlib.sha256(line.strip()).hexdigest()[:16]
    return Record(
        id=name,
        group=name,
        fields={},
        messages=messages[:-1],
        prompt="",
        reference=messages[-1]["content"],
    )
