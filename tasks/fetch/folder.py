"""A model's folder in the one shape that every later stage relies on.

    copy(Path("/models/qwen"), folder); complete(folder, None); complete_generation(folder)

The shape: config.json, *.safetensors, tokenizer.json, tokenizer_config.json, chat_template.jinja
and generation_config.json; no code, no pickle.
"""

import json
import math
import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from safetensors import safe_open

from tasks.errors import ModelError

MODEL_FILES = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)
"""What is taken from a model's folder; its hash covers these files."""


def copy(source: Path, folder: Path) -> None:
    """Copy the model files that lie directly in `source`.

    Raises:
        ModelError: one that is needed is not there, or the model needs code of its own.
    """
    for file in sorted(source.iterdir()):
        if file.is_file() and any(fnmatch(file.name, pattern) for pattern in MODEL_FILES):
            shutil.copyfile(file, folder / file.name)
    for needed in ("config.json", "tokenizer.json"):
        if not (folder / needed).is_file():
            raise ModelError(f"{source}: no {needed}; save the model with save_pretrained first")
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"{source}: no *.safetensors; convert the weights, pickles are not loaded")
    if "auto_map" in _read(folder / "config.json"):
        raise ModelError(
            f"{source}: config.json asks for code of its own (auto_map), which is not run; choose "
            "an architecture that transformers knows"
        )


def complete(folder: Path, chat_template: str | None) -> None:
    """Write chat_template.jinja and the settings that say how text begins and ends.

    Args:
        folder: a model's folder with tokenizer.json.
        chat_template: used instead of the model's own.

    Raises:
        ModelError: no chat template anywhere, or no end token.
    """
    config = _read(folder / "tokenizer_config.json")
    template = chat_template or _own_template(folder, config)
    if template is None:
        raise ModelError(f"{folder}: the model brings no chat template; give one in chat_template")
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    config.pop("chat_template", None)
    # Any other class may be rebuilt by transformers from the model's type: see tokenizer.py.
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    config.setdefault("pad_token", config.get("eos_token"))
    _write(folder / "tokenizer_config.json", config)


def complete_generation(folder: Path) -> None:
    """Write end and padding ids to generation_config.json.

    Raises:
        ModelError: config.json names no end token.
    """
    model = _read(folder / "config.json")
    generation = _read(folder / "generation_config.json")
    end = generation.get("eos_token_id", model.get("eos_token_id"))
    if end is None:
        raise ModelError(f"{folder}/config.json: no eos_token_id; add the end token's id")
    generation["eos_token_id"] = end
    if generation.get("pad_token_id") is None:
        first = end[0] if isinstance(end, list) else end
        own = model.get("pad_token_id")
        generation["pad_token_id"] = first if own is None else own
    _write(folder / "generation_config.json", generation)


def parameters(folder: Path) -> int:
    """Number of stored weights; tied ones count once."""
    total = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="numpy") as tensors:
            names = list(tensors.keys())
            total += sum(math.prod(tensors.get_slice(name).get_shape()) for name in names)
    return total


def _own_template(folder: Path, config: dict[str, Any]) -> str | None:
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    own = config.get("chat_template")
    if isinstance(own, list):
        named = {entry["name"]: entry["template"] for entry in own}
        own = named.get("default")
    return own if isinstance(own, str) else None


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    content = json.loads(file.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
