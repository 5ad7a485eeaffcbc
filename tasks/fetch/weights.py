"""Base models, each in models/fetch/<name>/ as safetensors with a checked tokenizer.

    fetch({"base": Weights(source="path:model.gguf", sha256="b1…")})

All sources are had and all tokenizers are compared before any weight is converted.
"""

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from tokenizers import Tokenizer

from tasks import candidate, paths
from tasks.errors import ModelError
from tasks.fetch import folder as model_folder
from tasks.fetch import hub, pinned, tokenizer
from tasks.fetch.config import Weights
from tasks.fetch.sources import HubSource, PathSource, parse_file


def fetch(entries: Mapping[str, Weights]) -> dict[str, object]:
    """Fill models/fetch/ and return the report's facts, one entry a model.

    Raises:
        FetchError: a source cannot be had.
        HashMismatchError: a source is not what was pinned.
        ModelError: a model cannot be used, or the tokenizers differ.
    """
    shutil.rmtree(paths.FETCHED, ignore_errors=True)
    folders = {name: candidate.fresh_folder(f"fetch/{name}") for name in entries}
    origins = {name: _obtain(entry, folders[name]) for name, entry in entries.items()}
    for name, entry in entries.items():
        _write_tokenizer(origins[name], folders[name], entry)
    tokenizer.require_same(folders)
    return {
        name: _finish(name, entry, origins[name], folders[name]) for name, entry in entries.items()
    }


def _obtain(entry: Weights, folder: Path) -> Path:
    """The GGUF file of an entry, or `folder` itself filled with the model's files."""
    source = parse_file(entry.source)
    origin: Path | None = None
    if isinstance(source, HubSource) and not source.members:
        cache = paths.scratch("downloads") / "hub"
        patterns = model_folder.MODEL_FILES
        origin = hub.snapshot(source.repository, source.revision, patterns, cache)
    elif isinstance(source, PathSource) and not source.members:
        origin = pinned.local(source, entry.source)
    if origin is not None and origin.is_dir():
        model_folder.copy(origin, folder)
        pinned.check(folder, entry.source, entry.sha256)
        return folder
    file = pinned.file(source, entry.source, entry.sha256, hub.model_file)
    if file.suffix != ".gguf":
        raise ModelError(f"{entry.source}: neither a folder with safetensors nor a .gguf file")
    return file


def _write_tokenizer(origin: Path, folder: Path, entry: Weights) -> None:
    template = entry.chat_template
    if origin != folder:
        vocabulary = tokenizer.read_gguf(origin)
        tokenizer.write(vocabulary, folder)
        template = template or vocabulary.chat_template
    model_folder.complete(folder, template)


def _finish(name: str, entry: Weights, origin: Path, folder: Path) -> dict[str, object]:
    print(f"fetch {name}: checking the tokenizer over all of Unicode", flush=True)
    built = Tokenizer.from_file(str(folder / "tokenizer.json"))
    if origin != folder:
        # Rebuilt here, so it has to be proved; others may normalize text on purpose.
        trips = tokenizer.require_lossless(built, entry.source)
        print(f"fetch {name}: converting {origin.name} to safetensors", flush=True)
        _convert(origin, folder)
    else:
        trips = tokenizer.round_trip(built)
    model_folder.complete_generation(folder)
    answer = _probe(entry, folder)
    candidate.write(candidate.describe(f"fetch/{name}", None, entry))
    return {
        "source": entry.source,
        "sha256": entry.sha256,
        "license": entry.license,
        "source_bytes": _bytes(origin),
        "bytes": _bytes(folder),
        "parameters": model_folder.parameters(folder),
        "model_hash": candidate.sha256(folder),
        "vocabulary": built.get_vocab_size(),
        "round_trip": asdict(trips),
        "probe": None if entry.probe is None else {**entry.probe.model_dump(), "answer": answer},
    }


def _convert(origin: Path, folder: Path) -> None:
    from tasks.fetch import gguf  # torch is loaded only where it is needed

    gguf.convert(origin, folder)


def _probe(entry: Weights, folder: Path) -> str | None:
    from tasks.fetch import probe  # torch is loaded only where it is needed

    probe.require_agreement(folder)
    return probe.ask(folder, entry.probe) if entry.probe else None


def _bytes(path: Path) -> int:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(file.stat().st_size for file in files)
