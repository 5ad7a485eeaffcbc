"""Settings of `package`: the Bento that serves the chosen model.

package: {prefix_caching: false, limits: {concurrent_requests: 64, answer_seconds: 30}}
"""

from pydantic import Field

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
