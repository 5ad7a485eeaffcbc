"""Recipes become variants that share what they share."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from tasks.search import recipe as recipes
from tasks.search.config import SearchConfig, owner
from tasks.search.recipe import Recipe
from tasks.workload import VARIANTS, Workload, resolve

ROOT = Path(__file__).parents[2]
WORKLOAD = resolve("sentiment", "quick", {}, ROOT).workload


def search() -> SearchConfig:
    """What the workload says of its first chain."""
    assert WORKLOAD.search is not None
    told = WORKLOAD.search.model_dump(mode="json")
    first = told["chains"][0]
    for section in ("values", "idle", "brief"):
        told[section] = {key: value for key, value in told[section].items() if owner(key) in first}
    return SearchConfig.model_validate(told | {"chains": [first]})


def composed(layers: int, bits: int) -> Recipe:
    return Recipe(
        levers=("prune/depth16", "distill/small", "quantize/small-int8"),
        values={"prune.depth16.keep_layers": layers, "quantize.small-int8.bits": bits},
    )


def test_what_recipes_share_is_the_teacher_and_what_the_levers_start_from() -> None:
    shared = recipes.base(WORKLOAD, search())
    assert set(shared.candidates()) == {"fetch/base", "finetune/lora", "quantize/teacher-fp32"}
    assert list(shared.evaluate.candidates) == ["teacher"]
    assert list(shared.label) == ["lora"]


def asking() -> dict[str, Any]:
    """The demo with two models elsewhere, each asked for answers."""
    content = WORKLOAD.model_dump(mode="json", by_alias=True)
    content["remote"] = {
        name: {
            "base_url": "http://127.0.0.1:1/v1",
            "model": name,
            "price_per_million_input_tokens": 1.0,
            "price_per_million_output_tokens": 1.0,
            "role": "baseline",
        }
        for name in ("large", "idle")
    }
    content["ask"] = {name: {"teacher": name, "rows": 8} for name in ("large", "idle")}
    return content


def test_a_running_teacher_and_answers_from_elsewhere_are_shared_too() -> None:
    content = asking()
    common = {"from": "prune/depth16", "max_steps": 1}
    content["distill"] = {
        "small": common | {"method": "text", "answers": "large"},
        "other": common | {"method": "online", "teacher": "fetch/base"},
    }
    told = search().model_dump(mode="json") | {
        "chains": [
            ["prune/depth16", f"distill/{name}", "quantize/small-int8"]
            for name in ("small", "other")
        ],
        "optional": ["prune/depth16"],
        "values": {},
        "brief": {},
    }
    asked = SearchConfig.model_validate(told)
    workload = Workload.model_validate(content)
    shared = recipes.base(workload, asked)
    assert list(shared.ask) == list(shared.remote) == ["large"]
    assert not shared.label
    for student, lesson in (("small", "ask@large"), ("other", "fetch@weights")):
        recipe = Recipe(levers=("prune/depth16", f"distill/{student}", "quantize/small-int8"))
        grown, name = recipes.with_recipe(shared, workload, asked, recipe)
        targets = [ref.target for ref in recipes.stages(grown, name)]
        assert lesson in targets
        assert not any(target.startswith(("label", "remote")) for target in targets)
        assert ("ask@large" in targets) == (student == "small")


def test_answers_that_a_model_is_tuned_on_are_shared_too(tmp_path: Path) -> None:
    content = asking()
    content["finetune"]["told"] = {"from": "fetch/base", "answers": "large", "max_steps": 1}
    content["search"] |= {"values": {}, "idle": {}, "brief": {}, "optional": []}
    content["search"]["chains"] = [["finetune/told", "quantize/small-int8"]]
    workload = Workload.model_validate(content)
    asked = workload.search
    assert asked is not None
    shared = recipes.base(workload, asked)
    assert list(shared.ask) == list(shared.remote) == ["large"]
    recipe = Recipe(levers=("finetune/told", "quantize/small-int8"))
    grown, name = recipes.with_recipe(shared, workload, asked, recipe)
    assert "ask@large" in [ref.target for ref in recipes.stages(grown, name)]
    again = released(recipes.found(workload, asked, recipe), tmp_path)
    assert again.finetune["told"].answers == "large"
    assert list(again.ask) == list(again.remote) == ["large"]


@pytest.mark.parametrize(
    ("lever", "made", "engine"),
    [
        ("quantize/last", {"bits": 8}, "openvino"),
        ("quantize/last", {"format": "compressed_tensors", "scheme": "w8a8"}, "transformers"),
        ("prune/small", None, "transformers"),
    ],
)
def test_what_a_recipe_ends_in_is_asked_of_an_engine_that_reads_it(
    lever: str, made: dict[str, Any] | None, engine: str, tmp_path: Path
) -> None:
    content = WORKLOAD.model_dump(mode="json", by_alias=True)
    if made is not None:
        content["quantize"]["last"] = {"from": "finetune/lora", **made}
    content["search"] |= {"values": {}, "idle": {}, "brief": {}, "optional": []}
    content["search"]["chains"] = [["prune/depth16", lever]]
    recipe = Recipe(levers=("prune/depth16", lever))

    def asked(content: dict[str, Any], root: Path) -> str:
        workload = Workload.model_validate(content)
        assert workload.search is not None
        shared = recipes.base(workload, workload.search)
        grown, name = recipes.with_recipe(shared, workload, workload.search, recipe)
        root.mkdir()
        again = released(recipes.found(workload, workload.search, recipe), root)
        [last] = {"teacher", *again.evaluate.candidates} - {"teacher"}
        assert again.evaluate.candidates[last].engine == grown.evaluate.candidates[name].engine
        return grown.evaluate.candidates[name].engine

    assert asked(content, tmp_path / "by-default") == engine
    if engine != "openvino":
        content["evaluate"]["candidates"]["mine"] = {"candidate": lever, "engine": "vllm"}
        assert asked(content, tmp_path / "as-told") == "vllm"


def released(content: dict[str, Any], root: Path) -> Workload:
    """What a release reads of a workload file that a search has written."""
    content = content | {"budgets": {"smoke": {}, "quick": {}, "full": {}}}
    (root / "workloads").mkdir()
    (root / "workloads/found.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return resolve("found", "quick", {}, root).workload


def test_recipes_that_begin_alike_share_their_beginning() -> None:
    shared = recipes.base(WORKLOAD, search())
    grown, eight = recipes.with_recipe(shared, WORKLOAD, search(), composed(12, 8))
    grown, four = recipes.with_recipe(grown, WORKLOAD, search(), composed(12, 4))
    assert eight != four
    assert len(grown.prune) == len(grown.distill) == 1
    assert {config.bits for config in grown.quantize.values()} == {32, 8, 4}
    grown, _ = recipes.with_recipe(grown, WORKLOAD, search(), composed(16, 8))
    assert len(grown.prune) == len(grown.distill) == 2
    again, name = recipes.with_recipe(grown, WORKLOAD, search(), composed(12, 8))
    assert (again, name) == (grown, eight)


def test_a_lever_that_is_left_out_is_stepped_over() -> None:
    shared = recipes.base(WORKLOAD, search())
    recipe = Recipe(levers=("prune/small", "quantize/small-int8"))
    grown, name = recipes.with_recipe(shared, WORKLOAD, search(), recipe)
    [pruned] = grown.prune.values()
    assert pruned.parent == "finetune/lora"
    targets = [ref.target for ref in recipes.stages(grown, name)]
    assert targets[-1] == f"evaluate@{name}"
    assert not any(target.startswith(("label", "distill", "gate")) for target in targets)


def test_a_student_of_a_student_starts_from_what_all_recipes_share() -> None:
    config = WORKLOAD.search
    assert config is not None
    shared = recipes.base(WORKLOAD, config)
    recipe = Recipe(
        levers=("prune/smaller", "distill/smaller", "quantize/small-int8"),
        values={"prune.smaller.keep_layers": 5},
    )
    grown, name = recipes.with_recipe(shared, WORKLOAD, config, recipe)
    [pruned] = [each for each in grown.prune.values() if each.parent == "distill/small"]
    assert pruned.model_dump()["keep_layers"] == 5
    targets = [ref.target for ref in recipes.stages(grown, name)]
    assert {"label@lora", "distill@small", f"evaluate@{name}"} <= {*targets}


def test_stages_of_a_recipe_are_those_that_lead_to_it() -> None:
    shared = recipes.base(WORKLOAD, search())
    grown, _ = recipes.with_recipe(shared, WORKLOAD, search(), composed(16, 8))
    grown, name = recipes.with_recipe(grown, WORKLOAD, search(), composed(12, 4))
    stages = [ref.stage for ref in recipes.stages(grown, name)]
    expected = "distill evaluate fetch fetch finetune label prepare prune quantize"
    assert " ".join(sorted(stages)) == expected


def test_every_lever_is_tried_alone_in_all_its_strengths() -> None:
    alone = recipes.alone(search())
    assert {lever: len(found) for lever, found in alone.items()} == {
        "prune/depth16": 3,
        "distill/small": 1,
        "prune/small": 2,
        "quantize/small-int8": 2,
    }
    for lever, found in alone.items():
        for recipe in found[:1]:
            assert lever in recipe.levers
            idle = recipe.values.get("quantize.small-int8.bits") == 32
            assert idle == (lever != "quantize/small-int8")


def test_a_lever_on_what_another_one_made_is_not_alone() -> None:
    config = WORKLOAD.search
    assert config is not None
    besides = recipes.composed(WORKLOAD, config)
    assert [chain[0] for chain in besides] == ["prune/smaller"]
    assert recipes.alone(config, besides) == recipes.alone(search())


def of_two_teachers() -> tuple[Workload, SearchConfig]:
    """The demo with chains that differ in nothing but what they start from."""
    content = WORKLOAD.model_dump(mode="json", by_alias=True)
    content["finetune"]["other"] = content["finetune"]["lora"] | {"rank": 2}
    content["prune"]["other"] = content["prune"]["depth16"] | {"from": "finetune/other"}
    content["search"] |= {"values": {}, "idle": {}, "brief": {}}
    content["search"] |= {
        "chains": [["prune/depth16", "quantize/small-int8"], ["prune/other", "quantize/small-int8"]]
    }
    content["search"]["optional"] = ["prune/depth16", "prune/other"]
    workload = Workload.model_validate(content)
    assert workload.search is not None
    return workload, workload.search


def test_a_recipe_is_made_from_what_its_own_chain_starts_from(tmp_path: Path) -> None:
    workload, asked = of_two_teachers()
    grown = recipes.base(workload, asked)
    starts = recipes.origins_of(workload, asked)
    one, other = recipes.alone(asked, origins=starts)["quantize/small-int8"]
    assert one.levers == other.levers
    assert str(one) == "quantize/small-int8"
    assert str(other) == "finetune/other: quantize/small-int8"
    for recipe, origin in ((one, "finetune/lora"), (other, "finetune/other")):
        grown, name = recipes.with_recipe(grown, workload, asked, recipe)
        assert grown.quantize[name].parent == origin
        (root := tmp_path / name).mkdir()
        again = released(recipes.found(workload, asked, recipe), root)
        assert again.quantize["small-int8"].parent == origin
    pruned = recipes.alone(asked, origins=starts)["prune/other"]
    assert pruned == [Recipe(levers=("prune/other", "quantize/small-int8"))]


def test_a_model_that_two_chains_lead_to_is_one_recipe() -> None:
    workload, asked = of_two_teachers()
    content = workload.model_dump(mode="json", by_alias=True)
    content["prune"]["other"]["from"] = "finetune/lora"
    starts = recipes.origins_of(Workload.model_validate(content), asked)
    for chain in asked.chains:
        taken = recipes.of_chain(chain, {"quantize/small-int8"}, {}, asked, starts)
        assert taken == Recipe(levers=("quantize/small-int8",))
    assert len(recipes.alone(asked, origins=starts)["quantize/small-int8"]) == 1


def test_a_brief_look_and_back() -> None:
    short = recipes.brief(composed(12, 8), search())
    assert short.values["distill.small.max_steps"] == 75
    assert recipes.in_full(short, search()) == composed(12, 8)
    alone = Recipe(levers=("quantize/small-int8",))
    assert recipes.brief(alone, search()) == alone


def test_a_setting_that_its_lever_does_not_take_is_refused() -> None:
    shared = recipes.base(WORKLOAD, search())
    with pytest.raises(ValidationError, match="bits"):
        recipes.with_recipe(shared, WORKLOAD, search(), composed(12, 5))


def test_what_was_found_is_a_workload_file_like_any_other(tmp_path: Path) -> None:
    content = recipes.found(WORKLOAD, search(), composed(12, 4))
    content["budgets"] = {"smoke": {}, "quick": {}, "full": {}}
    (tmp_path / "workloads").mkdir()
    told = yaml.safe_dump(content, sort_keys=False)
    assert not any(f"{key}:" in told for key in recipes.SET_BY_A_RUN)
    (tmp_path / "workloads/found.yaml").write_text(told)
    again: Workload = resolve("found", "quick", {}, tmp_path).workload
    assert again.quantize["small-int8"].bits == 4
    assert again.prune["depth16"].keep_layers == 12
    assert again.distill["small"] == WORKLOAD.distill["small"]
    assert list(again.evaluate.candidates) == ["teacher", "small-int8"]
    assert again.gate.margin == WORKLOAD.gate.margin


@pytest.mark.parametrize(
    ("levers", "made"),
    [
        (("quantize/small-int8",), {"finetune/lora"}),
        (("prune/small", "quantize/small-int8"), {"finetune/lora", "prune/small"}),
        (
            ("prune/depth16", "distill/small", "quantize/small-int8"),
            {"finetune/lora", "prune/depth16", "label/lora", "distill/small"},
        ),
        (
            ("prune/smaller", "distill/smaller", "quantize/small-int8"),
            {"finetune/lora", "prune/depth16", "label/lora", "distill/small"}
            | {"prune/smaller", "distill/smaller"},
        ),
    ],
)
def test_a_release_of_what_was_found_makes_nothing_else(
    levers: tuple[str, ...], made: set[str], tmp_path: Path
) -> None:
    config = WORKLOAD.search
    assert config is not None
    again = released(recipes.found(WORKLOAD, config, Recipe(levers=levers)), tmp_path)
    variants = {f"{stage}/{name}" for stage in VARIANTS for name in getattr(again, stage)}
    assert variants == made | {"quantize/teacher-fp32", "quantize/small-int8"}


def narrowing() -> tuple[Workload, SearchConfig]:
    """The demo with a lever that asks for importance, before and after healing."""
    content = WORKLOAD.model_dump(mode="json", by_alias=True)
    content["importance"] = {"lora": {"of": "finetune/lora", "rows": 8}}
    content["prune"]["narrow"] = {
        "from": "finetune/lora",
        "importance": "lora",
        "method": "neurons",
        "keep_neurons": 768,
    }
    content["search"] |= {
        "chains": [["prune/depth16", "prune/narrow", "quantize/small-int8"]],
        "optional": ["prune/depth16", "prune/narrow"],
        "values": {"prune.narrow.keep_neurons": [1024, 768]},
        "idle": {},
        "brief": {},
    }
    workload = Workload.model_validate(content)
    assert workload.search is not None
    return workload, workload.search


def test_recipes_that_prune_the_same_parent_share_its_importance() -> None:
    workload, asked = narrowing()
    grown = recipes.base(workload, asked)
    assert grown.importance == {}
    for levers in (("prune/narrow",), ("prune/depth16", "prune/narrow")):
        for neurons in (1024, 768):
            recipe = Recipe(
                levers=(*levers, "quantize/small-int8"),
                values={"prune.narrow.keep_neurons": neurons},
            )
            grown, name = recipes.with_recipe(grown, workload, asked, recipe)
    assert len(grown.importance) == 2
    for pruned in grown.prune.values():
        if pruned.importance is not None:
            assert grown.importance[pruned.importance].of == pruned.parent
    stages = [ref.stage for ref in recipes.stages(grown, name)]
    assert stages.count("importance") == 1
    assert stages.count("prune") == 2


def test_what_was_found_says_whose_parts_are_weighed(tmp_path: Path) -> None:
    workload, asked = narrowing()
    levers = ("prune/depth16", "prune/narrow", "quantize/small-int8")
    content = recipes.found(workload, asked, Recipe(levers=levers))
    content["budgets"] = {"smoke": {}, "quick": {}, "full": {}}
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads/found.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    again = resolve("found", "quick", {}, tmp_path).workload
    [(name, scores)] = again.importance.items()
    assert (scores.of, scores.rows) == ("prune/depth16", 8)
    assert again.prune["narrow"].importance == name
    assert "reads" not in content["prune"]["narrow"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"chains": [[]]}, "names at least one lever"),
        ({"chains": [["prune/a", "prune/a"]], "optional": []}, "names a lever twice"),
        ({"optional": ["quantize/small-int8"]}, "ends a chain"),
        ({"optional": ["prune/other"]}, "prune/other is in no chain"),
        ({"values": {"prune.other.keep_layers": [1, 2]}}, "is no <stage>.<variant>.<setting>"),
        ({"values": {"prune.depth16.keep_layers": [12, 12]}}, "differ from each other"),
        ({"brief": {"prune.depth16.keep_layers": 3}}, "stands in values too"),
    ],
)
def test_what_makes_no_sense_is_said(change: dict[str, Any], expected: str) -> None:
    content = search().model_dump(mode="json") | change
    with pytest.raises(ValidationError, match=expected):
        SearchConfig.model_validate(content)
