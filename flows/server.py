"""What the house asks of its Prefect server: pools, deployments, automation, runs.

    run = start_run("release/release", {"workload": "sentiment", "budget": "quick"})

Imports Prefect, so `flows.settings.environment()` must be in the environment already.
"""

import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.states import Scheduled
from prefect.workers.process import ProcessWorker

from flows import pids
from tasks.errors import StillhouseError

POOLS = {
    "cpu": "Releases and light stages; the local worker serves it.",
    "gpu": "Whole releases on a machine with a GPU: start a worker there with --pool gpu.",
}
ZOMBIES = "Mark runs without a heartbeat as crashed"
HEARTBEATS_MISSED = timedelta(minutes=5)
"""Ten heartbeats: a server that was away for a while must not condemn the runs of that time."""

ALIVE_STATES = [StateType.RUNNING, StateType.PENDING, StateType.SCHEDULED]


def set_up(prefect_file: Path) -> None:
    """Create pools and automation where missing; deploy every flow of `prefect_file`."""
    with get_client(sync_client=True) as client:
        for name, description in POOLS.items():
            _create_pool(client, name, description)
        _create_automation(client)
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    command += ["--prefect-file", str(prefect_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StillhouseError(f"{prefect_file} cannot be deployed: {done.stdout}{done.stderr}")


def start_run(deployment: str, parameters: Mapping[str, object]) -> FlowRun:
    """Ask for a run of a deployment, as the UI's form does."""
    with get_client(sync_client=True) as client:
        found = client.read_deployment_by_name(deployment)
        return client.create_flow_run_from_deployment(found.id, parameters=dict(parameters))


def unfinished(parameters: Mapping[str, object]) -> FlowRun | None:
    """The newest run with these parameters that has not ended, or None."""
    for run in _runs(ALIVE_STATES):
        given = {key: value for key, value in run.parameters.items() if key in parameters}
        if given == dict(parameters) and not run.auto_scheduled:
            return run
    return None


def resume_interrupted() -> list[str]:
    """Schedule every run again whose process is gone; returns their names.

    Only for a machine of one's own: a process is looked for here.
    """
    resumed = []
    with get_client(sync_client=True) as client:
        for run in _runs([StateType.RUNNING, StateType.PENDING]):
            if pids.alive(f"run-{run.id}") is None:
                client.set_flow_run_state(run.id, _again(), force=True)
                resumed.append(run.name)
    return resumed


def read_run(run: UUID) -> FlowRun:
    """A run as the server knows it now."""
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run)


def _again() -> State[object]:
    return Scheduled(name="AwaitingRetry", message="Interrupted; finished stages are kept.")


def _runs(types: list[StateType]) -> list[FlowRun]:
    wanted = FlowRunFilter.model_validate(
        {"state": {"type": {"any_": types}}, "deployment_id": {"is_null_": False}}
    )
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(
            flow_run_filter=wanted, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=50
        )


def _create_pool(client: SyncPrefectClient, name: str, description: str) -> None:
    try:
        client.read_work_pool(name)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        pool = WorkPoolCreate(
            name=name, type="process", description=description, base_job_template=template
        )
        try:
            client.create_work_pool(pool)
        except ObjectAlreadyExists:
            return


def _create_automation(client: SyncPrefectClient) -> None:
    if not client.read_automations_by_name(ZOMBIES):
        client.create_automation(_zombie_automation())


def _zombie_automation() -> AutomationCore:
    return AutomationCore(
        name=ZOMBIES,
        description="A machine that dies cannot say so; its runs would stay Running for ever.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={
                "prefect.flow-run.heartbeat",
                "prefect.flow-run.Completed",
                "prefect.flow-run.Failed",
                "prefect.flow-run.Cancelled",
                "prefect.flow-run.Crashed",
                "prefect.flow-run.AwaitingRetry",
            },
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=HEARTBEATS_MISSED,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                message="No heartbeat for 5 minutes. Retry the run: finished stages are kept.",
            )
        ],
    )
