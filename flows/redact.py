"""Blanks secrets in text before it is shown.

Redactor({"HF_TOKEN": "hf_abcdefgh"})("using hf_abcdefgh") == "using ***"
"""

import re
from collections.abc import Mapping

SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|ACCESS_KEY|AUTH", re.I)
CREDENTIALS_IN_URL = re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)")
SHORTEST = 8
"""Shorter values would blank ordinary words."""


class Redactor:
    """Knows the values of an environment's secret variables."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        values = {
            value
            for name, value in environment.items()
            if SECRET_NAME.search(name) and len(value) >= SHORTEST
        }
        # The longest first, so that a secret that begins with another one is blanked whole.
        self._values = sorted(values, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """`text` with every secret replaced by ***."""
        for value in self._values:
            text = text.replace(value, "***")
        return CREDENTIALS_IN_URL.sub("***", text)
