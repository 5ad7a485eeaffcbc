"""Settings of `package`: the Bento that serves the chosen model.

package: {prefix_caching: false, limits: {concurrent_requests: 64, answer_seconds: 30}}
"""

from pydantic import Field

from bentos.generator.feedback import FeedbackConfig
from bentos.web.limits import Limits
from tasks.config import Config


class PackageConfig(Config):
    """How the Bento serves."""

    prefix_caching: bool = Field(
        default=False,
        title="Prefix caching",
        description="Keep past prompts' caches: pays where requests share a long beginning.",
    )
    limits: Limits = Limits()
    feedback: FeedbackConfig = FeedbackConfig()
    parity_rows: int = Field(
        default=500,
        ge=1,
        title="Rows of parity",
        description="Validation rows that the finished Bento is asked.",
    )
    min_agreement: float = Field(
        default=0.995,
        ge=0,
        le=1,
        title="Least agreement",
        description="Share of its answers that must be those that were evaluated.",
    )
