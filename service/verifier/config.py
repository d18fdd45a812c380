"""What the verifier is told: sizes and times."""

from dataclasses import dataclass
from datetime import timedelta

from service.verifier.checks import BUDGET


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierConfig:
    """Sizes and times of the pool."""

    threads: int = 1
    """Each has hundreds of checks under way; more of them mostly wait for one another."""
    batch: int = 128
    """Domains claimed at once."""
    lease: timedelta = timedelta(seconds=60)
    """How long a claim lasts that is never saved. Longer than any check takes."""
    budget: timedelta = BUDGET
    """How long all look-ups of one check may take."""
    poll: float = 0.5
    """Longest time between two looks for due domains, in seconds."""
    min_interval: timedelta = timedelta(seconds=5)
    """A check that is younger is not repeated on request."""
