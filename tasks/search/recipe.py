"""A recipe: which levers, in which order, how strong; and the workload that holds it.

    recipe = Recipe(levers=("prune/depth16", "quantize/small-int8"), values={...})
    workload, name = with_recipe(base(workload), search, recipe)
    name                                "small-int8-5f0c1a7e"

A variant is named by all that went into it, so recipes that begin alike share what they begin
with: DVC has it already.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final

from pydantic import Field

from tasks.config import CandidateName, Config
from tasks.search.config import Chain, SearchConfig, Value, owner
from tasks.workload import VARIANTS, StageRef, Workload, lesson, maker

DIGITS = 8
"""Of a variant's hash: enough for millions of recipes."""

FIRST = ("fetch", "prepare")
"""Stages that every recipe begins with."""

SET_BY_A_RUN = ("reads", "spelt_by")
"""Settings that nobody writes."""

Origins = Mapping[Chain, str]
"""What the first lever of each chain starts from, whether or not a recipe leaves it out."""

ALIKE: Final[Origins] = {}
"""All chains start from the same."""


class Recipe(Config):
    """One way from the tuned model to what an engine runs.

    Attributes:
        levers: applied in this order.
        values: settings that differ from the workload's, by dotted key.
        origin: what it starts from, where that is not what the first chain with these levers
            starts from; so a model that two chains lead to has one recipe.
    """

    levers: tuple[str, ...]
    values: dict[str, Value] = Field(default={})
    origin: CandidateName | None = Field(default=None)

    def __str__(self) -> str:
        told = " > ".join(self._told(lever) for lever in self.levers)
        return f"{self.origin}: {told}" if self.origin else told

    def _told(self, lever: str) -> str:
        own = [f"{k.split('.', 2)[2]} {v}" for k, v in self.values.items() if owner(k) == lever]
        return f"{lever} ({', '.join(own)})" if own else lever


def origins_of(workload: Workload, search: SearchConfig) -> Origins:
    """What recipes of each chain start from."""
    return {chain: _parent(workload, chain[0]) for chain in search.chains}


def of_chain(
    chain: Chain,
    levers: Collection[str],
    values: Mapping[str, object],
    search: SearchConfig,
    origins: Origins,
) -> Recipe:
    """The recipe of one chain that takes these levers, and steps over its others."""
    taken = tuple(lever for lever in chain if lever in levers)
    own, first = (origins.get(each) for each in (chain, _first_with(taken, search)))
    origin = None if own == first else own
    return Recipe.model_validate({"levers": taken, "values": values, "origin": origin})


def _first_with(levers: Sequence[str], search: SearchConfig) -> Chain:
    for chain in search.chains:
        rest = iter(chain)
        if all(lever in rest for lever in levers):
            return chain
    raise ValueError(f"{' > '.join(levers)}: in no chain of the search")


def composed(workload: Workload, search: SearchConfig) -> list[Chain]:
    """Chains that start from what another lever made: no lever of theirs is ever alone."""
    levers = {lever for chain in search.chains for lever in chain}
    return [chain for chain, origin in origins_of(workload, search).items() if origin in levers]


def alone(
    search: SearchConfig, besides: Collection[Chain] = (), origins: Origins = ALIKE
) -> dict[str, list[Recipe]]:
    """Every lever by itself, in all its strengths, by its name; chains `besides` have none."""
    found: dict[str, list[Recipe]] = {}
    for chain in search.chains:
        if chain in besides:
            continue
        last = chain[-1]
        for lever in (*(each for each in chain[:-1] if each in search.optional), last):
            idle = {} if lever == last else _of(search.idle, last)
            recipes = [
                of_chain(chain, {lever, last}, {**idle, **values}, search, origins)
                for values in _strengths(search, lever)
            ]
            known = found.setdefault(lever, [])
            known += [recipe for recipe in recipes if recipe not in known]
    return found


def _strengths(search: SearchConfig, lever: str) -> Iterator[dict[str, Value]]:
    own = {key: choices for key, choices in search.values.items() if owner(key) == lever}
    for choice in product(*own.values()):
        values = dict(zip(own, choice, strict=True))
        if not own or values != _of(search.idle, lever):
            yield values


