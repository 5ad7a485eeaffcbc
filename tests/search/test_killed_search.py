"""The search that is killed in earnest has something to lose, and is seen to lose it."""

from pathlib import Path

import yaml

from benchmarks import killed_search
from benchmarks.clone import House
from tasks.search import recipe as recipes
from tasks.search.recipe import Recipe, brief
from tasks.workload import resolve

ROOT = Path(__file__).parents[2]
LEVERS = ("prune/depth16", "distill/small", "quantize/small-int8")


def test_every_training_has_checkpoints_before_its_end(tmp_path: Path) -> None:
    (tmp_path / "workloads").mkdir()
    told = yaml.safe_dump(killed_search.workload(ROOT), sort_keys=False)
    (tmp_path / f"workloads/{killed_search.WORKLOAD}.yaml").write_text(told)
    workload = resolve(killed_search.WORKLOAD, "smoke", {}, tmp_path).workload
    assert workload.search is not None
    grown = recipes.base(workload, workload.search)
    for recipe in (Recipe(levers=LEVERS), brief(Recipe(levers=LEVERS), workload.search)):
        grown, _ = recipes.with_recipe(grown, workload, workload.search, recipe)
    assert len(grown.distill) == 2
    for training in (grown.finetune["lora"], *grown.distill.values()):
        assert (training.max_steps - 1) // training.checkpoint_steps >= 2


def test_a_stage_of_a_recipe_is_told_from_one_that_all_share(tmp_path: Path) -> None:
    house = House(tmp_path)
    logs = house.state / "logs/run"
    logs.mkdir(parents=True)
    (logs / "quantize@teacher-fp32.log").write_text("Running stage 'quantize@teacher-fp32':\n")
    assert not killed_search._in_recipes(house, "run")
    (logs / "prune@depth16-2e2b8ea6.log").write_text("Running stage 'prune@depth16-2e2b8ea6':\n")
    assert killed_search._in_recipes(house, "run")


def test_kills_are_spread_over_the_whole_search() -> None:
    pauses = killed_search._pauses(20, 900.0)
    assert len(pauses) == 20
    assert min(pauses) > 0
    assert 450 < sum(pauses) < 900
