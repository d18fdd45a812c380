"""Counts of deliveries, and the health that follows from them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from service.core.deliveries import BatchAnswer
from service.core.health import Counts, HealthPolicy


@dataclass(frozen=True, slots=True)
class DeliveryBatch:
    """Reports that came together, as far as they are counted."""

    id: str
    """The caller's: of two with the same, the second counts for nothing."""
    counts: Mapping[tuple[str, datetime], Counts]
    """By domain and the start of the hour."""
    answer: BatchAnswer


class DeliveryStore(Protocol):
    """Counts what became of messages."""

    def known(self, tenant: str, names: Collection[str]) -> Collection[str]:
        """Return those of the names that are the tenant's domains."""

    def count_deliveries(
        self, tenant: str, batch: DeliveryBatch, *, now: datetime, due: datetime
    ) -> BatchAnswer:
        """Add a batch to the counts, once, and have its domains assessed at `due`.

        Returns the batch's answer, or the first one given to a batch of its id.
        """

    def forget_batches(self, before: datetime) -> None:
        """Forget the ids of batches that were counted before."""


class HealthStore(Protocol):
    """Domains whose health is due to be assessed."""

    def assess_due(self, now: datetime, limit: int, policy: HealthPolicy) -> int:
        """Assess at most `limit` domains that are due, and return how many were.

        A domain whose health changes gets its HEALTH_CHANGED event in the same
        transaction. Counts that have left the window are forgotten. May be
        called by several processes at once.
        """