def together(
    search: SearchConfig, strongest: Mapping[str, Recipe], origins: Origins = ALIKE
) -> Recipe | None:
    """Several levers, each as strong as in its own recipe; None where no chain has two of them."""
    for chain in search.chains:
        taken = [lever for lever in chain if lever in strongest]
        if len(taken) > 1:
            values = _of(search.idle, chain[-1])
            for lever in taken:
                values |= _of(strongest[lever].values, lever)
            levers = [each for each in chain if each in taken or each not in search.optional]
            return of_chain(chain, levers, values, search, origins)
    return None


def brief(recipe: Recipe, search: SearchConfig) -> Recipe:
    """The same recipe at the settings of a first look."""
    told = {key: value for key, value in search.brief.items() if owner(key) in recipe.levers}
    return recipe.model_copy(update={"values": {**recipe.values, **told}})


def in_full(recipe: Recipe, search: SearchConfig) -> Recipe:
    """A recipe of a first look at the settings of the workload."""
    values = {key: value for key, value in recipe.values.items() if key not in search.brief}
    return recipe.model_copy(update={"values": values})


def base(workload: Workload, search: SearchConfig) -> Workload:
    """What all recipes share: the teacher as it is evaluated, and all that levers start from.

    Raises:
        KeyError: the gate's teacher is not an entry of evaluate.candidates.
    """
    teacher = workload.evaluate.candidates[workload.gate.teacher]
    teacher = teacher.model_copy(update={"rows": search.rows})
    starts = origins_of(workload, search).values()
    goals = [maker(teacher.candidate), *map(maker, starts), *_lessons(workload, search)]
    kept = workload.only(workload.needed(goals))
    content = kept.model_dump(mode="json", by_alias=True)
    asked = {told.teacher for told in kept.ask.values()}
    content["remote"] = {n: v for n, v in content["remote"].items() if n in asked}
    content["evaluate"]["candidates"] = {workload.gate.teacher: teacher.model_dump(mode="json")}
    content |= {"baseline": {}, "route": {}, "search": None}
    content["gate"] |= {"cost_references": [], "champion": None}
    return Workload.model_validate(content)


def _lessons(workload: Workload, search: SearchConfig) -> Iterator[StageRef]:
    """What makes all that levers learn from."""
    for lever in dict.fromkeys(lever for chain in search.chains for lever in chain):
        stage, variant = lever.split("/")
        if stage == "distill":
            yield lesson(workload.distill[variant])
        elif stage == "finetune" and (asked := workload.finetune[variant].answers) is not None:
            yield StageRef("ask", asked)


def with_recipe(
    shared: Workload, workload: Workload, search: SearchConfig, recipe: Recipe
) -> tuple[Workload, str]:
    """`shared` with the variants of a recipe, and the name that its last one is evaluated by.

    Args:
        shared: what other recipes have brought already.
        workload: holds the levers as the user wrote them.
        search: holds the number of rows that are evaluated.
        recipe: what to add.

    Raises:
        pydantic.ValidationError: a setting that its lever does not take.
    """
    content = shared.model_dump(mode="json", by_alias=True)
    parent = _origin(workload, search, recipe)
    digest = hashlib.sha256(parent.encode())
    for lever in recipe.levers:
        stage, variant = lever.split("/")
        settings = _settings(workload, lever, recipe.values)
        settings |= _weigh(content, settings, workload, parent)
        digest.update(json.dumps([stage, variant, settings], sort_keys=True).encode())
        name = f"{variant}-{digest.hexdigest()[:DIGITS]}"
        content[stage][name] = settings | {"from": parent}
        parent = f"{stage}/{name}"
    engine = _engine(workload, recipe.levers[-1])
    entry = {"candidate": parent, "engine": engine, "role": "candidate", "rows": search.rows}
    content["evaluate"]["candidates"][name] = entry
    return Workload.model_validate(content), name


def _engine(workload: Workload, lever: str) -> str:
    """What runs a lever's model: what the workload evaluates it by, else rather the teacher's."""
    able, entries = workload.engines(lever), workload.evaluate.candidates
    asked = [entry.engine for entry in entries.values() if entry.candidate == lever]
    asked.append(entries[workload.gate.teacher].engine)
    # Else the last: transformers is always here, vLLM is not.
    return next((engine for engine in asked if engine in able), able[-1])


