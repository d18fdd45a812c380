"""What a benchmark reports: a ratio to its baseline, beside the goal."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AtLeast:
    """A goal that larger figures reach."""

    bound: float

    def __str__(self) -> str:
        return f"goal >= {self.bound:g}"

    def is_reached(self, value: float) -> bool:
        """Whether a figure is good enough."""
        return value >= self.bound


@dataclass(frozen=True, slots=True)
class Below:
    """A goal that smaller figures reach."""

    bound: float

    def __str__(self) -> str:
        return f"goal < {self.bound:g}"

    def is_reached(self, value: float) -> bool:
        """Whether a figure is good enough."""
        return value < self.bound


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report."""

    subject: str
    """What was measured, and on what: `get_domain sqlite`."""
    value: float
    unit: str
    """What the value counts: `of a no-op RPC`."""
    goal: AtLeast | Below | None = None
    detail: str = ""
    """The measurements behind the value."""

    def __str__(self) -> str:
        verdict = ""
        if self.goal is not None:
            missed = "" if self.goal.is_reached(self.value) else ", MISSED"
            verdict = f" ({self.goal}{missed})"
        return f"{self.subject:<26}{self.value:8.2f} {self.unit}{verdict}  {self.detail}".rstrip()


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast something went, and what it cost the process that did it."""

    per_second: float
    cpu: float
    """Seconds of CPU for one."""


def compared(pairs: Sequence[tuple[Rate, Rate]]) -> tuple[Rate, Rate, float]:
    """Return the medians of subject and baseline, and of the ratios of their CPU.

    Each pair is measured together, since other load on the machine comes and
    goes: both see about the same of it. CPU time tells what the server costs,
    even where its clients could not keep it busy.
    """
    ratio = statistics.median(base.cpu / own.cpu for own, base in pairs)
    return _median([own for own, _ in pairs]), _median([base for _, base in pairs]), ratio


def side_by_side(own: Rate, base: Rate) -> str:
    """Return the details of two rates."""
    return (
        f"{own.per_second:,.0f}/s against {base.per_second:,.0f}/s, "
        f"CPU {own.cpu * 1e6:,.1f} us against {base.cpu * 1e6:,.1f} us"
    )


def _median(rates: Sequence[Rate]) -> Rate:
    return Rate(
        statistics.median(rate.per_second for rate in rates), statistics.median(rate.cpu for rate in rates)
    )
