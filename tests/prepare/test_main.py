import json
from pathlib import Path

import pytest
import yaml

from tasks.errors import StillhouseError
from tasks.prepare.__main__ import main
from tests.prepare.conftest import TASK, write_raw


def test_params_are_read_and_the_report_is_written(checkout: Path) -> None:
    params = {
        "task": TASK.model_dump(mode="json"),
        "prepare": {"fields": {"text": "text"}, "reference": {"column": "label"}},
    }
    (checkout / "params.yaml").write_text(yaml.safe_dump(params))
    labels = ("negative", "positive")
    write_raw(
        {"text": f"{n * 7919} is one and {n * 104729} another", "label": labels[n % 2]}
        for n in range(120)
    )
    main([])
    report = json.loads((checkout / "data/prepared/report.json").read_text())
    assert report["rows"]["kept"] == 120
    with pytest.raises(StillhouseError, match="usage"):
        main(["extra"])
