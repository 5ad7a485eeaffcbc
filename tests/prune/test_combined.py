"""Depth and width to a number of parameters or a latency, on a tiny model."""

from itertools import product
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from tasks import importance_scores, paths
from tasks.errors import ConfigError
from tasks.prune import latency, ranking, surgery
from tasks.prune.surgery import Sizes
from tests.prune.scored import CHANNELS, GROUPS, LAYERS, NEURONS, pruned, scored_base


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return scored_base()


@pytest.mark.parametrize("target", [0.25, 0.5, 0.9, 30_000])
def test_result_fits_its_target_closely(base: Path, target: float) -> None:
    report = pruned("combined", to_parameters=target, step=4)
    limit = target * report["parameters_before"] if target < 1 else target
    assert 0.9 * limit < report["parameters_after"] <= limit
    model = AutoModelForCausalLM.from_pretrained(paths.candidate("prune/combined"))
    assert model.num_parameters() == report["parameters_after"]


@pytest.mark.parametrize(
    ("axes", "fixed"),
    [
        (["blocks"], {"neurons": NEURONS, "groups": GROUPS, "channels": CHANNELS}),
        (["neurons", "groups"], {"blocks": LAYERS, "channels": CHANNELS}),
        (["channels"], {"blocks": LAYERS, "neurons": NEURONS, "groups": GROUPS}),
    ],
)
def test_only_what_may_shrink_does(base: Path, axes: list[str], fixed: dict[str, int]) -> None:
    report = pruned("combined", to_parameters=0.7, axes=axes, step=4)
    assert fixed.items() <= report["after"].items()
    assert all(report["after"][axis] <= report["before"][axis] for axis in axes)


def test_blocks_that_stay_are_chosen_as_told(base: Path) -> None:
    report = pruned("combined", to_parameters=0.7, axes=["blocks"], blocks="ends")
    kept = report["kept_blocks"]
    assert kept == [*range(len(kept) - 1), LAYERS - 1]


def test_no_other_shape_that_fits_loses_less_where_it_loses_most(base: Path) -> None:
    """Against every shape there is, one by one."""
    report = pruned("combined", to_parameters=0.5, step=8)
    model = AutoModelForCausalLM.from_pretrained(base)
    scores = importance_scores.read(paths.importance("base"))
    count, limit = surgery.counter(model), 0.5 * model.num_parameters()

    def held(shape: Sizes) -> float:
        return min(
            ranking.held(scores.block_influence, shape.blocks),
            ranking.held(scores.neurons, shape.neurons),
            ranking.held(ranking.of_groups(scores, GROUPS), shape.groups),
            ranking.held(ranking.of_channels(scores, list(range(LAYERS))), shape.channels),
        )

    shapes = (
        Sizes(*each)
        for each in product(range(1, 5), range(8, 65, 8), (1, 2), range(8, 33, 8))
        if each[3] % (2 * each[2]) == 0
    )
    best = max(held(shape) for shape in shapes if count(shape) <= limit)
    assert held(Sizes(**report["after"])) == pytest.approx(best)


def test_the_largest_shape_that_is_fast_enough_is_taken(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time is known here: it is that of the blocks' neurons."""

    def share(_: object, wanted: Sizes) -> float:
        return wanted.blocks * wanted.neurons / (LAYERS * NEURONS)

    monkeypatch.setattr(latency, "share", share)
    report = pruned("combined", to_latency=0.5, step=4)
    assert 0.4 < report["latency_share"] <= 0.5
    after = Sizes(**report["after"])
    assert report["latency_share"] == pytest.approx(share(None, after), abs=1e-4)
    assert AutoModelForCausalLM.from_pretrained(paths.candidate("prune/combined"))


def test_a_latency_that_no_shape_has_is_told(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "share", lambda *_: 0.9)
    with pytest.raises(ConfigError, match=r"prune\.combined\.to_latency.*0\.2.*no shape of blocks"):
        pruned("combined", to_latency=0.2, axes=["blocks"])


def test_a_shape_is_timed_as_it_will_be(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model made for the clock has the parameters that the cut one has."""
    model = AutoModelForCausalLM.from_pretrained(base)
    wanted = Sizes(blocks=1, neurons=16, groups=1, channels=16)
    assert latency.share(model, wanted) > 0
    monkeypatch.setattr(latency, "_seconds", lambda timed: timed.num_parameters())
    count = surgery.counter(model)
    assert latency.share(model, wanted) == count(wanted) / model.num_parameters()
