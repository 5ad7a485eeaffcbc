"""Parents stand left of what is made of them, and no two candidates on one place."""

from pathlib import Path

import pytest

from tasks.errors import DataError
from tasks.report.facts import gather
from tasks.report.lineage import Node, arrange, draw
from tests.report.made_up import LINEAGE, lineage, write_run


def nodes() -> list[Node]:
    return [
        Node(f"{stage}/{variant}", parent, None, None, "plain")
        for stage, variant, parent in LINEAGE
    ]


def test_every_parent_stands_left_of_its_children_and_places_are_not_shared() -> None:
    places = arrange(nodes())
    assert len(set(places.values())) == len(LINEAGE)
    for node in nodes():
        if node.parent:
            assert places[node.parent][0] + 1 == places[node.name][0]
    chain = ["fetch/base", "finetune/lora", "prune/depth12", "distill/small", "quantize/small-int8"]
    assert {places[name][1] for name in chain} == {0.0}


def test_a_candidate_whose_parent_is_gone_starts_a_line_of_its_own() -> None:
    lonely = Node("quantize/old", "finetune/gone", "finetune/gone", "70 MB", "chosen")
    places = arrange([*nodes(), lonely])
    assert places["quantize/old"][0] == 0
    assert draw([*nodes(), lonely]).startswith(b"\x89PNG")


def test_candidates_are_told_in_the_order_in_which_they_were_made(tmp_path: Path) -> None:
    write_run(tmp_path)
    facts = gather(tmp_path)
    names = [each.name for each in facts.lineage]
    assert len(names) == len(LINEAGE)
    for each in facts.lineage:
        if each.parent:
            assert names.index(each.parent) < names.index(each.name)
    assert facts.teachers == {"distill/small": "finetune/lora"}


def test_candidates_made_from_each_other_are_an_error(tmp_path: Path) -> None:
    write_run(tmp_path)
    circle = lineage("prune", "depth12", "distill/small")
    (tmp_path / "models/prune/depth12/candidate.json").write_text(str(circle).replace("'", '"'))
    with pytest.raises(DataError, match="made from each other"):
        gather(tmp_path)
