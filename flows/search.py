"""The flow that looks for the best composition of levers within a budget of machine hours.

prefect deployment run search/search --param workload=sentiment --param hours=1

Every recipe becomes variants in the parameters of one run, so DVC computes a beginning that
recipes share once. Killed and started again, it goes on with the recipe that it was at.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from prefect import flow, get_run_logger, runtime
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field, ValidationError

from flows import compute, pids, stage, summary, worktree
from flows.output import Output
from flows.worktree import Worktree
from tasks import candidates_table, paths, records
from tasks.candidates_table import Evaluation
from tasks.errors import ConfigError, Problem, StillhouseError
from tasks.search.config import SearchConfig
from tasks.search.frontier import Point
from tasks.workload import Budget, Resolved, StageRef, Workload, resolve

if TYPE_CHECKING:
    from tasks.search.outcome import Trial
    from tasks.search.study import Turn

NOTHING: Final[dict[str, object]] = {}
FAILURES_IN_A_ROW: Final = 4
"""Recipes that could not be made, one after the other: then something else is wrong."""

OUTCOME: Final = paths.REPORTS / "search.json"


@flow(
    name="search",
    description="Try compositions of levers, and write the best recipe as a workload file.",
    persist_result=False,
)
def search(
    workload: Annotated[
        str, Field(pattern=r"^[a-z][a-z0-9-]*$", json_schema_extra={"title": "Workload"})
    ] = "sentiment",
    budget: Annotated[Budget, Field(json_schema_extra={"title": "Budget"})] = "quick",
    hours: Annotated[
        float, Field(gt=0, le=1000, json_schema_extra={"title": "Machine hours"})
    ] = 1.0,
    overrides: Annotated[
        dict[str, object], Field(max_length=50, json_schema_extra={"title": "Overrides"})
    ] = NOTHING,
) -> State[str]:
    """Search for the best recipe of a workload.

    Args:
        workload: Name of a file in workloads/, without .yaml, whose section `search` names the
            levers.
        budget: How much work one recipe may do, as in the flow release.
        hours: Machine time of all recipes together. What is at work then is finished.
        overrides: Parameters that differ from the workload file, each a dotted key with its
            value, for example {"search.trials": 12}. At most 50.
    """
    pids.write(f"run-{runtime.flow_run.id}", os.getpid())
    try:
        return _search(workload, budget, hours, overrides)
    except StillhouseError as error:
        get_run_logger().error("%s", error)
        return Failed(message=str(error))


def _search(
    workload: str, budget: Budget, hours: float, overrides: Mapping[str, object]
) -> State[str]:
    checkout, run = Path.cwd(), str(runtime.flow_run.id)
    begun = worktree.begun(checkout, run)
    source = worktree.folder_of(run) if begun else checkout
    told = resolve(workload, budget, overrides, source, local=checkout).workload
    config = section(told, str(paths.WORKLOADS / f"{workload}.yaml"))
    config = config.model_copy(update={"hours": hours})
    told = told.model_copy(update={"search": config})
    prepare = partial(_write_start, checkout, told)
    house = worktree.open_worktree(checkout, run, f"search-{workload}-{budget}", prepare)
    compute.name_run(house.name)
    get_run_logger().info("%s works in %s", house.name, house.root)
    return _Search(house, told, run).run()


def section(workload: Workload, file: str) -> SearchConfig:
    """What a search may try.

    Raises:
        ConfigError: nothing is told, or the teacher is not measured here.
    """
    if workload.search is None:
        remedy = "no such section; name the levers to search, as workloads/sentiment.yaml does"
        raise ConfigError([Problem(file, "search", "-", remedy)])
    if (teacher := workload.gate.teacher) in workload.remote:
        remedy = (
            "an entry of remote, and a search measures its teacher on this machine; name an entry "
            "of evaluate.candidates"
        )
        raise ConfigError([Problem(file, "gate.teacher", teacher, remedy)])
    return workload.search


def _write_start(checkout: Path, workload: Workload, root: Path) -> None:
    """Give the worktree the workload file, and what all recipes share as parameters."""
    from tasks.search.recipe import base

    file = paths.WORKLOADS / f"{workload.workload}.yaml"
    (root / file).parent.mkdir(exist_ok=True)
    shutil.copyfile(checkout / file, root / file)
    if workload.search is not None:
        Resolved(base(workload, workload.search)).write(root / paths.PARAMS)


class _Search:
    """One search: what was told, and the parameters as they have grown."""

    def __init__(self, house: Worktree, workload: Workload, run: str) -> None:
        # Imported here: Optuna is not needed to load the flow.
        from tasks.search import recipe
        from tasks.search.study import Study

        if workload.search is None:
            raise ValueError("workload without a section search")
        self._house, self._workload, self._config = house, workload, workload.search
        self._recipes = recipe
        self._minutes = compute.minutes_for(workload.budget)
        self._logger = get_run_logger()
        self._done: set[str] = set()
        self._grown = recipe.base(workload, workload.search)
        journal = paths.state() / "searches" / f"{run}.log"
        journal.parent.mkdir(parents=True, exist_ok=True)
        composed = recipe.composed(workload, workload.search)
        origins = recipe.origins_of(workload, workload.search)
        self._study: Study = Study(journal, workload.search, composed, origins)

    def run(self) -> State[str]:
        """Teacher first, then recipe after recipe, then what was found."""
        for each in self._study.told():
            if each.point is not None:
                self._grow(each.turn)
        teacher = self._measured(self._workload.gate.teacher)
        failures = 0
        while (turn := self._study.next(_point(teacher))) is not None:
            failures = 0 if self._try(turn) else failures + 1
            if failures == FAILURES_IN_A_ROW:
                raise StillhouseError(
                    f"{failures} recipes in a row could not be made; the last: {turn.recipe}. "
                    "Their errors are in the log above; mend the cause and retry the run."
                )
        job = compute.job("push", self._house, self._minutes)
        stage.push(job, Output("push", self._logger))
        return self._finish(teacher)

    def _try(self, turn: "Turn") -> bool:
        """Make and measure one recipe; False when that cannot be done."""
        self._logger.info("recipe %d, %s: %s", turn.number, turn.phase, turn.recipe)
        started = time.monotonic()
        before = self._grown
        try:
            evaluation = self._measured(self._grow(turn))
        except (ValidationError, StageFailedError) as error:
            self._logger.warning("recipe %d cannot be made: %s", turn.number, error)
            self._study.fail(turn, time.monotonic() - started, str(error))
            self._grown = before
            return False
        point = _point(evaluation)
        self._study.tell(turn, point, time.monotonic() - started)
        self._logger.info(
            "recipe %d: quality %.3f, %s %s per 1,000 requests",
            turn.number,
            point.quality,
            evaluation.cost.currency,
            candidates_table.money(point.price),
        )
        return True

    def _grow(self, turn: "Turn") -> str:
        self._grown, name = self._recipes.with_recipe(
            self._grown, self._workload, self._config, turn.recipe
        )
        return name

    def _measured(self, name: str) -> Evaluation:
        """Bring everything that leads to one evaluation up to date."""
        Resolved(self._grown).write(self._house.root / paths.PARAMS)
        for ref in self._recipes.stages(self._grown, name):
            if ref.target in self._done:
                continue
            require_completed(ref, compute.run_stage(ref, self._house, self._minutes))
            self._done.add(ref.target)
        return self._evaluations()[name]

    def _evaluations(self) -> dict[str, Evaluation]:
        return {each.name: each for each in candidates_table.evaluations(self._house.root)}

    def _finish(self, teacher: Evaluation) -> State[str]:
        from tasks.search import words
        from tasks.search.outcome import summarize, workload_file

        root = self._house.root
        outcome, best = summarize(root, self._workload, teacher, self._trials())
        records.write_report(root / OUTCOME, outcome.model_dump(mode="json"))
        headline = words.headline(outcome)
        text = _drawn(root)
        if best is not None:
            file = paths.WORKLOADS / f"{outcome.workload}-found.yaml"
            (root / file).write_text(
                workload_file(self._workload, self._config, best, outcome), encoding="utf-8"
            )
            text += _how_to_take(root, file)
        self._house.commit(f"found: {headline}")
        create_markdown_artifact(text, key=f"search-{outcome.workload}", description=headline)
        self._house.drop_outputs()
        self._logger.info("%s", headline)
        return Completed(message=headline, data=headline)

    def _trials(self) -> "list[Trial]":
        from tasks.search.outcome import Trial

        evaluations, trials = self._evaluations(), list[Trial]()
        for each in self._study.told():
            turn = each.turn
            name = self._grow(turn) if each.point else None
            evaluation = evaluations[name] if name else None
            found = (each.seconds, evaluation, each.reason)
            trials.append(Trial(turn.phase, turn.lever, turn.recipe, *found))
        return trials


def _point(evaluation: Evaluation) -> Point:
    return Point(evaluation.quality.value, evaluation.cost.per_1000_requests.value)


class StageFailedError(Exception):
    """A stage of a recipe did not end well, retries included."""


def require_completed(ref: StageRef, state: State[bool]) -> None:
    """See how a stage of a recipe ended.

    Raises:
        DiskFullError: which is no fault of the recipe's.
        StageFailedError: the recipe cannot be made.
    """
    if state.is_completed():
        return
    error = state.result(raise_on_failure=False)
    if isinstance(error, stage.DiskFullError):
        raise error
    raise StageFailedError(f"{ref.target}: {state.message}")


def _drawn(root: Path) -> str:
    """The outcome in words, with its picture inside."""
    subprocess.run(
        [sys.executable, "-m", "tasks.search.show"],
        cwd=root,
        env=stage.environment(root),
        check=True,
    )
    text = (root / OUTCOME).with_suffix(".md").read_text(encoding="utf-8")
    return text + summary.plot((root / OUTCOME).with_suffix(".png"))


def _how_to_take(root: Path, file: Path) -> str:
    head = worktree.git(root, "rev-parse", "--abbrev-ref", "HEAD")
    return (
        f"\n## The best recipe as a workload\n\n`git checkout {head} -- {file}` puts it into your "
        "checkout; commit it, then trigger the flow release with it.\n\n"
        f"```yaml\n{(root / file).read_text(encoding='utf-8')}```\n"
    )
