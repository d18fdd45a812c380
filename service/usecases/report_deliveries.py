"""ReportDeliveries: count what became of messages."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from service import ports
from service.core import names
from service.core.deliveries import BatchAnswer, Bounds, DeliveryReport, Rejected
from service.core.errors import ServiceError, Violation, invalid_fields
from service.core.health import HOUR, Counts, hour_numbered
from service.core.keys import Scope
from service.usecases import limits
from service.usecases.caller import Caller

MOST_REPORTS = 10_000
_HOUR_SECONDS = int(HOUR.total_seconds())
_GATHER = timedelta(milliseconds=250)
"""How long counts gather before they are assessed together."""


@dataclass(frozen=True, slots=True)
class ReportDeliveries:
    """Counts the reports of a batch, each unless it is wrong, and the batch once."""

    store: ports.DeliveryStore
    clock: ports.Clock
    window: timedelta

    def __call__(self, caller: Caller, batch_id: str, reports: Sequence[DeliveryReport]) -> BatchAnswer:
        """Count the reports and say which of them were not taken.

        Their `domain` is as it came; nothing in them was checked.

        Raises:
            ServiceError: INVALID_FIELD.

        """
        _check(batch_id, reports)
        now = self.clock.now()
        bounds = Bounds.at(now, self.window)
        named, refused = self._domains(caller, {report.domain for report in reports})
        rejected = []
        sums: dict[tuple[str, int], list[int]] = {}
        for index, report in enumerate(reports):
            if reason := refused.get(report.domain) or bounds.problem(report):
                rejected.append(Rejected(index, reason))
                continue
            spelt, time, sent, delivered, hard_bounces, complaints = report
            key = named[spelt], time // _HOUR_SECONDS
            if (counted := sums.get(key)) is None:
                sums[key] = [sent, delivered, hard_bounces, complaints]
            else:
                counted[0] += sent
                counted[1] += delivered
                counted[2] += hard_bounces
                counted[3] += complaints
        counts = {(name, hour_numbered(hour)): Counts(*counted) for (name, hour), counted in sums.items()}
        answer = BatchAnswer(len(reports) - len(rejected), tuple(rejected))
        batch = ports.DeliveryBatch(batch_id, counts, answer)
        return self.store.count_deliveries(caller.tenant, batch, now=now, due=now + _GATHER)

    def _domains(self, caller: Caller, spelt: Iterable[str]) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Return the names of domains by how they are spelt, or else why they are refused."""
        named, refused = {}, {}
        for text in spelt:
            try:
                name = names.parse(text)
                caller.require_domain(name, Scope.DELIVERIES_WRITE)
            except ServiceError as error:
                refused[text] = error.message if error.violations else f"domain: {error.message}"
            else:
                named[text] = name
        known = self.store.known(caller.tenant, set(named.values()))
        for text, name in named.items():
            if name not in known:
                refused[text] = f"domain: no domain {name} in this tenant"
        return named, refused


def _check(batch_id: str, reports: Sequence[DeliveryReport]) -> None:
    wrong = limits.text_problem("batch_id", batch_id, limits.LONGEST_ID)
    if not batch_id:
        wrong.append(Violation("batch_id", "must be set"))
    if len(reports) > MOST_REPORTS:
        wrong.append(Violation("reports", f"must be at most {MOST_REPORTS}, and are {len(reports)}"))
    if wrong:
        raise invalid_fields(wrong)
