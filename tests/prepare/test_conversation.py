import json

import pytest

from tasks.prepare import conversation
from tasks.prepare.conversation import UnusableError

SECRET = "jo@example.org"


def test_lists_and_json_text_are_read_and_parts_are_joined() -> None:
    raw = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"text": "there"}]},
    ]
    expected = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi\nthere"},
    ]
    assert conversation.messages(raw) == conversation.messages(json.dumps(raw)) == expected


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("[", "not JSON"),
        ([], "no list of messages"),
        ({"role": "user"}, "no list of messages"),
        ([SECRET], "a message that is no object"),
        ([{"role": SECRET, "content": "x"}], "a role other than"),
        ([{"role": "tool", "content": SECRET}], "a role other than"),
        ([{"role": "user"}], "a message without text"),
        ([{"role": "user", "content": [{"image_url": SECRET}]}], "holds more than text"),
        ([{"role": "assistant", "content": "", "tool_calls": [SECRET]}], "calls a tool"),
    ],
)
def test_what_cannot_be_asked_has_a_reason_that_tells_nothing_of_it(
    raw: object, reason: str
) -> None:
    with pytest.raises(UnusableError, match=reason) as caught:
        conversation.messages(raw)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("roles", "reason"),
    [
        ("ua", "does not end with a message of the user"),
        ("", "does not end"),
        ("us", "does not end"),
        ("usu", "a system message that is not the first"),
    ],
)
def test_a_request_ends_with_the_user(roles: str, reason: str) -> None:
    names = {"u": "user", "a": "assistant", "s": "system"}
    raw = [{"role": names[role], "content": "x"} for role in roles]
    with pytest.raises(UnusableError, match=reason):
        conversation.check_request(conversation.messages(raw) if raw else [])


def test_tools_are_a_list_of_objects_or_none() -> None:
    assert conversation.tools(None) == conversation.tools("") == []
    assert conversation.tools('[{"type": "function"}]') == [{"type": "function"}]
    with pytest.raises(UnusableError, match="tools"):
        conversation.tools([SECRET])
