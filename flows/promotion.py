"""The flows that decide which release of a workload is in use.

prefect deployment run promote/promote --param workload=sentiment --param reason="passed review"
"""

from pathlib import Path
from typing import Annotated

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from flows import serving
from flows.registry import Registry
from tasks.errors import StillhouseError

Workload = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9-]*$", json_schema_extra={"title": "Workload"})
]
Reason = Annotated[str, Field(min_length=3, max_length=500, json_schema_extra={"title": "Reason"})]
Version = Annotated[
    str | None, Field(pattern=r"^v\d+\.\d+\.\d+$", json_schema_extra={"title": "Version"})
]


@flow(name="promote", description="Put a released version into use.", persist_result=False)
def promote(workload: Workload, reason: Reason, version: Version = None) -> State[str]:
    """Put a released version into use.

    Args:
        workload: Name of a file in workloads/, without .yaml.
        reason: Why, for the audit trail.
        version: For example v0.0.2; left empty, the newest that passed.
    """
    try:
        registry = Registry(Path.cwd(), workload)
        in_use = registry.promote(version, reason, require=serving.package)
        return _told(registry, workload, in_use)
    except StillhouseError as error:
        return Failed(message=str(error))


@flow(name="rollback", description="Go back to the version before.", persist_result=False)
def rollback(workload: Workload, reason: Reason) -> State[str]:
    """Put the version that was in use before into use again, without building anything.

    Args:
        workload: Name of a file in workloads/, without .yaml.
        reason: Why, for the audit trail.
    """
    try:
        registry = Registry(Path.cwd(), workload)
        return _told(registry, workload, registry.rollback(reason, require=serving.package))
    except StillhouseError as error:
        return Failed(message=str(error))


def _told(registry: Registry, workload: str, version: str) -> State[str]:
    trail = [event._asdict() for event in reversed(registry.history())]
    message = f"{workload} {version} is in use"
    create_table_artifact(trail, key=f"registry-{workload}", description=message)
    get_run_logger().info("%s; `make serve` serves it from now on", message)
    return Completed(message=message, data=version)
