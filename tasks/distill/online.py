"""Distillation from a teacher that runs beside its student: `python -m tasks.distill wide`.

All of the teacher's distribution is learned and, for a student that was cut from it, what happens
inside: hidden states and attention of the blocks that stayed (TinyBERT, Jiao et al. 2020,
arXiv:1909.10351). Slower than stored logits by the teacher's forward pass in every step.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from bentos.generator.prompt import TOKENIZER
from tasks import candidate, logits, paths, precision, records
from tasks.batches import Batch, exact_logits, pad
from tasks.distill import losses, student
from tasks.distill.config import DistillConfig
from tasks.errors import ModelError
from tasks.examples import Example, end_token, tokenize
from tasks.records import Record
from tasks.training import attention

TEACHER = "teacher_"
"""Begins the names of what the teacher reads in a batch."""

PROJECTIONS = "projections"
"""Of a student narrower than its teacher, while it learns."""


class Seen(NamedTuple):
    """One forward pass; states and attentions are empty unless asked for.

    Attributes:
        scores: logits of the answer tokens, (A, V).
        states: after every block, the last one after the final norm, each (B, T, H).
        attentions: of every block, each (B, heads, T, T).
    """

    scores: Tensor
    states: tuple[Tensor, ...]
    attentions: tuple[Tensor, ...]


def distill(name: str, config: DistillConfig) -> dict[str, Any]:
    """Train `name` from its parent beside the teacher.

    Returns:
        steps, seconds, teacher forward passes, blocks matched and the learning curve.

    Raises:
        ModelError: teacher and student do not share a tokenizer, or not the prompts where what
            happens inside is to be matched.
    """
    parent, folder = paths.candidate(config.parent), paths.candidate(str(config.teacher))
    logits.check_tokenizer(str(config.teacher), candidate.sha256(folder / TOKENIZER), parent)
    run = student.begin(name, config)
    rows = records.read(paths.TRAIN, Record)[: config.rows]
    examples, heard = tokenize(rows, run.folder), tokenize(rows, folder)
    matching = config.hidden_weight > 0 or config.attention_weight > 0
    if matching and examples != heard:
        raise ModelError(
            f"{run.folder} reads other prompts than the teacher {config.teacher}, so its hidden "
            "states and attention cannot be matched: set hidden_weight and attention_weight to 0"
        )
    kind = "eager" if config.attention_weight > 0 else attention()
    teacher, model = _teacher(folder, kind), student.load(config, kind)
    blocks = layer_map(config, model, teacher) if matching else []
    if config.hidden_weight > 0:
        _project(model, teacher, len(blocks), config.seed)
    fill = end_token(folder)

    def gather(said: list[Example]) -> dict[str, Tensor]:
        return {TEACHER + field: part for field, part in pad(said, fill)._asdict().items()}

    def loss(learner: Any, batch: Batch, inputs: dict[str, Tensor]) -> Tensor:
        told = Batch(*(inputs[TEACHER + field] for field in Batch._fields))
        with precision.mixed():
            ours = _seen(learner, batch, config)
            with torch.no_grad():
                theirs = _seen(teacher.to(batch.input_ids.device), told, config)
        return online_loss(learner, ours, theirs, batch, blocks, config)

    trainer = student.fit(config, run, model, student.Lessons(examples, heard), gather, loss)
    if hasattr(model, PROJECTIONS):
        delattr(model, PROJECTIONS)
    report = student.finish(name, config, run, trainer, len(examples), {})
    passes = trainer.state.global_step
    return report | {
        "teacher": config.teacher,
        "teacher_forward_passes": passes,
        "matched_blocks": blocks,
    }


def online_loss(
    learner: Any, ours: Seen, theirs: Seen, batch: Batch, blocks: list[int], config: DistillConfig
) -> Tensor:
    """The mix over all tokens, and the weighted distances of what is inside."""
    heat = config.temperature
    pair = losses.soft(ours.scores, heat), losses.soft(theirs.scores, heat)
    loss = losses.mixed(losses.diverge(*pair, config), ours.scores, batch.answers, config)
    real = batch.attention_mask.bool()
    if config.hidden_weight > 0:
        layers = getattr(learner, PROJECTIONS)
        projected = [layer(state) for layer, state in zip(layers, ours.states, strict=True)]
        pairs = zip(projected, (theirs.states[block] for block in blocks), strict=True)
        distances = torch.stack([hidden_distance(s[real], t[real]) for s, t in pairs])
        loss = loss + config.hidden_weight * distances.mean()
    if config.attention_weight > 0:
        pairs = zip(ours.attentions, (theirs.attentions[block] for block in blocks), strict=True)
        distances = torch.stack([attention_divergence(s, t, real) for s, t in pairs])
        loss = loss + config.attention_weight * distances.mean()
    return loss


def hidden_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """Squared distance of states (N, H) as a share of the teacher's squared length, mean over N.

    Relative, for a few tokens have states a thousand times longer than all others (Sun et al. 2024,
    arXiv:2402.17762) and would be all that is learned.
    """
    ours, theirs = ours.float(), theirs.float()
    lengths = theirs.square().sum(-1).clamp(min=torch.finfo(torch.float32).tiny)
    return ((ours - theirs).square().sum(-1) / lengths).mean()


def attention_divergence(ours: Tensor, theirs: Tensor, real: Tensor) -> Tensor:
    """KL of attention (B, heads, T, T) from the teacher's, mean over heads and real tokens (B, T).

    Where heads differ in number, what is compared is their mean (after MiniLM, Wang et al. 2020,
    arXiv:2002.10957, which compares head by head).
    """
    if ours.shape[1] != theirs.shape[1]:
        ours, theirs = ours.mean(1, keepdim=True), theirs.mean(1, keepdim=True)
    pair = (each.float().transpose(1, 2)[real].flatten(0, 1) for each in (ours, theirs))
    student_log, teacher_log = (
        each.clamp(min=torch.finfo(torch.float32).tiny).log() for each in pair
    )
    return losses.forward_kl(student_log, teacher_log)


def layer_map(config: DistillConfig, model: Any, teacher: Any) -> list[int]:
    """Of each block of the student, the teacher's block whose states it is to have.

    The one that was the same block once, where `prune` tells that of all; else spread evenly. The
    last one's is the teacher's last: what leaves it becomes the answer.
    """
    ours, theirs = model.config.num_hidden_layers, teacher.config.num_hidden_layers
    kept = _kin(_origins(config.parent, ours), _origins(str(config.teacher), theirs))
    if kept is None:
        kept = [round((block + 1) * theirs / ours) - 1 for block in range(ours)]
    return [*(max(block, 0) for block in kept[:-1]), theirs - 1]


def _kin(ours: dict[str, list[int]], theirs: dict[str, list[int]]) -> list[int] | None:
    """Of each block of the student, the teacher's that comes from the same one of an ancestor."""
    shared = next((name for name in ours if name in theirs), None)
    if shared is None:
        return None
    places = {block: place for place, block in enumerate(theirs[shared])}
    return [places[block] for block in ours[shared]] if places.keys() >= {*ours[shared]} else None


