"""One check of a situation's domain, driven as the verifier drives it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from service import ports
from service.core import lifecycle, verdict
from service.core.answers import Answers, Question
from service.core.domain import Domain, Status
from service.core.records import Finding
from service.core.verdict import Verdict
from service.verifier import Checks
from tests.corpus.situation import ExpectedRecord, Situation, keyed
from tests.support.clock import HandClock


@dataclass
class _Recorded:
    """A resolver that keeps what it said last to each question."""

    resolver: ports.Resolver
    answers: dict[Question, Answers] = field(default_factory=dict)

    def start(self, look_ups: Sequence[ports.LookUp], done: ports.Done) -> None:
        def hear(complete: Sequence[tuple[int, Sequence[Answers] | Exception]]) -> None:
            for number, found in complete:
                if not isinstance(found, Exception):
                    self.answers |= zip(look_ups[number].questions, found, strict=True)
            done(complete)

        self.resolver.start(look_ups, hear)


@dataclass
class _Provider:
    """A mail provider that has one domain, in one state."""

    ref: ports.IdentityRef
    state: ports.ProviderState

    def states(self, refs: Sequence[ports.IdentityRef]) -> Mapping[ports.IdentityRef, ports.ProviderState]:
        assert list(refs) == [self.ref]
        return {self.ref: self.state}


@dataclass(frozen=True)
class Checked:
    """What a check brought."""

    domain: Domain
    """As it is afterwards."""
    verdict: Verdict
    """On all that was answered."""


def check(
    situation: Situation, resolver: ports.Resolver, *, requested: bool, status: Status = Status.PENDING
) -> Checked:
    """Check the situation's domain, on request by VerifyDomain or in the background."""
    domain = replace(situation.domain, status=status)
    ref = ports.IdentityRef(domain.name, domain.region)
    recorded = _Recorded(resolver)
    checks = Checks(recorded, _Provider(ref, situation.provider), HandClock(), lifecycle.Policy())
    claim = ports.Claim(domain, "lease", held_elsewhere=False)
    (checked,) = checks.run([claim], requested=requested)
    return Checked(checked.move(domain).domain, verdict.judge(domain, recorded.answers))


def differences(situation: Situation, checked: Checked) -> list[str]:
    """Return what is not as expected, to be read by whoever has to mend it."""
    expected, seen = situation.expected, checked.verdict
    different = [
        f"{what}: {found} instead of {wanted}"
        for what, found, wanted in (
            ("outcome", seen.outcome, expected.outcome),
            ("confirmed", seen.confirmed, expected.confirmed),
            ("dns_provider", checked.domain.dns_provider, expected.dns_provider),
        )
        if wanted is not None and found != wanted
    ]
    for key, record in keyed(checked.domain.records).items():
        finding, wanted = record.finding, expected.records[key]
        if not _is_as(wanted, finding):
            different.append(f"{key}: {finding}\n    instead of {wanted}")
    return different


def _is_as(wanted: ExpectedRecord, finding: Finding) -> bool:
    return (
        (finding.state, finding.problem) == (wanted.state, wanted.problem)
        and wanted.hint in {None, finding.hint}
        and all(part in finding.hint for part in wanted.hint_has)
        and wanted.observed in {None, finding.observed}
    )