def _weigh(
    content: dict[str, Any], settings: Mapping[str, Any], workload: Workload, parent: str
) -> dict[str, str]:
    """Give `content` the scores that a lever asks of its parent; how the lever then names them.

    All recipes that prune the same parent share them.
    """
    asked = settings.get("importance")
    if asked is None:
        return {}
    scores = workload.importance[asked].model_dump(mode="json", exclude_unset=True)
    name = f"{asked}-{hashlib.sha256(parent.encode()).hexdigest()[:DIGITS]}"
    content["importance"][name] = scores | {"of": parent}
    return {"importance": name}


def stages(workload: Workload, name: str) -> list[StageRef]:
    """The stages that lead to one evaluated candidate, in an order that works."""
    needed = workload.needed([StageRef("evaluate", name)])
    return [ref for ref in workload.stages() if ref in needed or ref.stage in FIRST]


def found(workload: Workload, search: SearchConfig, recipe: Recipe) -> dict[str, Any]:
    """A workload file's content that holds one recipe beside the teacher, and nothing else."""
    content = base(workload, search).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for section in ("finetune", "prune", "label", "distill"):
        for written in content.get(section, {}).values():
            for key in SET_BY_A_RUN:
                written.pop(key, None)
    parent = _origin(workload, search, recipe)
    for lever in recipe.levers:
        stage, variant = lever.split("/")
        settings = _settings(workload, lever, recipe.values)
        if asked := settings.get("importance"):
            scores = workload.importance[asked]
            name = asked if scores.of == parent else f"{asked}-{variant}"
            told = scores.model_dump(mode="json", exclude_unset=True) | {"of": parent}
            content.setdefault("importance", {})[name] = told
            settings["importance"] = name
        content.setdefault(stage, {})[variant] = {"from": parent} | settings
        parent = lever
    teacher = workload.evaluate.candidates[workload.gate.teacher]
    content["evaluate"]["candidates"] = {
        workload.gate.teacher: teacher.model_dump(mode="json", exclude_defaults=True),
        parent.split("/")[1]: {"candidate": parent, "engine": _engine(workload, parent)},
    }
    return _needed(content)


def _needed(content: dict[str, Any]) -> dict[str, Any]:
    """A workload file's content without the variants that nothing evaluated is made from."""
    whole = Workload.model_validate(content)
    kept = whole.only(whole.needed(StageRef("evaluate", n) for n in whole.evaluate.candidates))
    names = {section: set(getattr(kept, section)) for section in VARIANTS}
    names["remote"] = {told.teacher for told in kept.ask.values()}
    for section, left in names.items():
        content[section] = {n: told for n, told in content.get(section, {}).items() if n in left}
    return {section: told for section, told in content.items() if told or section not in names}


def _origin(workload: Workload, search: SearchConfig, recipe: Recipe) -> str:
    if recipe.origin is not None:
        return recipe.origin
    return _parent(workload, _first_with(recipe.levers, search)[0])


def _parent(workload: Workload, lever: str) -> str:
    parent = workload.candidates()[lever]
    if parent is None:
        raise ValueError(f"{lever}: made from nothing")
    return parent


def _settings(workload: Workload, lever: str, values: Mapping[str, Value]) -> dict[str, Any]:
    stage, variant = lever.split("/")
    written = getattr(workload, stage)[variant]
    settings: dict[str, Any] = written.model_dump(mode="json", by_alias=True, exclude_unset=True)
    settings = {key: told for key, told in settings.items() if key not in ("from", *SET_BY_A_RUN)}
    for key, value in _of(values, lever).items():
        _, _, setting = key.split(".", 2)
        settings[setting] = value
    return settings


def _of(values: Mapping[str, Value], lever: str) -> dict[str, Value]:
    return {key: value for key, value in values.items() if owner(key) == lever}


def unique(recipes: Sequence[Recipe]) -> list[Recipe]:
    """Each once, in order."""
    return list({recipe.model_dump_json(): recipe for recipe in recipes}.values())
