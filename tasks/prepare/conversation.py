"""A raw value as the messages and tools of a conversation.

[{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
-> [{"role": "user", "content": "Hi"}]

The form is that of OpenAI's chat API. What no candidate could be asked (images, calls of tools) is
a reason to leave the row out. Reasons never hold what stands in the row.
"""

import json
from collections.abc import Mapping
from typing import Any

from bentos.generator.prompt import Message, Role

ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}


class UnusableError(Exception):
    """Why a row cannot be used."""


def messages(value: object) -> list[Message]:
    """The messages of a list, or of a list as JSON text.

    Raises:
        UnusableError: with the reason.
    """
    found = _parsed(value)
    if not isinstance(found, list) or not found:
        raise UnusableError("no list of messages")
    return [_message(entry) for entry in found]


def tools(value: object) -> list[dict[str, Any]]:
    """The tools of a list, or of a list as JSON text; none where there is no value.

    Raises:
        UnusableError: with the reason.
    """
    found = _parsed(value) if value else []
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise UnusableError("tools are no list of objects")
    return found


def check_request(found: list[Message]) -> None:
    """Refuse messages that a model could not answer next.

    Raises:
        UnusableError: with the reason.
    """
    if not found or found[-1]["role"] != "user":
        raise UnusableError("the request does not end with a message of the user")
    if any(message["role"] == "system" for message in found[1:]):
        raise UnusableError("a system message that is not the first")
    if not all(message["content"] for message in found):
        raise UnusableError("an empty message")


def _parsed(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (json.JSONDecodeError, RecursionError):
        raise UnusableError("not JSON") from None


def _message(entry: object) -> Message:
    if not isinstance(entry, dict):
        raise UnusableError("a message that is no object")
    if entry.get("tool_calls") or entry.get("function_call"):
        raise UnusableError("a message that calls a tool")
    role = ROLES.get(str(entry.get("role")))
    if role is None:
        raise UnusableError(f"a role other than {', '.join(ROLES)}")
    return {"role": role, "content": _text(entry.get("content"))}


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise UnusableError("a message without text")
    parts = []
    for part in content:
        if not isinstance(part, dict) or not isinstance(part.get("text"), str):
            raise UnusableError("a message that holds more than text")
        parts.append(part["text"])
    return "\n".join(parts)
