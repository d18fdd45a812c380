"""How much a run measures."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Sizes and times of all benchmarks."""

    rounds: int
    """How often subject and baseline take turns."""
    seconds: float
    """How long one turn lasts, where time decides."""
    starts: int
    """How often both servers are started, for unary calls."""
    call_rounds: int
    """As `rounds`, for unary calls: many short turns, for the speed of the machine changes meanwhile."""
    call_seconds: float
    few_domains: int
    many_domains: int
    streams: int
    """Subscribers that events fan out to."""
    messages: int
    """Messages that each of them gets in a turn."""
    claims: int
    """Claims and saves, in each database."""
    checked_domains: int
    """At least one batch of the verifier, beside hostile zones."""
    changes: int
    """Changes whose way to a subscriber is timed, in a turn."""
    idle_streams: int
    pace: float
    """How long the service waits for DNS and between checks, against what it does by default."""
    published_domains: int
    """Pending domains that are published, each at a time of its own."""
    published_within: float
    """All of them within so many seconds."""
    faulty_domains: int
    """As many again, while DNS has faults and while it has none."""
    hostile_rounds: int
    """As `rounds`, for hostile zones, which take several seconds to show what they do."""
    hostile_seconds: float


FULL = Scale(
    rounds=5,
    seconds=2.0,
    starts=5,
    call_rounds=8,
    call_seconds=0.75,
    few_domains=1_000,
    many_domains=100_000,
    streams=1_000,
    messages=20,
    claims=1_000,
    checked_domains=640,
    changes=200,
    idle_streams=2_000,
    pace=1.0,
    published_domains=1_000,
    published_within=60.0,
    faulty_domains=200,
    hostile_rounds=5,
    hostile_seconds=4.0,
)
"""What the goals are set for."""

QUICK = Scale(
    rounds=1,
    seconds=0.3,
    starts=1,
    call_rounds=1,
    call_seconds=0.3,
    few_domains=100,
    many_domains=1_000,
    streams=50,
    messages=3,
    claims=10,
    checked_domains=64,
    changes=10,
    idle_streams=100,
    pace=0.05,
    published_domains=30,
    published_within=1.0,
    faulty_domains=10,
    hostile_rounds=1,
    hostile_seconds=0.5,
)
"""Enough to see that every benchmark runs. Its figures mean nothing."""
