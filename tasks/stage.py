"""How `python -m tasks.<stage>` ends: well, or with a message that says what to mend.

raise SystemExit(run(main))
"""

import errno
import os
import sys
from collections.abc import Callable

from tasks.errors import StillhouseError

USER_ERROR = 2
"""Exit code of an error that is the user's to mend: trying again would not help."""


def run(main: Callable[[list[str]], None]) -> int:
    """Call `main` with the command line's arguments; returns the exit code."""
    try:
        main(sys.argv[1:])
    except StillhouseError as error:
        print(f"error: {error}", file=sys.stderr)
        return USER_ERROR
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(
            f"error: no space left on the disk of {error.filename or os.getcwd()}. Free some and "
            "start the run again: finished stages are kept.",
            file=sys.stderr,
        )
        return USER_ERROR
    return 0


def variant(arguments: list[str], stage: str) -> str:
    """The one argument that names a variant.

    Raises:
        StillhouseError: none or several given.
    """
    if len(arguments) != 1:
        raise StillhouseError(
            f"usage: python -m tasks.{stage} VARIANT (a key of {stage} in params.yaml)"
        )
    return arguments[0]
