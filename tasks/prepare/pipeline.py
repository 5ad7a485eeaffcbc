"""Raw rows in, three splits of rendered records out.

run(Prepare(...), Task(...))  # data/raw/ -> data/prepared/, data/locked/
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bentos.generator.prompt import Message, Renderer, messages_for
from tasks import paths, records
from tasks.config import Task
from tasks.errors import DataError
from tasks.prepare import clean, data_report, fit, split
from tasks.prepare.clean import Item, Rejected
from tasks.prepare.config import Prepare
from tasks.progress import Progress

FILES: dict[split.Name, Path] = {
    "train": paths.TRAIN,
    "validation": paths.VALIDATION,
    "test": paths.LOCKED_TEST,
}
QUARANTINE = paths.PREPARED / "quarantine.jsonl"


def run(config: Prepare, task: Task) -> dict[str, object]:
    """Write the splits and the quarantine, and return the report's facts.

    Raises:
        ConfigError: the section does not fit the task.
        DataError: the data cannot serve the task.
    """
    fit.require(config, task)
    source = paths.RAW / "records.jsonl"
    raw = list(_read(source))
    clean.require_columns(raw, config, str(source))
    items, rejected, outside = _clean(raw, config, task)
    require_labels(items, task.labels, _where(source, rejected, outside))
    renderer = Renderer.from_folder(paths.candidate("fetch/base"))
    items, tokens = _measured(
        items, {row["_row"]: row for row in raw}, config, task, renderer, rejected
    )
    distinct = split.distinct(items, config.near_duplicate_similarity, config.split)
    sides, over_limit = _sides(distinct, config)
    for name, side in sides.items():
        require_labels(side, task.labels, f"{source}: split {name}")
    for name, side in sides.items():
        records.write(FILES[name], (_record(item, task, renderer) for item in side))
    rejected.sort(key=lambda row: row.row)
    quarantine = [{"row": r.row, "reason": r.reason, "raw": dict(r.raw)} for r in rejected]
    records.write(QUARANTINE, quarantine)
    return {
        "rows": data_report.of_rows(len(raw), outside, rejected, distinct, over_limit),
        "splits": {
            name: data_report.of_split(side, tokens, FILES[name]) for name, side in sides.items()
        },
    }


def require_labels(items: Sequence[Item], labels: Sequence[str], where: str) -> None:
    """Refuse items that lack one of the labels.

    Raises:
        DataError: no items, one class only, or a label missing, with the counts.
    """
    counts = Counter(item.reference for item in items)
    if not counts:
        raise DataError(f"{where}: no usable row; mend prepare.fields or prepare.reference")
    missing = [label for label in labels if label not in counts]
    if missing:
        shown = ", ".join(f"{label}: {counts[label]}" for label in labels)
        what = "one class only" if len(counts) == 1 else "a label is missing"
        raise DataError(
            f"{where}: {what} ({shown}); add rows labelled {', '.join(missing)}, mend "
            "prepare.reference, or take the label out of task.labels"
        )


def _read(file: Path) -> Iterator[dict[str, object]]:
    if not file.is_file():
        raise DataError(f"{file} does not exist; run the stage fetch@data first")
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _clean(
    raw: Sequence[Mapping[str, object]], config: Prepare, task: Task
) -> tuple[list[Item], list[Rejected], int]:
    """Usable items, rejected rows and the number of rows in no bin."""
    items: list[Item] = []
    rejected: list[Rejected] = []
    outside = 0
    progress = Progress("clean", len(raw))
    for row in raw:
        progress.advance()
        try:
            found = clean.item(row, config, task.labels)
        except clean.OutsideBinsError:
            outside += 1
            continue
        if isinstance(found, Item):
            items.append(found)
        else:
            rejected.append(found)
    return items, rejected, outside


def _where(source: Path, rejected: Sequence[Rejected], outside: int) -> str:
    if not rejected and not outside:
        return str(source)
    reasons = Counter(row.reason for row in rejected).most_common(3)
    shown = [f"{count} rejected ({reason})" for reason, count in reasons]
    return f"{source} ({'; '.join([*shown, f'{outside} in no bin'])})"


def _measured(
    items: Sequence[Item],
    raw: Mapping[object, Mapping[str, object]],
    config: Prepare,
    task: Task,
    renderer: Renderer,
    rejected: list[Rejected],
) -> tuple[list[Item], dict[str, int]]:
    """Items whose prompt is short enough, with prompt lengths; the others are rejected."""
    short = []
    tokens: dict[str, int] = {}
    progress = Progress("render", len(items))
    for item in items:
        progress.advance()
        if item.id not in tokens:
            tokens[item.id] = len(renderer.encode(_prompt(item, task, renderer)))
        if tokens[item.id] <= config.max_prompt_tokens:
            short.append(item)
        else:
            reason = f"prompt longer than {config.max_prompt_tokens} tokens"
            rejected.append(Rejected(item.row, reason, raw[item.row]))
    return short, tokens


def _sides(
    distinct: split.Distinct, config: Prepare
) -> tuple[dict[split.Name, list[Item]], dict[split.Name, int]]:
    """The items of each split within its limit, and how many the limits left out."""
    limits: dict[split.Name, int | None] = {
        "train": config.max_train,
        "validation": config.max_validation,
        "test": config.max_test,
    }
    drawn: dict[split.Name, list[Item]] = {name: [] for name in split.NAMES}
    for item in distinct.items:
        drawn[split.assign(item.group, config.split)].append(item)
    sides = {
        name: split.subset(side, limits[name], config.split.salt) for name, side in drawn.items()
    }
    return sides, {name: len(drawn[name]) - len(side) for name, side in sides.items()}


def _prompt(item: Item, task: Task, renderer: Renderer) -> str:
    return renderer.render(_messages(item, task))


def _messages(item: Item, task: Task) -> list[Message]:
    if task.prompt is None:
        raise DataError("task.prompt is missing: rows of whole conversations are not read yet")
    return messages_for(task.prompt, item.fields)


def _record(item: Item, task: Task, renderer: Renderer) -> records.Record:
    return records.Record(
        id=item.id,
        group=item.group,
        fields=dict(item.fields),
        messages=_messages(item, task),
        prompt=_prompt(item, task, renderer),
        reference=item.reference,
    )
