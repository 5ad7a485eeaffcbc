"""A checkout with a tiny tokenizer, and rows written the way `fetch` writes them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from tasks.config import Task

CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TASK = Task.model_validate(
    {
        "kind": "classification",
        "labels": ["negative", "positive"],
        "input_fields": ["text"],
        "prompt": {"system": "Judge.", "user": "{text}"},
    }
)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, holding models/fetch/base without weights."""
    monkeypatch.chdir(tmp_path)
    base = tmp_path / "models/fetch/base"
    base.mkdir(parents=True)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: n for n, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(t, special=True) for t in ("<|im_start|>", "<|im_end|>")])
    tokenizer.save(str(base / "tokenizer.json"))
    (base / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    return tmp_path


def write_raw(rows: Iterable[Mapping[str, object]]) -> None:
    """data/raw/records.jsonl below the current folder."""
    file = Path("data/raw/records.jsonl")
    file.parent.mkdir(parents=True, exist_ok=True)
    numbered = ({"_row": number, **row} for number, row in enumerate(rows, start=1))
    file.write_text("".join(json.dumps(row) + "\n" for row in numbered), encoding="utf-8")
