"""The order in which recipes are tried, and that it survives the process."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tasks.search.config import SearchConfig
from tasks.search.frontier import Point, corner, hypervolume
from tasks.search.recipe import Recipe, brief, in_full
from tasks.search.study import Study, Told, Turn

CONFIG = SearchConfig.model_validate(
    {
        "chains": [["prune/depth", "distill/small", "quantize/small"]],
        "optional": ["prune/depth", "distill/small"],
        "values": {"prune.depth.keep_layers": [20, 16, 12, 8], "quantize.small.bits": [32, 8, 4]},
        "idle": {"quantize.small.bits": 32},
        "brief": {"distill.small.max_steps": 75},
        "trials": 6,
        "finalists": 3,
    }
)
ALONE = 4 + 1 + 2
TEACHER = Point(0.9, 0.002)


def measured(recipe: Recipe) -> Point:
    """Some quality and price, always the same of the same recipe."""
    one, other, *_ = hashlib.sha256(str(recipe).encode()).digest()
    return Point(0.5 + one / 600, 0.0001 + other / 1e5)


def finish(study: Study, turns: int | None = None, seconds: float = 10.0) -> list[Turn]:
    """Take turns until there are none, or so many."""
    taken: list[Turn] = []
    while (turns is None or len(taken) < turns) and (turn := study.next(TEACHER)) is not None:
        study.tell(turn, measured(turn.recipe), seconds)
        taken.append(turn)
    return taken


def recipes(told: list[Told]) -> list[Recipe]:
    return [each.turn.recipe for each in told]


def test_levers_come_alone_then_briefly_together_then_the_best_in_full(tmp_path: Path) -> None:
    turns = finish(Study(tmp_path / "log", CONFIG))
    phases = [turn.phase for turn in turns]
    assert phases[:ALONE] == ["alone"] * ALONE
    assert phases[ALONE : ALONE + 6] == ["brief"] * 6
    assert set(phases[ALONE + 6 :]) <= {"full"}
    assert all(turn.recipe == brief(turn.recipe, CONFIG) for turn in turns if turn.phase == "brief")
    full = [turn.recipe for turn in turns if turn.phase == "full"]
    assert 1 <= len(full) <= 3
    assert all("distill.small.max_steps" not in recipe.values for recipe in full)
    known = [turn.recipe for turn in turns]
    assert all(known.count(recipe) == 1 for recipe in known)


def test_levers_that_won_something_alone_are_tried_together_first(tmp_path: Path) -> None:
    def point(recipe: Recipe) -> Point:
        match recipe.levers, recipe.values.get("quantize.small.bits"):
            case ("prune/depth", *_), _:
                return Point(0.3, 0.001)  # cheap, but no model anybody wants
            case ("distill/small", *_), _:
                return Point(0.88, 0.0018)
            case _, 8:
                return Point(0.89, 0.0012)
            case _:
                return Point(0.89, 0.0015)

    study = Study(tmp_path / "log", CONFIG)
    for _ in range(ALONE):
        turn = study.next(TEACHER)
        assert turn is not None
        study.tell(turn, point(turn.recipe), 10.0)
    turn = study.next(TEACHER)
    assert turn is not None
    assert (turn.phase, turn.recipe.levers) == ("brief", ("distill/small", "quantize/small"))
    assert turn.recipe.values == {"quantize.small.bits": 8, "distill.small.max_steps": 75}


def test_a_lever_that_was_tried_alone_takes_no_place_of_a_finalist(tmp_path: Path) -> None:
    told = CONFIG.model_dump() | {"values": {}, "idle": {}, "trials": 2, "finalists": 1}
    study = Study(tmp_path / "log", SearchConfig.model_validate(told))
    turns = []
    while (turn := study.next(TEACHER)) is not None:
        # The student that is not pruned is the best of the brief looks, and was tried alone.
        study.tell(turn, Point(0.5 if "prune/depth" in turn.recipe.levers else 0.9, 1.0), 10.0)
        turns.append(turn)
    levers = [turn.recipe.levers for turn in turns if turn.phase == "full"]
    assert levers == [("prune/depth", "distill/small", "quantize/small")]


def test_what_won_most_in_brief_looks_comes_first_in_full(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"hours": 0.04, "trials": 3})
    study = Study(tmp_path / "log", config)
    briefly, full = list[tuple[float, Recipe]](), list[Recipe]()
    while (turn := study.next(TEACHER)) is not None:
        point = measured(turn.recipe)
        study.tell(turn, point, 10.0)
        if turn.phase == "brief":
            won = hypervolume([point], corner(TEACHER))
            briefly.append((won, in_full(turn.recipe, config)))
        elif turn.phase == "full":
            full.append(turn.recipe)
    assert full[0] == max(briefly, key=lambda looked: looked[0])[1]


def test_a_search_that_was_ended_goes_on_as_it_would_have(tmp_path: Path) -> None:
    whole = finish(Study(tmp_path / "whole", CONFIG))
    for ended_after in range(1, len(whole), 3):
        file = tmp_path / f"ended-{ended_after}"
        finish(Study(file, CONFIG), ended_after)
        begun = Study(file, CONFIG).next(TEACHER)  # and killed while it was at work
        assert begun == whole[ended_after]
        study = Study(file, CONFIG)
        finish(study)
        assert recipes(study.told()) == [turn.recipe for turn in whole]


FORKED = SearchConfig.model_validate(
    {
        "chains": [["prune/one", "quantize/small"], ["prune/other", "quantize/small"]],
        "optional": ["prune/one", "prune/other"],
        "trials": 20,
    }
)
"""Two recipes of each chain, of which one has the same levers."""


@pytest.mark.parametrize(("starts", "expected"), [(("large", "small"), 4), (("large",) * 2, 3)])
def test_chains_that_start_from_other_models_have_recipes_of_their_own(
    starts: Sequence[str], expected: int, tmp_path: Path
) -> None:
    origins = dict(zip(FORKED.chains, (f"finetune/{start}" for start in starts), strict=True))
    study = Study(tmp_path / "log", FORKED, origins=origins)
    taken = finish(study)
    assert len({turn.recipe.model_dump_json() for turn in taken}) == len(taken) == expected
    again = Study(tmp_path / "log", FORKED, origins=origins)
    assert [each.turn for each in again.told()] == taken
    assert again.next(TEACHER) is None


def test_a_search_that_an_earlier_version_began_goes_on(tmp_path: Path) -> None:
    """Its recipes do not tell what they start from."""
    whole = finish(Study(tmp_path / "whole", CONFIG))
    file = tmp_path / "log"
    finish(Study(file, CONFIG), 9)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    told = [line["user_attr"] for line in lines if "recipe" in line.get("user_attr", ())]
    assert len(told) == 9
    for each in told:
        del each["recipe"]["origin"]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    study = Study(file, CONFIG, origins=dict.fromkeys(CONFIG.chains, "finetune/lora"))
    finish(study)
    assert recipes(study.told()) == [turn.recipe for turn in whole]


def test_no_recipe_begins_when_the_hours_are_over(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"hours": 0.1})
    study = Study(tmp_path / "log", config)
    turns = finish(study, seconds=100)
    assert len(turns) == 4
    assert sum(each.seconds for each in study.told()) == 400


def test_time_is_left_for_recipes_in_full(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"hours": 20 / 60, "trials": 12})
    turns = finish(Study(tmp_path / "log", config), seconds=60)
    phases = [turn.phase for turn in turns]
    # Of twenty minutes levers alone take seven; within half of the rest, seven looks begin.
    assert phases.count("brief") == 7
    assert phases[-1] == "full"


def test_what_cannot_be_made_is_remembered_and_not_tried_again(tmp_path: Path) -> None:
    study = Study(tmp_path / "log", CONFIG)
    turn = study.next(TEACHER)
    assert turn is not None
    study.fail(turn, 5.0, "nine blocks of four")
    [told] = study.told()
    assert (told.point, told.seconds) == (None, 5.0)
    following = study.next(TEACHER)
    assert following is not None
    assert following.recipe != turn.recipe
