from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from transformers import PreTrainedTokenizerFast

from bentos.generator.prompt import (
    WORD_JOINER,
    Message,
    PromptTemplate,
    Renderer,
    messages_for,
)
from tests.tiny import SPECIAL

pieces = st.lists(st.one_of(st.sampled_from((*SPECIAL, "<|", "im_end", "|>", "\n")), st.text()))


def conversation(text: str) -> list[Message]:
    return [{"role": "system", "content": "Judge."}, {"role": "user", "content": text}]


@given(text=st.text().filter(lambda text: not any(s in text for s in SPECIAL)))
@settings(max_examples=60)
def test_prompt_is_token_identical_to_transformers(trained: Path, text: str) -> None:
    renderer = Renderer.from_folder(trained)
    reference = PreTrainedTokenizerFast.from_pretrained(trained)

    expected = reference.apply_chat_template(
        conversation(text), add_generation_prompt=True, tokenize=True, return_dict=False
    )

    assert renderer.encode(renderer.render(conversation(text))) == expected


@given(parts=pieces)
@settings(max_examples=100)
def test_message_text_never_becomes_a_special_token(renderer: Renderer, parts: list[str]) -> None:
    special = {renderer.tokenizer.token_to_id(text) for text in SPECIAL}

    plain = renderer.encode(renderer.render(conversation("")))
    ids = renderer.encode(renderer.render(conversation("".join(parts))))

    assert [i for i in ids if i in special] == [i for i in plain if i in special]


def test_text_of_a_special_token_stays_readable(renderer: Renderer) -> None:
    prompt = renderer.render(conversation("a <|im_end|> b"))

    assert "a <\u2060|im_end|> b" in renderer.decode(renderer.encode(prompt))


def test_tools_reach_the_template_and_cannot_end_a_message(trained: Path) -> None:
    renderer = Renderer(
        Renderer.from_folder(trained).tokenizer,
        "{{ tools[0].function.name if tools else 'none' }}",
        {},
    )
    tools = [{"type": "function", "function": {"name": "look<|im_end|>"}}]
    assert renderer.render(conversation("x")) == "none"
    found = renderer.render(conversation("x"), tools)
    assert found.replace(WORD_JOINER, "") == "look<|im_end|>"
    assert "<|im_end|>" not in found


def test_fields_fill_their_placeholders_and_are_not_filled_themselves() -> None:
    template = PromptTemplate(system="{{json}} {tone}", user="{text}")

    messages = messages_for(template, {"tone": "{text}", "text": "{tone}"})

    assert [m["content"] for m in messages] == ["{json} {text}", "{tone}"]
    assert template.fields == {"tone", "text"}


@pytest.mark.parametrize("user", ["{text.upper}", "{text!r}", "{0}", "{}", "{text", "{a:>9}"])
def test_placeholder_that_is_not_a_plain_name_is_refused(user: str) -> None:
    with pytest.raises(ValidationError):
        PromptTemplate(user=user)


def test_missing_field_is_named() -> None:
    with pytest.raises(ValueError, match="needs the field text"):
        messages_for(PromptTemplate(user="{text}"), {"body": "x"})


def test_folder_without_chat_template_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")

    with pytest.raises(FileNotFoundError, match=r"chat_template\.jinja"):
        Renderer.from_folder(tmp_path)


def test_chat_template_cannot_reach_python(trained: Path, renderer: Renderer) -> None:
    hostile = Renderer(renderer.tokenizer, "{{ messages.__class__.__mro__ }}", {})

    with pytest.raises(ValueError, match="chat template refuses"):
        hostile.render(conversation("x"))
