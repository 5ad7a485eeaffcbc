"""What a search makes of a stage that did not end well."""

import asyncio

import pytest
from prefect.states import Completed, exception_to_failed_state

from flows.search import StageFailedError, require_completed
from flows.stage import DiskFullError, StageCrashedError
from tasks.workload import StageRef

REF = StageRef("distill", "small")


def test_a_full_disk_ends_the_search_and_is_not_held_against_the_recipe() -> None:
    full, crashed = (
        asyncio.run(exception_to_failed_state(error))
        for error in (DiskFullError("free some"), StageCrashedError("exit code 3"))
    )
    with pytest.raises(DiskFullError, match="free some"):
        require_completed(REF, full)
    with pytest.raises(StageFailedError, match=r"distill@small: .*exit code 3"):
        require_completed(REF, crashed)
    require_completed(REF, Completed(data=True))
