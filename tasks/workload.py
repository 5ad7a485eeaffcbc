"""Turn a workload file into the parameters of one run.

    python -m tasks.workload sentiment --budget quick --set finetune.lora.rank=8

reads workloads/sentiment.yaml, applies the budget and the overrides, checks everything and
writes params.yaml.
"""

import argparse
import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

import yaml
from pydantic import Field, ValidationError

from tasks import paths, stage
from tasks.ask.config import AskConfig
from tasks.baseline.config import BaselineConfig
from tasks.config import Config, Task, VariantName
from tasks.distill.config import DistillConfig
from tasks.errors import ConfigError, Problem
from tasks.evaluate.config import EvaluateConfig
from tasks.fetch.config import Fetch
from tasks.finetune.config import FinetuneConfig
from tasks.gate.config import GateConfig
from tasks.importance.config import ImportanceConfig
from tasks.label.config import LabelConfig
from tasks.package.config import PackageConfig
from tasks.params import load_yaml, problems
from tasks.prepare import fit
from tasks.prepare.config import Prepare
from tasks.prune.config import PruneConfig
from tasks.quantize.config import ENGINES, UNCONVERTED, QuantizeConfig
from tasks.remote_config import RemoteConfig
from tasks.route.config import RouteConfig
from tasks.search.config import SearchConfig

Budget = Literal["smoke", "quick", "full"]
Overrides = Mapping[str, object]

MAKERS = ("finetune", "prune", "distill", "quantize")
"""Stages whose variants are candidates made from another candidate."""

VARIANTS = (*MAKERS, "importance", "label", "ask")
"""Stages whose variants are made because something else needs them."""


class StageRef(NamedTuple):
    """One node of the stage graph."""

    stage: str
    variant: str | None = None

    @property
    def target(self) -> str:
        """Its name for `dvc repro`."""
        return f"{self.stage}@{self.variant}" if self.variant else self.stage


