"""Which requests a cheap model will not settle, told from the request alone.

    predictor.stays([{"role": "user", "content": "A decent film."}])   # 0.93
    predictor.asks_cheap(messages)                                     # True: a cascade is worth it

A logistic regression over hashed words and the length of the whole conversation: it stands in
router.json as numbers, needs no library, and takes a fraction of a millisecond.
"""

import math
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

BUCKETS: Final = 2048
CHARACTERS: Final = 20_000
"""Of a conversation that are read; the last ones."""

_WORD: Final = re.compile(r"\w+")


class Predictor(BaseModel):
    """What was learned.

    Attributes:
        weights: of the buckets that words and lengths fall into.
        bias: added to their sum.
        least: chance that a cheap answer stays from which asking for one costs less.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: tuple[float, ...] = Field(min_length=BUCKETS, max_length=BUCKETS)
    bias: float
    least: float = Field(ge=0, le=1)

    def stays(self, messages: Sequence[Mapping[str, Any]]) -> float:
        """Chance that a cheap model's answer will be sure enough."""
        logit = self.bias + sum(self.weights[b] * value for b, value in features(messages).items())
        return 1 / (1 + math.exp(-max(min(logit, 50.0), -50.0)))

    def asks_cheap(self, messages: Sequence[Mapping[str, Any]]) -> bool:
        """Whether a cheap model is asked first."""
        return self.stays(messages) >= self.least


def features(messages: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Buckets that a conversation falls into, with a value each; their squares add up to one."""
    text = "\n".join(_text(message.get("content")) for message in messages)[-CHARACTERS:].lower()
    words = set(_WORD.findall(text)) | {f"length {len(text).bit_length()}"}
    buckets = {zlib.crc32(word.encode("utf-8", "replace")) % BUCKETS for word in words}
    return dict.fromkeys(buckets, 1 / math.sqrt(len(buckets)))


def _text(content: object) -> str:
    """Of a message, which may be in parts."""
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    return content if isinstance(content, str) else ""
