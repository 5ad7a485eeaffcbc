"""Settings of the local house, all on loopback and all below .stillhouse/.

environment()["PREFECT_API_URL"] == "http://127.0.0.1:4200/api"
"""

import os
import sys
from pathlib import Path

from flows import pids
from tasks import paths
from tasks.errors import StillhouseError

HOST = "127.0.0.1"
PREFECT_PORT = 4200
SERVE_PORT = 3000


def prefect_port() -> int:
    """Port of the server that runs now; else STILLHOUSE_PREFECT_PORT, else 4200."""
    return pids.port("server") or _port("STILLHOUSE_PREFECT_PORT", PREFECT_PORT)


def serve_port() -> int:
    """Port of `make serve`: STILLHOUSE_SERVE_PORT, else 3000."""
    return _port("STILLHOUSE_SERVE_PORT", SERVE_PORT)


def ui_url() -> str:
    """Address of the Prefect UI."""
    return f"http://{HOST}:{prefect_port()}"


def environment() -> dict[str, str]:
    """What the server, the worker and their children see.

    Prefect settings of the user's shell are left out: the house talks to its own server only.
    """
    state = paths.state()
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    return {
        **inherited,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONUNBUFFERED": "1",
        "STILLHOUSE_STATE": str(state),
        "STILLHOUSE_ROOT": str(Path.cwd()),
        "BENTOML_HOME": str(state / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "DVC_NO_ANALYTICS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PREFECT_HOME": str(state / "prefect"),
        "PREFECT_API_URL": f"{ui_url()}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_CLIENT_MAX_RETRIES": "10",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }


def _port(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal() or not 1024 <= int(text) <= 65535:
        raise StillhouseError(f"{name}={text}: must be a port number from 1024 to 65535")
    return int(text)