class Workload(Config):
    """Everything that a run is told; also the layout of params.yaml."""

    workload: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", description="Its name.")]
    budget: Budget = Field(description="How much work a run may do.")
    task: Task
    fetch: Fetch
    prepare: Prepare
    finetune: dict[VariantName, FinetuneConfig] = Field(default={}, description="Tuned models.")
    importance: dict[VariantName, ImportanceConfig] = Field(
        default={}, description="How much each part of a model matters."
    )
    prune: dict[VariantName, PruneConfig] = Field(default={}, description="Pruned models.")
    label: dict[VariantName, LabelConfig] = Field(default={}, description="Teachers' logits.")
    ask: dict[VariantName, AskConfig] = Field(default={}, description="Answers from elsewhere.")
    distill: dict[VariantName, DistillConfig] = Field(default={}, description="Students.")
    quantize: dict[VariantName, QuantizeConfig] = Field(default={}, description="Engine formats.")
    baseline: dict[VariantName, BaselineConfig] = Field(default={}, description="Cheap rivals.")
    remote: dict[VariantName, RemoteConfig] = Field(default={}, description="Models elsewhere.")
    evaluate: EvaluateConfig
    gate: GateConfig
    route: dict[VariantName, RouteConfig] = Field(default={}, description="Routers.")
    package: PackageConfig = PackageConfig()
    search: SearchConfig | None = Field(default=None, description="What the flow search may try.")

    def candidates(self) -> dict[str, str | None]:
        """Every candidate with its parent; fetched weights have none."""
        found: dict[str, str | None] = {f"fetch/{name}": None for name in self.fetch.weights}
        if self.gate.champion is not None:
            found[paths.CHAMPION] = None
        for maker in MAKERS:
            for name, config in getattr(self, maker).items():
                found[f"{maker}/{name}"] = config.parent
        return found

    def engines(self, candidate: str) -> tuple[str, ...]:
        """Which engines here run a candidate."""
        maker, variant = candidate.split("/")
        return ENGINES[self.quantize[variant].format] if maker == "quantize" else UNCONVERTED

    def levers(self) -> set[str]:
        """Every lever that a search may pull."""
        return {lever for chain in self.search.chains for lever in chain} if self.search else set()

    def stages(self) -> list[StageRef]:
        """Every stage of the run, each after what it needs.

        Raises:
            CycleError: candidates are made from each other.
        """
        start = [StageRef("fetch", "weights"), StageRef("fetch", "data"), StageRef("prepare")]
        made = [ref for ref in TopologicalSorter(self._needs()).static_order() if ref not in start]
        judged = [StageRef("baseline", name) for name in self.baseline]
        judged += [StageRef("remote", name) for name in self.remote]
        judged += [StageRef("evaluate", name) for name in self.evaluate.candidates]
        routed = [StageRef("route", name) for name in self.route]
        return [*start, *made, *judged, *routed, *map(StageRef, ("gate", "report", "package"))]

    def needed(self, goals: Iterable[StageRef]) -> set[StageRef]:
        """The goals, and all that they are made from; of a sound workload."""
        needs, found, waiting = self._needs(), set[StageRef](), list(goals)
        for name, entry in self.evaluate.candidates.items():
            needs[StageRef("evaluate", name)] = [maker(entry.candidate)]
        while waiting:
            ref = waiting.pop()
            if ref not in found:
                found.add(ref)
                waiting += needs.get(ref, [])
        return found

    def without_search(self) -> "Workload":
        """The workload that a release runs: no variants that only a search would try."""
        evaluated = (StageRef("evaluate", name) for name in self.evaluate.candidates)
        levers = map(maker, self.levers())
        spared = self.needed(levers) - self.needed(evaluated)
        return self.only({*self._needs()} - spared).model_copy(update={"search": None})

    def only(self, refs: Container[StageRef]) -> "Workload":
        """The workload without the variants that are not among `refs`."""
        left = {
            section: {
                name: config
                for name, config in getattr(self, section).items()
                if StageRef(section, name) in refs
            }
            for section in VARIANTS
        }
        return self.model_copy(update=left)

    def _needs(self) -> dict[StageRef, list[StageRef]]:
        """Of every stage that makes something, the stages whose outputs it reads."""
        needs: dict[StageRef, list[StageRef]] = {}
        for name, parent in self.candidates().items():
            if parent is not None:
                needs[maker(name)] = [maker(parent)]
        for name, weighed in self.importance.items():
            needs[StageRef("importance", name)] = [maker(weighed.of)]
        for name, pruned in self.prune.items():
            if pruned.importance is not None:
                needs[StageRef("prune", name)].append(StageRef("importance", pruned.importance))
        for name, labels in self.label.items():
            needs[StageRef("label", name)] = [maker(labels.teacher)]
        for name in self.ask:
            needs[StageRef("ask", name)] = [StageRef("prepare")]
        for name, student in self.distill.items():
            needs[StageRef("distill", name)].append(lesson(student))
        for name, tuned in self.finetune.items():
            if tuned.answers is not None:
                needs[StageRef("finetune", name)].append(StageRef("ask", tuned.answers))
        return needs


