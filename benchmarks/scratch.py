"""A folder beside the checkout, for what a benchmark makes.

with beside_the_checkout([paths.TRAIN, paths.candidate("fetch/base")], "fetch@weights prepare"):
    ...
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path

from tasks.errors import StillhouseError


@contextmanager
def beside_the_checkout(needed: Sequence[Path], stages: str) -> Iterator[None]:
    """The working directory, within: it sees what is `needed` and takes what is written.

    Raises:
        StillhouseError: something is missing; `stages` of DVC make it.
    """
    missing = [str(path) for path in needed if not path.exists()]
    if missing:
        raise StillhouseError(
            f"{', '.join(missing)}: not here; make them with `.venv/bin/dvc repro {stages}`"
        )
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as scratch:
        for path in needed:
            link = Path(scratch) / path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.absolute())
        os.environ["STILLHOUSE_STATE"] = scratch
        with chdir(scratch):
            yield