def _origins(name: str, blocks: int) -> dict[str, list[int]]:
    """Of a candidate and all that it is made from, nearest first, which blocks became its own."""
    found = {name: list(range(blocks))}
    # What an earlier run released was made from candidates of that run, not of this one.
    while name != paths.CHAMPION:
        file = paths.candidate(name) / paths.REPORT
        told = json.loads(file.read_bytes()) if file.is_file() else {}
        if told.get("parent") is None:
            break
        own, kept = found[name], told.get("kept_blocks")
        name = told["parent"]
        found[name] = [kept[block] for block in own] if kept else own
    return found


def _teacher(folder: Path, kind: str) -> Any:
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=kind
    )
    return model.eval().requires_grad_(False)


def _project(model: Any, teacher: Any, blocks: int, seed: int) -> None:
    """Give the student a map from its width to the teacher's for each block, while it learns."""
    ours, theirs = model.config.hidden_size, teacher.config.hidden_size
    torch.manual_seed(seed)
    made = nn.ModuleList(
        nn.Identity() if ours == theirs else nn.Linear(ours, theirs, bias=False)
        for _ in range(blocks)
    )
    for layer in made:
        if isinstance(layer, nn.Linear):
            nn.init.orthogonal_(layer.weight)
    model.add_module(PROJECTIONS, made)


def _seen(model: Any, batch: Batch, config: DistillConfig) -> Seen:
    out = model.model(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        use_cache=False,
        output_hidden_states=config.hidden_weight > 0,
        output_attentions=config.attention_weight > 0,
    )
    scores = exact_logits(model, out.last_hidden_state[batch.rows, batch.columns])
    return Seen(scores, (out.hidden_states or ())[1:], out.attentions or ())