class Resolved(NamedTuple):
    """A checked workload, ready to be run."""

    workload: Workload

    @property
    def stages(self) -> list[StageRef]:
        """Every stage in an order that works."""
        return self.workload.without_search().stages()

    def write(self, file: Path = paths.PARAMS) -> None:
        """Write params.yaml."""
        told = self.workload.without_search()
        content = told.model_dump(mode="json", by_alias=True, exclude={"search"})
        head = "# Made by `python -m tasks.workload`: edit workloads/*.yaml, not this file.\n"
        file.write_text(head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def names(root: Path) -> list[str]:
    """The workloads that a checkout holds."""
    return sorted(file.stem for file in (root / paths.WORKLOADS).glob("*.yaml"))


def resolve(
    workload: str, budget: Budget, overrides: Overrides, root: Path, local: Path | None = None
) -> Resolved:
    """Read, merge and check a workload file below `root`.

    Relative `path:` sources are below `local`, which is `root` unless told otherwise: a run reads
    its own copy of the workload file, and the user's data from where they lie.

    Raises:
        ConfigError: with every problem of the file, its budget and the overrides at once.
    """
    file = root / paths.WORKLOADS / f"{workload}.yaml"
    shown = paths.WORKLOADS / f"{workload}.yaml"
    if workload not in names(root):
        remedy = f"no such workload; there are: {_listed(names(root))}"
        raise ConfigError([Problem(str(shown), "workload", workload, remedy)])
    content: dict[str, Any] = load_yaml(file, shown)
    budgets = content.pop("budgets", {})
    # What a file need not say can still be overridden.
    for name, field in Workload.model_fields.items():
        if not field.is_required() and field.default is not None:
            content.setdefault(name, {})
    found = [*_apply_budget(content, budgets, budget, shown), *_apply(content, overrides)]
    content["budget"] = budget
    _anchor(content, local or root)
    found += _pin_metric(content, root, shown)
    found += _pin_benchmarks(content, shown)
    found += _pin_replays(content, shown)
    try:
        checked = Workload.model_validate(content)
    except ValidationError as error:
        raise ConfigError([*found, *problems(error, shown)]) from error
    found += _contradictions(checked, str(shown))
    if found:
        raise ConfigError(found)
    return Resolved(_with_spellers(checked))


def _apply_budget(
    content: dict[str, Any], budgets: object, budget: Budget, file: Path
) -> Iterator[Problem]:
    """A budget sets sizes and steps: numbers that the file already holds, never the gate's."""
    names_of = set(get_args(Budget))
    if not isinstance(budgets, dict) or set(budgets) - names_of or budget not in budgets:
        remedy = f"must be a mapping with {', '.join(sorted(names_of))}"
        yield Problem(str(file), "budgets", repr(budgets)[:80], remedy)
        return
    for key, value in (budgets[budget] or {}).items():
        where = f"budgets.{budget}.{key}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield Problem(str(file), where, repr(value), "a budget sets numbers only")
        elif str(key).startswith(("gate.", "task.")):
            yield Problem(str(file), where, repr(value), "a budget must not move the goal")
        elif not _set(content, str(key), value):
            yield Problem(str(file), where, repr(value), "no such section; mend the key")


def _anchor(content: dict[str, Any], local: Path) -> None:
    """Make local files absolute: a run works in another folder than the user."""
    fetch: Any = content.get("fetch")
    fetch = fetch if isinstance(fetch, dict) else {}
    weights = fetch.get("weights")
    entries = [fetch.get("data"), *(weights.values() if isinstance(weights, dict) else ())]
    for entry in entries:
        source = entry.get("source") if isinstance(entry, dict) else None
        if isinstance(entry, dict) and str(source).startswith("path:"):
            entry["source"] = f"path:{(local / str(source).removeprefix('path:')).absolute()}"
    prepare: Any = content.get("prepare")
    benchmarks = prepare.get("benchmarks") if isinstance(prepare, dict) else None
    if isinstance(benchmarks, list):
        prepare["benchmarks"] = [str((local / str(name)).absolute()) for name in benchmarks]
    for replay in _replays(content).values():
        replay["file"] = str((local / str(replay["file"])).absolute())


def _pin_metric(content: dict[str, Any], root: Path, file: Path) -> Iterator[Problem]:
    """Tell a metric of the user's own by its hash: answers are judged again when it changes."""
    task: Any = content.get("task")
    name = str(task.get("metric")) if isinstance(task, dict) else ""
    if ":" not in name:
        return
    module = paths.WORKLOADS / f"{name.partition(':')[0]}.py"
    if (root / module).is_file():
        task["metric_sha256"] = hashlib.sha256((root / module).read_bytes()).hexdigest()
    else:
        yield Problem(str(file), "task.metric", name, f"there is no {module}; write and commit it")


def _pin_benchmarks(content: dict[str, Any], file: Path) -> Iterator[Problem]:
    """Tell benchmarks by their hashes: the data are prepared again when one changes."""
    prepare: Any = content.get("prepare")
    names = prepare.get("benchmarks") if isinstance(prepare, dict) else None
    digests = []
    for number, name in enumerate(names if isinstance(names, list) else ()):
        if Path(name).is_file():
            digests.append(hashlib.sha256(Path(name).read_bytes()).hexdigest())
        else:
            yield Problem(
                str(file), f"prepare.benchmarks.{number}", name, "no such file; mend the path"
            )
    if digests:
        prepare["benchmarks_sha256"] = digests


def _pin_replays(content: dict[str, Any], file: Path) -> Iterator[Problem]:
    """Tell general conversations by their hash: models are tuned again when they change."""
    for variant, replay in _replays(content).items():
        source = Path(str(replay["file"]))
        if source.is_file():
            replay["sha256"] = hashlib.sha256(source.read_bytes()).hexdigest()
        else:
            key = f"finetune.{variant}.replay.file"
            yield Problem(str(file), key, str(source), "no such file; mend the path")


def _replays(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The replay sections that name a file, by variant of finetune."""
    variants: Any = content.get("finetune")
    found = {
        name: entry.get("replay")
        for name, entry in (variants.items() if isinstance(variants, dict) else ())
        if isinstance(entry, dict)
    }
    return {n: r for n, r in found.items() if isinstance(r, dict) and r.get("file")}


def _apply(content: dict[str, Any], overrides: Overrides) -> Iterator[Problem]:
    for key, value in overrides.items():
        if not _set(content, key, value):
            yield Problem("overrides", key, repr(value), "no such section; mend the dotted key")


def _set(content: dict[str, Any], key: str, value: object) -> bool:
    """Set a dotted key whose parents exist; False when one does not."""
    *parents, last = key.split(".")
    section: Any = content
    for part in parents:
        section = section.get(part) if isinstance(section, dict) else None
    if not isinstance(section, dict):
        return False
    section[last] = value
    return True


def _contradictions(workload: Workload, file: str) -> list[Problem]:
    """What is wrong between sections that are each right by themselves."""
    found = [
        Problem(
            file, key, value, f"no such {kind}; there are: {', '.join(sorted(known)) or 'none'}"
        )
        for key, value, kind, known in _references(workload)
        if value not in known
    ]
    found += fit.differences(workload.prepare, workload.task, file)
    teachers = [n for n, c in workload.evaluate.candidates.items() if c.role == "teacher"]
    teachers += [name for name, model in workload.remote.items() if model.role == "teacher"]
    if teachers != [workload.gate.teacher]:
        remedy = (
            f"exactly this entry of evaluate.candidates or remote must be teacher, not {teachers}"
        )
        found.append(Problem(file, "gate.teacher", workload.gate.teacher, remedy))
    champions = [n for n, c in workload.evaluate.candidates.items() if c.role == "champion"]
    named = [workload.gate.champion] if workload.gate.champion else []
    if champions != named:
        remedy = f"this entry of evaluate.candidates alone must have role champion, not {champions}"
        found.append(Problem(file, "gate.champion", str(workload.gate.champion), remedy))
    found += _metrics(workload, file)
    found += [*_engines(workload, file), *_unserved(workload, file)]
    found += [*_routers(workload, file), *_feedback(workload, file), *_tools(workload, file)]
    named_all = [*workload.baseline, *workload.remote, *workload.evaluate.candidates]
    twice = sorted({name for name in named_all if named_all.count(name) > 1})
    if twice:
        remedy = "baselines, remote models and evaluated candidates must not share a name"
        found.append(Problem(file, "evaluate.candidates", ", ".join(twice), remedy))
    if not found:
        found += [*_weighed(workload, file), *_cycle(workload, file)]
        found += [] if found else [*_tokenizers(workload, file), *_learned_rounded(workload, file)]
    return found


def _metrics(workload: Workload, file: str) -> Iterator[Problem]:
    """What gate, baselines and slices ask of the task's answers and of the data."""
    further = workload.task.further_metrics
    for name in workload.task.slices:
        if name not in workload.prepare.metadata:
            remedy = f"not in prepare.metadata ({_listed(workload.prepare.metadata)}); add it there"
            yield Problem(file, "task.slices", name, remedy)
    for name in workload.gate.guards:
        if name not in further:
            remedy = f"not a further metric of the task; there are: {_listed(further)}"
            yield Problem(file, f"gate.guards.{name}", name, remedy)
    for name, rival in workload.baseline.items():
        if (rival.method == "tfidf") != (workload.task.kind == "classification"):
            remedy = "tfidf tells classes apart; copy and lead are for texts that become texts"
            yield Problem(file, f"baseline.{name}.method", rival.method, remedy)


def _weighed(workload: Workload, file: str) -> Iterator[Problem]:
    """Variants of prune whose scores speak of another model, or not of what they ask."""
    for name, pruned in workload.prune.items():
        if pruned.importance is None:
            continue
        weighed = workload.importance[pruned.importance]
        if weighed.of != pruned.parent:
            remedy = (
                f"weighs {weighed.of}, and {pruned.parent} is pruned; add a variant of importance "
                f"with of: {pruned.parent}"
            )
            yield Problem(file, f"prune.{name}.importance", pruned.importance, remedy)
        if pruned.blocks == "least_loss" and not weighed.leave_one_out:
            key = f"importance.{pruned.importance}.leave_one_out"
            yield Problem(file, key, "False", f"prune.{name} needs it: blocks: least_loss")


def _engines(workload: Workload, file: str) -> Iterator[Problem]:
    """Evaluated candidates whose format is not their engine's."""
    for name, entry in workload.evaluate.candidates.items():
        maker, _, variant = entry.candidate.partition("/")
        if maker == "quantize" and variant in workload.quantize:
            format_ = workload.quantize[variant].format
            able = ENGINES[format_]
            if entry.engine not in able:
                remedy = f"{entry.candidate} is {format_}: " + (
                    f"set {' or '.join(able)}"
                    if able
                    else "no engine here serves it; evaluate another format"
                )
                yield Problem(file, f"evaluate.candidates.{name}.engine", entry.engine, remedy)


def _unserved(workload: Workload, file: str) -> Iterator[Problem]:
    """Chains of the search that end in what no engine here runs: no recipe could be measured."""
    known, chains = workload.candidates(), workload.search.chains if workload.search else ()
    for lever in dict.fromkeys(chain[-1] for chain in chains):
        if lever in known and not workload.engines(lever):
            remedy = "no engine here serves its format; end the chain in another one"
            yield Problem(file, "search.chains", lever, remedy)


def _feedback(workload: Workload, file: str) -> Iterator[Problem]:
    """What is kept of requests must not hold what the workload takes out of them."""
    pii = workload.prepare.pii
    if workload.package.feedback.content and pii is not None and pii.action != "keep":
        remedy = f"personal data are to be gone (prepare.pii.action: {pii.action}); set false"
        yield Problem(file, "package.feedback.content", "True", remedy)


def _tools(workload: Workload, file: str) -> Iterator[Problem]:
    """Prompts that the packaged service cannot be asked: it refuses tools, whose calls it lacks."""
    if workload.prepare.tools is not None:
        remedy = (
            "a packaged service takes no tools, so what learned to read them could not be served; "
            "leave it out, or write what they do into the system message"
        )
        yield Problem(file, "prepare.tools", workload.prepare.tools, remedy)


def _routers(workload: Workload, file: str) -> Iterator[Problem]:
    """Routers whose models do not tell how sure they are, or were not asked the same rows."""
    for name, router in workload.route.items():
        known = workload.evaluate.candidates
        entries = {model: known[model] for model in router.models if model in known}
        for model in router.models[:-1]:
            if model in entries and not entries[model].confidence:
                key = f"evaluate.candidates.{model}.confidence"
                yield Problem(file, key, "False", f"route.{name} needs it: set true")
        if len({entry.rows for entry in entries.values()}) > 1:
            remedy = "its models are asked different numbers of rows; let all have the same"
            yield Problem(file, f"route.{name}.models", _listed(entries), remedy)


def _learned_rounded(workload: Workload, file: str) -> Iterator[Problem]:
    """Variants of 4 bits that are rounded in another way than their student learned to be."""
    for name, made in workload.quantize.items():
        parent = made.parent
        while parent.startswith("prune/"):
            pruned = workload.prune[parent.partition("/")[2]]
            if pruned.method != "vocabulary":
                break
            parent = pruned.parent
        maker, _, variant = parent.partition("/")
        learned = workload.distill[variant].int4_group_size if maker == "distill" else None
        if learned is None or made.bits != 4:
            continue
        if made.group_size != learned:
            remedy = f"{parent} learned to be rounded in groups of {learned}: set that"
            yield Problem(file, f"quantize.{name}.group_size", str(made.group_size), remedy)
        if made.corrections:
            remedy = f"{parent} learned to be rounded as it is: leave corrections out"
            yield Problem(file, f"quantize.{name}.corrections", _listed(made.corrections), remedy)


def _references(workload: Workload) -> Iterator[tuple[str, str, str, set[str]]]:
    """Every name that must exist elsewhere: key, name, kind of thing, names that exist."""
    candidates = workload.candidates()
    for name, parent in candidates.items():
        if parent is not None:
            yield f"{name.replace('/', '.')}.from", parent, "candidate", set(candidates)
    for name, weighed in workload.importance.items():
        yield f"importance.{name}.of", weighed.of, "candidate", set(candidates)
    for name, pruned in workload.prune.items():
        if pruned.importance is not None:
            key, known = f"prune.{name}.importance", set(workload.importance)
            yield key, pruned.importance, "importance variant", known
    for name, labels in workload.label.items():
        yield f"label.{name}.teacher", labels.teacher, "candidate", set(candidates)
    for name, asked in workload.ask.items():
        yield f"ask.{name}.teacher", asked.teacher, "remote model", set(workload.remote)
    for name, tuned in workload.finetune.items():
        if tuned.answers is not None:
            yield f"finetune.{name}.answers", tuned.answers, "ask variant", set(workload.ask)
    for name, student in workload.distill.items():
        if student.labels is not None:
            yield f"distill.{name}.labels", student.labels, "label variant", set(workload.label)
        if student.teacher is not None:
            yield f"distill.{name}.teacher", student.teacher, "candidate", set(candidates)
        if student.answers is not None:
            yield f"distill.{name}.answers", student.answers, "ask variant", set(workload.ask)
    for name, entry in workload.evaluate.candidates.items():
        key = f"evaluate.candidates.{name}.candidate"
        yield key, entry.candidate, "candidate", set(candidates)
    for lever in workload.levers():
        yield "search", lever, "variant of finetune, prune, distill or quantize", set(candidates)
    evaluated = {*workload.evaluate.candidates, *workload.remote}
    yield "gate.teacher", workload.gate.teacher, "evaluated candidate", evaluated
    if workload.gate.champion is not None:
        yield "gate.champion", workload.gate.champion, "evaluated candidate", evaluated
    for name, router in workload.route.items():
        for model in router.models:
            yield (
                f"route.{name}.models",
                model,
                "evaluated candidate",
                evaluated - {*workload.remote},
            )
    for name in workload.gate.cost_references:
        yield "gate.cost_references", name, "evaluated candidate", evaluated


def _cycle(workload: Workload, file: str) -> list[Problem]:
    try:
        workload.stages()
    except CycleError as error:
        loop = " from ".join(ref.target for ref in error.args[1])
        return [Problem(file, "from", loop, "candidates must not be made from each other")]
    return []


def _tokenizers(workload: Workload, file: str) -> Iterator[Problem]:
    """Students that cannot share their teacher's tokens: found before anything is computed."""
    for name, student in workload.distill.items():
        teacher = _teacher(workload, student)
        if teacher is None:
            continue
        ours, theirs = (_speller(workload, each) for each in (student.parent, teacher))
        if ours != theirs and any(each.startswith("prune/") for each in (ours, theirs)):
            remedy = (
                f"{student.parent} has the tokens of {ours}, the teacher {teacher} those of "
                f"{theirs}: trim the vocabulary after distill, or learn answers (method: text)"
            )
            yield Problem(file, f"distill.{name}.from", student.parent, remedy)
    for name in workload.label:
        if len(others := _other_spellers(workload, name)) > 1:
            remedy = (
                "students of different weights: give each weights' students labels of their own"
            )
            yield Problem(file, f"label.{name}", _listed(others), remedy)


def _other_spellers(workload: Workload, label: str) -> set[str]:
    """Weights, other than the teacher's own, whose tokens the students of a label variant have."""
    students = (each for each in workload.distill.values() if each.labels == label)
    found = {_speller(workload, each.parent) for each in students}
    return found - {_speller(workload, workload.label[label].teacher)}


def _with_spellers(workload: Workload) -> Workload:
    """The workload with, at every label variant, the weights that its students' tokens are from."""
    labels = {
        name: config.model_copy(
            update={
                "spelt_by": next(
                    iter(_other_spellers(workload, name)), _speller(workload, config.teacher)
                )
            }
        )
        for name, config in workload.label.items()
    }
    return workload.model_copy(update={"label": labels})


def _teacher(workload: Workload, student: DistillConfig) -> str | None:
    """The candidate whose logits a student learns, if any."""
    return workload.label[student.labels].teacher if student.labels else student.teacher


def _speller(workload: Workload, candidate: str) -> str:
    """The candidate that another one's tokenizer is from: where it was fetched or trimmed."""
    parents = workload.candidates()
    while (parent := parents[candidate]) is not None:
        maker, variant = candidate.split("/")
        if maker == "prune" and workload.prune[variant].method == "vocabulary":
            break
        candidate = parent
    return candidate


def lesson(student: DistillConfig) -> StageRef:
    """The stage that makes what a student learns from."""
    if student.labels is not None:
        return StageRef("label", student.labels)
    if student.answers is not None:
        return StageRef("ask", student.answers)
    return maker(str(student.teacher))


def _listed(known: Iterable[str]) -> str:
    return ", ".join(sorted(known)) or "none"


def maker(candidate: str) -> StageRef:
    """The stage that makes a candidate."""
    name, variant = candidate.split("/")
    return StageRef("fetch", "weights") if name == "fetch" else StageRef(name, variant)


def _pair(text: str) -> tuple[str, object]:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(
            f"{text}: write key=value, for example prune.d.keep_layers=8"
        )
    return key, yaml.safe_load(value)


def main(arguments: list[str]) -> None:
    """Resolve a workload by hand."""
    parser = argparse.ArgumentParser(prog="python -m tasks.workload", description=__doc__)
    parser.add_argument("workload")
    parser.add_argument("--budget", choices=get_args(Budget), default="quick")
    parser.add_argument("--set", action="append", type=_pair, default=[], metavar="KEY=VALUE")
    options = parser.parse_args(arguments)
    resolve(options.workload, options.budget, dict(options.set), Path.cwd()).write()
    print(f"wrote {paths.PARAMS}")


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
