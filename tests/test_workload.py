"""Workload files: all problems at once, budgets, overrides, order of stages."""

import hashlib
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from tasks import paths
from tasks.errors import ConfigError
from tasks.params import read
from tasks.prune.config import PruneConfig
from tasks.workload import Budget, StageRef, Workload, resolve

ROOT = Path(__file__).parent.parent
SECTIONS = set(Workload.model_fields)


@pytest.fixture
def content() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "workloads/sentiment.yaml").read_text())  # type: ignore[no-any-return]


def saved(content: dict[str, Any], root: Path) -> Path:
    (root / "workloads").mkdir(exist_ok=True)
    (root / "workloads/mine.yaml").write_text(yaml.safe_dump(content))
    return root


def complaints(content: dict[str, Any], root: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve("mine", "quick", {}, saved(content, root))
    return str(caught.value)


@pytest.mark.parametrize("budget", get_args(Budget))
@pytest.mark.parametrize("name", ["sentiment", "translation", "summarization"])
def test_every_budget_of_every_workload_is_valid(name: str, budget: Budget) -> None:
    assert resolve(name, budget, {}, ROOT).workload.budget == budget


def test_params_of_the_checkout_are_those_of_the_demo(tmp_path: Path) -> None:
    """`dvc repro` in a fresh clone does what `make demo` does."""
    resolve("sentiment", "quick", {}, ROOT).write(tmp_path / "params.yaml")
    assert (tmp_path / "params.yaml").read_text() == (ROOT / paths.PARAMS).read_text()


def test_written_params_are_read_back_by_the_stages(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    resolve("sentiment", "quick", {"prune.depth16.keep_layers": 7}, ROOT).write(file)
    assert read("prune.depth16", PruneConfig, file).keep_layers == 7


def test_stages_come_after_what_they_need(content: dict[str, Any], tmp_path: Path) -> None:
    again = {"from": "distill/small", "method": "depth", "keep_layers": 6, "blocks": "ends"}
    content["prune"]["again"] = again
    order = resolve("mine", "quick", {}, saved(content, tmp_path)).stages
    place = {ref: number for number, ref in enumerate(order)}
    assert len(place) == len(order)
    for before, after in [
        (StageRef("fetch", "weights"), StageRef("prepare")),
        (StageRef("finetune", "lora"), StageRef("label", "lora")),
        (StageRef("label", "lora"), StageRef("distill", "small")),
        (StageRef("distill", "small"), StageRef("prune", "again")),
        (StageRef("quantize", "small-int8"), StageRef("evaluate", "small-int8")),
        (StageRef("evaluate", "teacher"), StageRef("gate")),
        (StageRef("gate"), StageRef("package")),
    ]:
        assert place[before] < place[after]
    assert StageRef("finetune", "lora").target == "finetune@lora"


def test_students_may_learn_from_students_from_a_running_teacher_and_from_elsewhere(
    content: dict[str, Any], tmp_path: Path
) -> None:
    content["label"]["assistant"] = {"teacher": "distill/small", "rows": 8}
    content["remote"] = {
        "large": {
            "base_url": "http://127.0.0.1:1/v1",
            "model": "large",
            "price_per_million_input_tokens": 1.0,
            "price_per_million_output_tokens": 1.0,
            "role": "baseline",
        }
    }
    content["ask"] = {"large": {"teacher": "large", "rows": 8}}
    common = {"from": "prune/depth16", "max_steps": 1}
    content["distill"] |= {
        "least": common | {"labels": "assistant"},
        "beside": common | {"method": "online", "teacher": "finetune/lora"},
        "told": common | {"method": "text", "answers": "large"},
    }
    content["finetune"]["told"] = {"from": "fetch/base", "answers": "large", "max_steps": 1}
    found = resolve("mine", "quick", {}, saved(content, tmp_path))
    place = {ref: number for number, ref in enumerate(found.stages)}
    for before, after in [
        (StageRef("distill", "small"), StageRef("label", "assistant")),
        (StageRef("label", "assistant"), StageRef("distill", "least")),
        (StageRef("finetune", "lora"), StageRef("distill", "beside")),
        (StageRef("prepare"), StageRef("ask", "large")),
        (StageRef("ask", "large"), StageRef("distill", "told")),
        (StageRef("ask", "large"), StageRef("finetune", "told")),
    ]:
        assert place[before] < place[after]
    reads = {name: student.reads for name, student in found.workload.distill.items()}
    assert reads["least"] == "data/labels/assistant"
    assert reads["beside"] == "models/finetune/lora"
    assert reads["told"] == "data/answers/large"
    tuned = {name: each.reads for name, each in found.workload.finetune.items()}
    assert tuned == {"lora": "data/prepared/train.jsonl", "told": "data/answers/large"}


def test_students_with_other_tokens_than_their_teacher_are_found_before_any_work(
    content: dict[str, Any], tmp_path: Path
) -> None:
    content["distill"]["again"] = {"from": "prune/small", "labels": "lora", "max_steps": 1}
    told = complaints(content, tmp_path)
    assert "distill.again.from = prune/small: prune/small has the tokens of prune/small" in told
    assert "learn answers (method: text)" in told


def test_labels_are_told_whose_tokenizer_to_look_at(
    content: dict[str, Any], tmp_path: Path
) -> None:
    content["fetch"]["weights"]["other"] = content["fetch"]["weights"]["base"]
    content["distill"]["other"] = {"from": "fetch/other", "labels": "lora", "max_steps": 1}
    found = resolve("mine", "quick", {}, saved(content, tmp_path)).workload
    assert found.label["lora"].spelt_by == "fetch/other"
    content["fetch"]["weights"]["third"] = content["fetch"]["weights"]["base"]
    content["distill"]["third"] = {"from": "fetch/third", "labels": "lora", "max_steps": 1}
    assert "label.lora = fetch/other, fetch/third" in complaints(content, tmp_path)


def test_every_problem_of_a_file_is_told_at_once(content: dict[str, Any], tmp_path: Path) -> None:
    content["finetune"]["lora"]["rnak"] = 8
    content["finetune"]["lora"]["batch"] = "many"
    content["gate"]["margin"] = 3
    del content["prepare"]["reference"]
    told = complaints(content, tmp_path)
    assert "finetune.lora.rnak = 8: unknown field" in told
    assert "finetune.lora.batch = 'many'" in told
    assert "gate.margin = 3" in told
    assert "prepare.reference = -" in told
    assert len(told.splitlines()) == 4
    assert all(line.startswith("workloads/mine.yaml: ") for line in told.splitlines())


@pytest.mark.parametrize(
    ("section", "key", "value", "expected"),
    [
        (
            "distill",
            "small",
            {"from": "prune/gone", "labels": "lora", "max_steps": 1},
            "prune/gone",
        ),
        ("distill", "small", {"from": "prune/depth16", "labels": "x", "max_steps": 1}, "label"),
        ("label", "lora", {"teacher": "finetune/gone", "rows": 1}, "finetune/gone"),
        ("ask", "large", {"teacher": "nobody", "rows": 1}, "ask.large.teacher = nobody"),
        (
            "distill",
            "small",
            {"from": "prune/depth16", "method": "text", "answers": "gone", "max_steps": 1},
            "distill.small.answers = gone: no such ask variant",
        ),
        (
            "distill",
            "small",
            {"from": "prune/depth16", "method": "online", "teacher": "prune/gone", "max_steps": 1},
            "distill.small.teacher = prune/gone: no such candidate",
        ),
        ("gate", "teacher", "small-int8", "gate.teacher"),
        ("gate", "cost_references", ["nobody"], "gate.cost_references = nobody"),
        ("prepare", "fields", {"txet": "text"}, "prepare.fields = txet: must name"),
        ("task", "slices", ["language"], "task.slices = language: not in prepare.metadata"),
        ("gate", "guards", {"bleu": 0.1}, "gate.guards.bleu = bleu: not a further metric"),
        ("prepare", "benchmarks", ["exam.txt"], "prepare.benchmarks.0 = "),
        ("task", "metric", "mine:f", "task.metric = mine:f: there is no workloads/mine.py"),
    ],
)
def test_names_that_lead_nowhere_are_found(
    content: dict[str, Any], tmp_path: Path, section: str, key: str, value: object, expected: str
) -> None:
    content.setdefault(section, {})[key] = value
    assert expected in complaints(content, tmp_path)


@pytest.mark.parametrize(
    ("format_", "scheme", "remedy"),
    [
        ("gguf", "q8_0", "quantize/small-int8 is gguf: no engine here serves it"),
        ("compressed_tensors", "w8a8", "quantize/small-int8 is compressed_tensors: set vllm or"),
    ],
)
def test_a_format_is_evaluated_by_its_engine(
    content: dict[str, Any], tmp_path: Path, format_: str, scheme: str, remedy: str
) -> None:
    told = {"from": "prune/small", "format": format_, "scheme": scheme}
    content["quantize"]["small-int8"] = told
    assert f"evaluate.candidates.small-int8.engine = openvino: {remedy}" in complaints(
        content, tmp_path
    )


def test_a_search_does_not_end_its_recipes_in_what_no_engine_runs(
    content: dict[str, Any], tmp_path: Path
) -> None:
    content["quantize"]["small-gguf"] = {"from": "prune/small", "format": "gguf", "scheme": "q8_0"}
    resolve("mine", "quick", {}, saved(content, tmp_path))
    content["search"]["chains"].append(["prune/depth16", "quantize/small-gguf"])
    told = complaints(content, tmp_path)
    assert "search.chains = quantize/small-gguf: no engine here serves its format" in told
    assert "search.chains = quantize/small-int8" not in told


def test_candidates_made_from_each_other_are_refused(
    content: dict[str, Any], tmp_path: Path
) -> None:
    content["finetune"]["lora"]["from"] = "distill/small"
    assert "must not be made from each other" in complaints(content, tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("gate.margin", 0.2, "must not move the goal"),
        ("finetune.lora.max_steps", "ten", "numbers only"),
        ("finetune.nobody.max_steps", 10, "no such section"),
    ],
)
def test_budget_changes_sizes_only(
    content: dict[str, Any], tmp_path: Path, key: str, value: object, expected: str
) -> None:
    content["budgets"]["quick"] = {key: value}
    assert expected in complaints(content, tmp_path)


def test_unknown_workload_is_told_which_there_are() -> None:
    with pytest.raises(ConfigError, match=r"there are: .*sentiment"):
        resolve("sentimant", "quick", {}, ROOT)


def test_broken_yaml_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads/mine.yaml").write_text("finetune: [")
    with pytest.raises(ConfigError, match="not readable as YAML"):
        resolve("mine", "quick", {}, tmp_path)


@given(key=st.text(max_size=12), value=st.one_of(st.none(), st.integers(), st.text(max_size=5)))
def test_override_that_no_section_knows_is_refused(key: str, value: object) -> None:
    assume(key not in SECTIONS)
    with pytest.raises(ConfigError) as caught:
        resolve("sentiment", "smoke", {key: value}, ROOT)
    assert all(problem.remedy for problem in caught.value.problems)


def test_local_data_is_found_from_any_worktree(content: dict[str, Any], tmp_path: Path) -> None:
    content["fetch"]["data"] = {"source": "path:mine.csv", "sha256": "0" * 64, "format": "csv"}
    data = resolve("mine", "quick", {}, saved(content, tmp_path)).workload.fetch.data
    assert data.source == f"path:{tmp_path / 'mine.csv'}"


def test_benchmarks_are_found_from_any_worktree(content: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "exam.jsonl").write_text("{}")
    other = tmp_path / "elsewhere.txt"
    other.write_text("what was asked")
    content["prepare"]["benchmarks"] = ["exam.jsonl", str(other)]
    prepare = resolve("mine", "quick", {}, saved(content, tmp_path)).workload.prepare
    assert prepare.benchmarks == (str(tmp_path / "exam.jsonl"), str(other))


def test_data_are_prepared_again_when_a_benchmark_changes(
    content: dict[str, Any], tmp_path: Path
) -> None:
    exam = tmp_path / "exam.txt"
    content["prepare"]["benchmarks"] = ["exam.txt"]
    seen = set()
    for text in ("one question", "another question"):
        exam.write_text(text)
        prepare = resolve("mine", "quick", {}, saved(content, tmp_path)).workload.prepare
        seen.add(prepare.benchmarks_sha256)
    assert len(seen) == 2


def narrow(content: dict[str, Any], **scores: object) -> dict[str, Any]:
    content["importance"] = {"lora": {"of": "finetune/lora", **scores}}
    content["prune"]["narrow"] = {
        "from": "finetune/lora",
        "importance": "lora",
        "method": "neurons",
        "keep_neurons": 768,
    }
    return content


def test_parts_are_weighed_between_what_they_are_of_and_what_is_pruned(
    content: dict[str, Any], tmp_path: Path
) -> None:
    del content["search"]
    stages = resolve("mine", "quick", {}, saved(narrow(content), tmp_path)).stages
    order = [stage.target for stage in stages]
    places = [order.index(e) for e in ("finetune@lora", "importance@lora", "prune@narrow")]
    assert places == sorted(places)


def test_prune_heal_prune_is_a_chain_of_variants(content: dict[str, Any], tmp_path: Path) -> None:
    content = narrow(content)
    content["distill"]["healed"] = content["distill"]["small"] | {"from": "prune/narrow"}
    content["importance"]["healed"] = {"of": "distill/healed"}
    again = {"from": "distill/healed", "importance": "healed", "keep_neurons": 512}
    content["prune"]["narrower"] = content["prune"]["narrow"] | again
    stages = resolve("mine", "quick", {}, saved(content, tmp_path)).stages
    order = [stage.target for stage in stages]
    chain = ["prune@narrow", "distill@healed", "importance@healed", "prune@narrower"]
    assert [each for each in order if each in chain] == chain


def test_scores_of_another_model_or_without_what_is_asked_are_found(
    content: dict[str, Any], tmp_path: Path
) -> None:
    content = narrow(content, of="fetch/base")
    content["prune"]["depth16"] |= {"importance": "lora", "blocks": "least_loss"}
    told = complaints(content, tmp_path)
    assert "prune.narrow.importance = lora: weighs fetch/base, and finetune/lora" in told
    assert "importance.lora.leave_one_out = False: prune.depth16 needs it" in told
    content["prune"]["narrow"]["importance"] = "gone"
    assert "prune.narrow.importance = gone: no such importance variant" in complaints(
        content, tmp_path
    )


def test_four_bits_are_rounded_as_their_student_learned_to_be(
    content: dict[str, Any], tmp_path: Path
) -> None:
    content["distill"]["small"]["int4_group_size"] = 32
    made = content["quantize"]["small-int8"]
    made |= {"from": "prune/small", "bits": 4, "group_size": 64, "corrections": ["awq"]}
    told = complaints(content, tmp_path)
    assert "quantize.small-int8.group_size = 64: distill/small learned" in told
    assert "quantize.small-int8.corrections = awq: distill/small learned" in told
    made |= {"group_size": 32, "corrections": []}
    resolve("mine", "quick", {}, saved(content, tmp_path))


def test_what_only_a_search_would_try_is_not_made_by_a_release(
    content: dict[str, Any], tmp_path: Path
) -> None:
    content["importance"] = {"deep": {"of": "prune/deep"}, "own": {"of": "finetune/lora"}}
    content["prune"] |= {
        "deep": {"from": "finetune/lora", "method": "depth", "keep_layers": 9, "blocks": "ends"},
        "narrow": {
            "from": "prune/deep",
            "importance": "deep",
            "method": "neurons",
            "keep_neurons": 512,
        },
    }
    content["search"] = {
        "chains": [["prune/depth16", "prune/narrow", "distill/small", "quantize/small-int8"]]
    }
    del content["prune"]["smaller"], content["distill"]["smaller"]
    found = resolve("mine", "quick", {}, saved(content, tmp_path))
    targets = {ref.target for ref in found.stages}
    # A lever that a candidate is made of is made; so is what no lever needs.
    assert {"prune@depth16", "distill@small", "importance@own"} <= targets
    assert not {"prune@deep", "prune@narrow", "importance@deep"} & targets
    found.write(tmp_path / "params.yaml")
    written = yaml.safe_load((tmp_path / "params.yaml").read_text())
    assert set(written["prune"]) == {"depth16", "small"}
    assert set(written["importance"]) == {"own"}
    assert set(found.workload.prune) == {"depth16", "small", "deep", "narrow"}


def test_labels_of_data_and_task_must_agree(content: dict[str, Any], tmp_path: Path) -> None:
    content["task"]["labels"] = ["good", "bad"]
    assert "prepare.reference.bins = negative, positive" in complaints(content, tmp_path)


def test_a_section_that_the_file_leaves_out_can_be_overridden() -> None:
    overrides = {"package.prefix_caching": True}
    assert resolve("sentiment", "smoke", overrides, ROOT).workload.package.prefix_caching


def test_a_teacher_may_run_elsewhere(content: dict[str, Any], tmp_path: Path) -> None:
    content["remote"] = {
        "large": {
            "base_url": "https://api.example.com/v1",
            "model": "large",
            "price_per_million_input_tokens": 2.5,
            "price_per_million_output_tokens": 10,
        }
    }
    assert "exactly this entry of evaluate.candidates or remote must be" in complaints(
        content, tmp_path
    )
    for entry in content["evaluate"]["candidates"].values():
        entry.pop("role", None)
    content["gate"]["teacher"] = "large"
    stages = resolve("mine", "quick", {}, saved(content, tmp_path)).stages
    assert "remote@large" in [stage.target for stage in stages]


def test_general_conversations_are_found_beside_the_users_data_and_told_by_their_hash(
    content: dict[str, Any], tmp_path: Path
) -> None:
    content["finetune"]["lora"]["replay"] = {"file": "general.jsonl"}
    told = complaints(content, tmp_path)
    assert f"finetune.lora.replay.file = {tmp_path}/general.jsonl: no such file" in told
    (tmp_path / "general.jsonl").write_text("{}")
    replay = resolve("mine", "quick", {}, saved(content, tmp_path)).workload.finetune["lora"].replay
    assert replay is not None
    assert replay.sha256 == hashlib.sha256(b"{}").hexdigest()


def test_tools_that_no_packaged_service_takes_are_refused_before_any_work() -> None:
    talks = {"fields": {}, "messages": "chat", "tools": "tools", "reference": {}}
    task = {"kind": "chat", "labels": [], "input_fields": [], "prompt": None}
    asked: dict[str, object] = {f"prepare.{key}": value for key, value in talks.items()}
    asked |= {f"task.{key}": value for key, value in task.items()}
    with pytest.raises(ConfigError, match=r"prepare\.tools = tools: a packaged service takes no"):
        resolve("sentiment", "quick", asked, ROOT)


def test_requests_are_not_kept_where_personal_data_are_to_be_gone() -> None:
    asked = {"prepare.pii": {"action": "mask"}, "package.feedback": {"content": True}}
    with pytest.raises(ConfigError, match=r"package\.feedback\.content.*personal data"):
        resolve("sentiment", "quick", asked, ROOT)
    kept = {**asked, "prepare.pii": {"action": "keep"}}
    assert resolve("sentiment", "quick", kept, ROOT).workload.package.feedback.content


def test_a_router_needs_models_that_tell_how_sure_they_are_on_the_same_rows() -> None:
    routed = {"route": {"cascade": {"models": ["small-int8", "teacher"]}}}
    with pytest.raises(ConfigError, match=r"small-int8\.confidence.*set true"):
        resolve("sentiment", "quick", routed, ROOT)
    sure: dict[str, object] = {**routed, "evaluate.candidates.small-int8.confidence": True}
    stages = resolve("sentiment", "quick", sure, ROOT).stages
    assert StageRef("route", "cascade") in stages
    rows = {**sure, "evaluate.candidates.small-int8.rows": 10}
    with pytest.raises(ConfigError, match="different numbers of rows"):
        resolve("sentiment", "quick", rows, ROOT)
    unknown = {"route": {"cascade": {"models": ["small-int8", "nobody"]}}}
    with pytest.raises(ConfigError, match=r"route\.cascade\.models.*nobody.*no such"):
        resolve("sentiment", "quick", unknown, ROOT)
