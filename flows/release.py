"""The flow that turns a workload file into a verdict and, on pass, a Bento.

prefect deployment run release/release --param workload=sentiment --param budget=quick
"""

import os
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Final

from prefect import flow, get_run_logger, runtime
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from flows import champion, compute, looks, pids, reuse, serving, stage, summary, worktree
from flows.champion import Champion
from flows.output import Output
from flows.registry import Registry
from flows.worktree import Worktree
from tasks import candidates_table, paths
from tasks.errors import StillhouseError
from tasks.workload import Budget, resolve

NOTHING: Final[dict[str, object]] = {}


@flow(
    name="release",
    description="Find the cheapest model that is shown to be no worse than the teacher.",
    persist_result=False,
)
def release(
    workload: Annotated[
        str, Field(pattern=r"^[a-z][a-z0-9-]*$", json_schema_extra={"title": "Workload"})
    ] = "sentiment",
    budget: Annotated[Budget, Field(json_schema_extra={"title": "Budget"})] = "quick",
    overrides: Annotated[
        dict[str, object], Field(max_length=50, json_schema_extra={"title": "Overrides"})
    ] = NOTHING,
    promote: Annotated[bool, Field(json_schema_extra={"title": "Promote on pass"})] = False,
) -> State[str]:
    """Release a workload.

    Args:
        workload: Name of a file in workloads/, without .yaml, as it stands in the checkout.
        budget: How much work the run may do. `smoke` shows in minutes that everything works,
            `quick` gives a verdict on two CPU cores, `full` uses all data. Only sizes and steps
            differ, never the gate.
        overrides: Parameters that differ from the workload file, each a dotted key with its
            value, for example {"finetune.lora.rank": 8}. At most 50.
        promote: When the verdict is pass, put the new version into use, as the flow promote does.
    """
    pids.write(f"run-{runtime.flow_run.id}", os.getpid())
    try:
        return _release(workload, budget, overrides, promote)
    except StillhouseError as error:
        get_run_logger().error("%s", error)
        return Failed(message=str(error))


def _release(
    workload: str, budget: Budget, overrides: Mapping[str, object], promote: bool
) -> State[str]:
    logger = get_run_logger()
    checkout, run = Path.cwd(), str(runtime.flow_run.id)
    if worktree.begun(checkout, run):
        source, rival = worktree.folder_of(run), champion.of_run(worktree.folder_of(run))
    else:
        source, rival = checkout, champion.in_use(checkout, workload)
    told = {**overrides, **(rival.parameters() if rival else {})}
    resolved = resolve(workload, budget, told, source, local=checkout)
    for file in worktree.uncommitted(checkout):
        logger.warning("%s has uncommitted changes: the run takes code from HEAD", file)
    prepare = partial(_write_parameters, checkout, workload, budget, told, rival)
    house = worktree.open_worktree(checkout, run, f"{workload}-{budget}", prepare)
    compute.name_run(house.name)
    logger.info("%s works in %s", house.name, house.root)
    if rival is not None:
        logger.info("%s %s is in use: what takes its place must be better", workload, rival.version)
    minutes = compute.minutes_for(budget)
    refs = resolved.stages
    finished = reuse.up_to_date(
        house,
        compute.job("reuse", house, minutes),
        [ref.target for ref in refs],
        Output("reuse", logger),
    )
    for number, ref in enumerate(refs):
        compute.run_stage(ref, house, minutes, known=number < finished).result()
    if finished < len(refs):
        stage.push(compute.job("push", house, minutes), Output("push", logger))
    return _finish(workload, house, promote)


def _write_parameters(
    checkout: Path,
    workload: str,
    budget: Budget,
    overrides: Mapping[str, object],
    rival: Champion | None,
    root: Path,
) -> None:
    """Give the worktree workload file, params.yaml and champion as they are at the start."""
    file = paths.WORKLOADS / f"{workload}.yaml"
    (root / file).parent.mkdir(exist_ok=True)
    shutil.copyfile(checkout / file, root / file)
    resolve(workload, budget, overrides, root, local=checkout).write(root / paths.PARAMS)
    if rival is not None:
        rival.write(root)


def _finish(workload: str, house: Worktree, promote: bool) -> State[str]:
    logger = get_run_logger()
    table = candidates_table.load(house.root)
    if table.gate is None:
        raise StillhouseError(f"{house.root}: the gate has written no report")
    seen = looks.record(house, table.gate)
    if seen is not None and seen.exhausted:
        logger.warning("%s", seen)
    text = summary.markdown(house.root, table, seen)
    headline = summary.headline(table.gate)
    create_markdown_artifact(text, key=f"release-{workload}", description=headline)
    card = summary.model_card(house.root)
    if card is not None:
        create_markdown_artifact(card, key=f"model-card-{workload}", description=headline)
    rows = [dict(record) for record in summary.records(table)]
    create_table_artifact(rows, key=f"candidates-{workload}", description=headline)
    if table.gate.verdict == "pass":
        logger.info(_register(workload, house, headline, promote and not (seen and seen.exhausted)))
    house.drop_outputs()
    logger.info("verdict %s", headline)
    return Completed(message=headline, data=table.gate.verdict)


def _register(workload: str, house: Worktree, headline: str, promote: bool) -> str:
    bento = summary.bento_tag(house.root)
    if bento is None:
        raise StillhouseError(f"{house.root}: the verdict is pass, but no Bento was packaged")
    registry = Registry(house.checkout, workload)
    version = registry.register(house.head(), bento, f"{house.name}: {headline}")
    if not promote:
        return f"registered as {workload} {version}; the flow promote puts it into use"
    registry.promote(version, f"promoted by {house.name}", require=serving.package)
    return f"registered as {workload} {version} and put into use"
