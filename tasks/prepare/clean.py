"""Raw rows as clean requests and answers; what cannot be used gets a reason.

{"_row": 17, "rating": "-1.8", "text": " Effective  but too tepid "}
-> Item(row=17, fields={"text": "Effective but too tepid"}, reference="negative", ...)

Personal data are masked here, before anything is hashed, counted or written: what comes after this
module never sees them. A rejected row is told by its number and a reason made of column names and
settings, never by what stands in it. (data/raw/ holds the rows as the source has them: it is the
pinned input of the run, and whoever may read the source may read it.)
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bentos.generator.prompt import Message, messages_for
from tasks.config import Task
from tasks.errors import DataError
from tasks.prepare import conversation, reference
from tasks.prepare.config import Prepare
from tasks.prepare.conversation import UnusableError
from tasks.prepare.pii import Finder, Mask, masked_json
from tasks.prepare.split import Name, assign, by_time
from tasks.prepare.text import normalize, plain

ROW = "_row"


@dataclass(frozen=True)
class Item:
    """One usable row.

    Attributes:
        row: number of the row in the source.
        id: hash of the request.
        group: key by which the split is drawn.
        side: its split.
        fields: normalized inputs; none of a conversation.
        messages: the request.
        tools: what the model may call.
        reference: the wanted answer; empty where there is none.
        metadata: notes by which answers are looked at in slices.
    """

    row: int
    id: str
    group: str
    side: Name
    fields: Mapping[str, str]
    messages: list[Message]
    reference: str
    tools: list[dict[str, Any]] = field(default_factory=list)
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rejected:
    """One row that is left out."""

    row: int
    reason: str


def require_columns(present: Iterable[str], config: Prepare, source: str) -> None:
    """Refuse data without a column that the configuration names.

    Raises:
        DataError: naming the column, the columns that exist and the remedy.
    """
    shown = sorted(set(present) - {ROW})
    missing = [f"{key} = {name}" for key, name in config.columns().items() if name not in shown]
    if missing:
        raise DataError(
            f"{source}: no such column: {'; '.join(missing)}. The columns are "
            f"{', '.join(shown)}; name one of these"
        )


def item(raw: Mapping[str, object], config: Prepare, task: Task, finder: Finder) -> Item | Rejected:
    """The clean form of a row, or why there is none.

    Raises:
        reference.OutsideBinsError: the row's number is in no bin.
    """
    number = int(str(raw[ROW]))
    finder.start()
    try:
        found = _item(number, raw, config, task, finder)
    except UnusableError as error:
        return Rejected(number, str(error))
    dropped = finder.dropped()
    return Rejected(number, f"holds {', '.join(dropped)}") if dropped else found


def content_id(request: Mapping[str, object]) -> str:
    """Sixteen hexadecimal digits that stand for a request."""
    encoded = json.dumps(dict(request), sort_keys=True, ensure_ascii=False).encode()
    return hashlib.sha256(encoded).hexdigest()[:16]


def _item(
    number: int, raw: Mapping[str, object], config: Prepare, task: Task, finder: Finder
) -> Item:
    mask = finder.mask
    fields = {name: _field(raw, column, mask) for name, column in config.fields.items()}
    tools: list[dict[str, Any]] = []
    answer = raw.get(config.reference.column) if config.reference.column else None
    if config.messages is None:
        if task.prompt is None:
            raise DataError("task.prompt is missing though prepare.fields are given; add it")
        messages, key = messages_for(task.prompt, fields), content_id(fields)
    else:
        messages = _conversation(raw, config.messages, mask)
        if config.reference.column is None:
            answer = _last_answer(messages)
        conversation.check_request(messages)
        if config.tools is not None:
            tools = masked_json(conversation.tools(raw.get(config.tools)), mask)
        key = content_id({"messages": messages, "tools": tools})
    group = key if config.group_column is None else _group(raw, config.group_column)
    time = config.split.time
    side = by_time(raw.get(time.column), time) if time else assign(group, config.split)
    try:
        wanted = reference.of(answer, config.reference, task, mask)
    except (reference.NoReferenceError, reference.OutsideBinsError):
        if side != "train" or not config.max_unlabelled:
            raise
        side, wanted = "unlabelled", ""
    notes = {
        name: mask(normalize(plain("" if raw.get(column) is None else raw[column])))
        for name, column in config.metadata.items()
    }
    if config.group_column is not None:
        group = _shown(group, config.split.salt, mask)
    return Item(number, key, group, side, fields, messages, wanted, tools, notes)


def _field(raw: Mapping[str, object], column: str, mask: Mask) -> str:
    value = raw.get(column)
    if value is None:
        raise UnusableError(f"no {column}")
    text = normalize(plain(value))
    if not text:
        raise UnusableError(f"empty {column}")
    return mask(text)


def _conversation(raw: Mapping[str, object], column: str, mask: Mask) -> list[Message]:
    if raw.get(column) is None:
        raise UnusableError(f"no {column}")
    return [
        {"role": message["role"], "content": mask(normalize(message["content"]))}
        for message in conversation.messages(raw[column])
    ]


def _last_answer(messages: list[Message]) -> str | None:
    """Take the answer off the end of a conversation, if there is one."""
    return messages.pop()["content"] if messages[-1]["role"] == "assistant" else None


def _group(raw: Mapping[str, object], column: str) -> str:
    value = raw.get(column)
    found = "" if value is None else normalize(plain(value))
    if not found:
        raise UnusableError(f"no {column}")
    return found


def _shown(group: str, salt: str, mask: Mask) -> str:
    """A group whose key is personal is called by a hash: masked keys would all be one group."""
    if mask(group) == group:
        return group
    return hashlib.sha256(f"{salt}\0{group}".encode()).hexdigest()[:16]


def texts(found: Item) -> Sequence[str]:
    """What tells a request from others: its fields, or its messages but for the system's.

    The words of a prompt template stand in every request, so they tell nothing.
    """
    if found.fields:
        return list(found.fields.values())
    return [message["content"] for message in found.messages if message["role"] != "system"]


def frame(found: Item) -> Sequence[str]:
    """What a conversation is held under: its system message and tools."""
    if found.fields:
        return []
    system = [message["content"] for message in found.messages if message["role"] == "system"]
    tools = json.dumps(found.tools, sort_keys=True, ensure_ascii=False) if found.tools else ""
    return [text for text in (*system, tools) if text]
