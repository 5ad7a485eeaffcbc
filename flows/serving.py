"""Serve what a run packaged: the champion, or the newest before there is one.

.stillhouse/runs/<flow run id>/models/package/sentiment.tar
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bentos.generator import feedback
from bentos.web import access
from flows import pids, settings
from flows.registry import Registry
from tasks import candidates_table, paths
from tasks.errors import StillhouseError

EXAMPLES = """\
Serving {tag} on {url} (Ctrl-C ends it). When it is ready, in another terminal:

  curl {url}/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "{text}"}}]}}'

  .venv/bin/python -c '
  from openai import OpenAI
  client = OpenAI(base_url="{url}/v1", api_key="unused")
  messages = [{{"role": "user", "content": "{text}"}}]
  answer = client.chat.completions.create(model="{model}", messages=messages)
  print(answer.choices[0].message.content)'
"""


def bento_to_serve() -> Path:
    """The package of the champion; before the first promotion, of the newest run that passed.

    Raises:
        StillhouseError: no run has passed yet, or the champion's package is gone.
    """
    passed = _packages()
    if not passed:
        raise StillhouseError("no run has packaged a Bento yet: type `make demo` first")
    newest = max(passed, key=lambda path: path.stat().st_mtime)
    champion = Registry(Path.cwd(), newest.stem).champion_bento()
    return newest if champion is None else package(champion)


def package(tag: str) -> Path:
    """The archive of a Bento that a run packaged.

    Raises:
        StillhouseError: no run's folder holds it any more.
    """
    for archive in _packages():
        if _tag(archive) == tag:
            return archive
    raise StillhouseError(
        f"the package of {tag} is in no run's folder any more: run its release again, which takes "
        f"it from the cache, or restore the folder in {paths.state() / 'runs'}"
    )


def serve(archive: Path, port: int, console: Console) -> int:
    """Import the Bento if it is not in the store and serve it until Ctrl-C; its exit code."""
    tag = _tag(archive)
    if subprocess.run(_bentoml("get", tag), capture_output=True, check=False).returncode != 0:
        subprocess.run(_bentoml("import", str(archive)), check=True)
    workload, url = archive.stem, f"http://{settings.HOST}:{port}"
    example = "A triumph from the first scene to the last."
    console.print(
        EXAMPLES.format(tag=tag, url=url, model=workload, text=example),
        markup=False,
        highlight=False,
    )
    command = _bentoml("serve", tag, "--host", settings.HOST, "--port", str(port))
    # Monitoring logs would otherwise be written inside the stored Bento.
    folder = paths.state() / "logs" / "monitoring"
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(command, cwd=folder, env=os.environ | _named_files())
    pids.write("serve", process.pid, port)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        return 0
    finally:
        pids.forget("serve")


def _named_files() -> dict[str, str]:
    """What the user names from here, by its whole path: the Bento works in another folder."""
    told = {name: os.environ.get(name) for name in (access.VARIABLE, feedback.VARIABLE)}
    return {name: str(Path(path).absolute()) for name, path in told.items() if path}


def _packages() -> list[Path]:
    found = [path.absolute() for path in Path.cwd().glob(f"{paths.PACKAGE}/*.tar")]
    found += (paths.state() / "runs").glob(f"*/{paths.PACKAGE}/*.tar")
    return [path for path in found if _passed(path.parents[2])]


def _passed(root: Path) -> bool:
    gate = candidates_table.gate_report(root)
    return gate is not None and gate.verdict == "pass"


def _tag(archive: Path) -> str:
    report = archive.parent / paths.REPORT
    tag = json.loads(report.read_text(encoding="utf-8")).get("tag")
    if not isinstance(tag, str):
        raise StillhouseError(f"{report}: names no tag; run the stage package again")
    return tag


def _bentoml(*arguments: str) -> Sequence[str]:
    return [sys.executable, "-m", "bentoml", *arguments]
