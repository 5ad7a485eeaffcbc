"""The stages of a run as Prefect tasks.

    run_stage(StageRef("finetune", "lora"), house, minutes=90)      measured, or taken from DVC

Every flow of stages works so: one task a stage, each committed when it is done.
"""

import os
from collections.abc import Mapping
from typing import Final, cast

from prefect import get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Completed
from prefect.tasks import Task

from flows import stage
from flows.output import Output
from flows.worktree import Worktree
from tasks import paths
from tasks.errors import StillhouseError
from tasks.workload import Budget, StageRef

STAGE_MINUTES: Final[Mapping[Budget, float]] = {"smoke": 30, "quick": 90, "full": 48 * 60}
"""Time limit of one stage, unless STILLHOUSE_STAGE_MINUTES says otherwise."""

RETRIES: Final = 2
SECONDS_BEFORE_RETRY: Final = 3


def _worth_retrying(_task: Task[..., object], _run: TaskRun, state: State[object]) -> bool:
    """A crash may pass; what the user must mend does not mend itself."""
    error = state.result(raise_on_failure=False)
    return not isinstance(error, StillhouseError)


@task(
    retries=RETRIES,
    retry_delay_seconds=SECONDS_BEFORE_RETRY,
    retry_condition_fn=_worth_retrying,
    cache_policy=NO_CACHE,
    persist_result=False,
)
def compute(ref: StageRef, house: Worktree, minutes: float, known: bool) -> State[bool]:
    """Bring one stage of the run up to date and commit what it measured.

    `known`: DVC has been asked already and has the result.
    """
    output = Output(ref.target, get_run_logger())
    ran = not known and stage.reproduce(job(ref.target, house, minutes), output)
    if not (known and (house.root / paths.published(ref.stage, ref.variant)).exists()):
        _publish(ref, house)
    if ran:
        return Completed(message="measured in this run", data=True)
    return Completed(name="Cached", message="DVC had this result already", data=False)


def run_stage(ref: StageRef, house: Worktree, minutes: float, known: bool = False) -> State[bool]:
    """One stage as a task of the flow that calls; the state in which it ended, failed ones too."""
    named = compute.with_options(name=ref.target, task_run_name=ref.target, tags=[ref.stage])
    # A task that returns a state ends in it; Prefect's types see one state in another.
    return cast("State[bool]", named(ref, house, minutes, known, return_state=True))


def minutes_for(budget: Budget) -> float:
    """How long one stage may take."""
    return float(os.environ.get("STILLHOUSE_STAGE_MINUTES", STAGE_MINUTES[budget]))


def job(target: str, house: Worktree, minutes: float) -> stage.Job:
    """What `flows.stage` is told of one target of a run."""
    log = paths.state() / "logs" / house.root.name / f"{target}.log"
    return stage.Job(target, house.name, house.root, log, minutes * 60)


def name_run(name: str) -> None:
    """Show the run in the UI by the name that its commits have."""
    with get_client(sync_client=True) as client:
        client.update_flow_run(runtime.flow_run.id, name=name)


def _publish(ref: StageRef, house: Worktree) -> None:
    """Commit dvc.lock and the copy of the stage's report that git keeps."""
    if ref.stage != "report":
        paths.publish(house.root, ref.stage, ref.variant)
    house.commit(f"measured by {ref.target}")
