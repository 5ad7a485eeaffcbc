"""Scores of a tiny model's parts."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM, GPTNeoXConfig, GPTNeoXForCausalLM

from tasks import importance_scores, paths, records
from tasks.errors import ModelError
from tasks.examples import end_token, tokenize
from tasks.importance.activations import Activations
from tasks.importance.config import ImportanceConfig
from tasks.importance.weigh import weigh
from tasks.importance_scores import Scores
from tasks.records import Record
from tests.tiny import tiny_data, tiny_model

LAYERS, NEURONS, HEADS, CHANNELS = 4, 64, 4, 32


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tiny_data()
    return tiny_model(paths.candidate("fetch/base"), layers=LAYERS)


def scores(**settings: object) -> Scores:
    asked = {"of": "fetch/base", "rows": 8, "batch": 3} | settings
    weigh(paths.importance("base"), ImportanceConfig.model_validate(asked))
    return importance_scores.read(paths.importance("base"))


def test_every_part_has_a_score(base: Path) -> None:
    found = scores(leave_one_out=True)
    assert found.of == "fetch/base"
    assert found.block_loss is not None
    shapes = {name: tuple(v.shape) for name, v in found._asdict().items() if name != "of"}
    assert shapes == {
        "block_influence": (LAYERS,),
        "block_loss": (LAYERS,),
        "neurons": (LAYERS, NEURONS),
        "heads": (LAYERS, HEADS),
        "channels": (2 * LAYERS + 1, CHANNELS),
    }
    assert all((v > 0).all() for v in (found.neurons, found.heads, found.channels))


@pytest.mark.parametrize("batch", [1, 8])
def test_padding_and_batches_change_no_score(base: Path, batch: int) -> None:
    expected, found = scores(batch=3), scores(batch=batch)
    for name in ("block_influence", "neurons", "heads", "channels"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name))


def test_a_neurons_score_is_its_mean_size_over_tokens_then_the_root_mean_square_over_rows(
    base: Path,
) -> None:
    model = AutoModelForCausalLM.from_pretrained(base)
    means = []
    model.model.layers[1].mlp.down_proj.register_forward_pre_hook(
        lambda _, given: means.append(given[0][0].abs().mean(0).detach())
    )
    for example in tokenize(records.read(paths.TRAIN, Record)[:8], base):
        model(torch.tensor([[*example.prompt, *example.answer]]))
    expected = torch.stack(means).square().mean(0).sqrt()
    torch.testing.assert_close(scores().neurons[1], expected)


def test_loss_without_a_block_is_that_of_the_model_without_it(base: Path) -> None:
    report = weigh(
        paths.importance("base"),
        ImportanceConfig.model_validate({"of": "fetch/base", "rows": 8, "leave_one_out": True}),
    )
    model = AutoModelForCausalLM.from_pretrained(base)
    del model.model.layers[2]
    losses = []
    for example in tokenize(records.read(paths.TRAIN, Record)[:8], base):
        ids = torch.tensor([[*example.prompt, *example.answer]])
        logits = model(ids, use_cache=False).logits[0, len(example.prompt) - 1 : -1]
        losses += functional.cross_entropy(
            logits, torch.tensor(example.answer), reduction="none"
        ).tolist()
    assert report["block_loss"][2] == pytest.approx(sum(losses) / len(losses), abs=1e-5)


def test_report_tells_passes_and_how_unevenly_importance_lies(base: Path) -> None:
    config = {"of": "fetch/base", "rows": 8, "batch": 4, "leave_one_out": True}
    report = weigh(paths.importance("base"), ImportanceConfig.model_validate(config))
    assert report["forward_passes"] == 2 * (2 + LAYERS)
    held = report["held_by_most_important"]["neurons"]
    assert 0.25 < held["25%"] < held["50%"] < held["75%"] < 1


def test_an_idle_block_turns_nothing_and_is_not_missed(base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        model.model.layers[2].self_attn.o_proj.weight.zero_()
        model.model.layers[2].mlp.down_proj.weight.zero_()
    model.save_pretrained(base)
    config = {"of": "fetch/base", "rows": 8, "leave_one_out": True}
    report = weigh(paths.importance("base"), ImportanceConfig.model_validate(config))
    assert report["block_influence"][2] == pytest.approx(0, abs=1e-6)
    assert report["block_loss"][2] == pytest.approx(report["loss"], abs=1e-6)


def test_what_stands_at_padding_is_not_looked_at(base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(base).eval()
    examples = tokenize(records.read(paths.TRAIN, Record)[:2], base)
    short = examples[0]._replace(prompt=examples[0].prompt[:3])
    found = []
    for fill in (end_token(base), 5):
        activations = Activations(model)
        with torch.inference_mode():
            activations.read([short, examples[1]], fill)
        found.append(activations.neurons())
    torch.testing.assert_close(*found)


def test_other_models_are_refused() -> None:
    config = GPTNeoXConfig(
        vocab_size=32,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    model = GPTNeoXForCausalLM(config)
    model.model = model.gpt_neox
    with pytest.raises(ModelError, match=r"down_proj.*built like Llama"):
        Activations(model)
