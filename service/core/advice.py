"""What the owner of a domain could do better. Nothing here stops sending."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from service.core import dmarc, names, quoting
from service.core.domain import Domain, Status
from service.core.health import Health
from service.core.records import Purpose, RecordState


class AdviceCode(StrEnum):
    """Which advice it is."""

    USE_A_SUBDOMAIN = "USE_A_SUBDOMAIN"
    DMARC_WITHOUT_REPORTS = "DMARC_WITHOUT_REPORTS"
    TIGHTEN_DMARC = "TIGHTEN_DMARC"
    SHARED_BY_APPLICATIONS = "SHARED_BY_APPLICATIONS"
    HIGH_BOUNCES = "HIGH_BOUNCES"
    HIGH_COMPLAINTS = "HIGH_COMPLAINTS"
    AWAITING_PROVIDER = "AWAITING_PROVIDER"


@dataclass(frozen=True, slots=True)
class Advice:
    """One piece of advice."""

    code: AdviceCode
    text: str
    """One sentence for a person."""


def for_domain(domain: Domain) -> tuple[Advice, ...]:
    """Return the advice that a domain as it stands calls for."""
    return tuple(advice for advise in _ADVISERS if (advice := advise(domain)))


def _awaiting_provider(domain: Domain) -> Advice | None:
    # Whoever contends for a name may have to wait for others.
    if domain.status is Status.VERIFIED or domain.contested:
        return None
    if any(each.required and each.finding.state is not RecordState.FOUND for each in domain.records):
        return None
    return Advice(
        AdviceCode.AWAITING_PROVIDER,
        "Wait: all records are found, and the mail provider has yet to find them too, which mostly takes "
        "minutes and can take hours",
    )


def _use_a_subdomain(domain: Domain) -> Advice | None:
    if not names.is_organisational(domain.name):
        return None
    return Advice(
        AdviceCode.USE_A_SUBDOMAIN,
        f"Send from a subdomain such as mail.{domain.name}, so that complaints about this mail "
        f"do not harm the reputation of all mail from {domain.name}",
    )


def _shared_by_applications(domain: Domain) -> Advice | None:
    if not domain.is_shared:
        return None
    return Advice(
        AdviceCode.SHARED_BY_APPLICATIONS,
        "Give each application a subdomain of its own, so that what one of them sends does not "
        "harm the mail of the others",
    )


def _dmarc_without_reports(domain: Domain) -> Advice | None:
    published = [
        value
        for record in domain.records
        if record.purpose is Purpose.DMARC and record.finding.state is RecordState.FOUND
        for value in record.finding.observed
    ]
    if not any(map(_asks_for_no_reports, published)):
        return None
    return Advice(
        AdviceCode.DMARC_WITHOUT_REPORTS,
        f"Add rua=mailto:{domain.dmarc_report_address} to the DMARC record, so that receivers report "
        "who sends in the name of this domain",
    )


def _asks_for_no_reports(text: str) -> bool:
    # A text that was cut may have had its `rua` in what is missing.
    match dmarc.parse(text):
        case dmarc.Policy(reports_to=""):
            return not text.endswith(quoting.CUT)
        case _:
            return False


def _high_bounces(domain: Domain) -> Advice | None:
    report = domain.health_report
    if report is None or report.bounce_level not in _HIGH:
        return None
    return Advice(
        AdviceCode.HIGH_BOUNCES,
        "Remove addresses that bounce, stop sending to old or bought lists, and have new addresses "
        "confirmed by their owners: addresses that do not exist are what makes so much mail bounce",
    )


def _high_complaints(domain: Domain) -> Advice | None:
    report = domain.health_report
    if report is None or report.complaint_level not in _HIGH:
        return None
    return Advice(
        AdviceCode.HIGH_COMPLAINTS,
        "Send only what people have asked for, less often, and with an unsubscribe link that is easy to "
        "see: unwanted or too frequent mail that is hard to stop is what people report as spam",
    )


_HIGH = {Health.WARNING, Health.CRITICAL}
_ADVISERS: tuple[Callable[[Domain], Advice | None], ...] = (
    _awaiting_provider,
    _use_a_subdomain,
    _dmarc_without_reports,
    _shared_by_applications,
    _high_bounces,
    _high_complaints,
)
