"""CheckSending: whether domains may send now."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from service.core import names
from service.core.errors import ServiceError, Violation, invalid_fields
from service.core.keys import Scope
from service.core.sending import SendDecision, decide
from service.sending_memory import Known, SendingMemory
from service.usecases import limits
from service.usecases.caller import Caller

MOST_DOMAINS = 100


@dataclass(frozen=True, slots=True)
class WantedDecisions:
    """A request for decisions, as it came."""

    caller: Caller
    domains: Sequence[str]
    min_revision: int = 0


class Language(Protocol):
    """How questions and answers are serialised."""

    def understood(self, question: bytes) -> tuple[Sequence[str], int]:
        """Return the domains that a question is about, and its `min_revision`."""

    def said(self, decisions: Sequence[SendDecision]) -> bytes:
        """Return decisions as an answer."""


@dataclass(frozen=True, slots=True)
class CheckSending:
    """Decides for domains whether they may send, from memory where that is known to be fresh."""

    memory: SendingMemory

    def from_memory(self, language: Language, question: bytes, caller: Caller) -> bytes | None:
        """Return the answer to a question, both serialised; None where the database has to be asked.

        It never blocks. Senders ask the same again and again: answers are remembered, too.

        Raises:
            ServiceError: INVALID_DOMAIN, INVALID_FIELD, MISSING_SCOPE, and what `language` raises.

        """
        # A limited key may not be told what another was.
        asked = "" if caller.domains is None else caller.key_id, question
        if (answer := self.memory.answer(caller.tenant, asked)) is not None:
            return answer
        domains, min_revision = language.understood(question)
        wanted = _names(caller, domains, min_revision)
        known = self.memory.recall(caller.tenant, wanted, min_revision)
        if known is None:
            return None
        answer = language.said(_decisions(wanted, known))
        self.memory.keep(caller.tenant, asked, answer, known)
        return answer

    def __call__(self, asked: Sequence[WantedDecisions]) -> Sequence[Sequence[SendDecision] | ServiceError]:
        """Return the decisions on what each caller asks, in order, or why it gets none.

        All that is asked together is read in one query for each tenant.

        Raises:
            ServiceError: what the store raises.

        """
        wanted = [_names_or_error(each) for each in asked]
        together: dict[str, set[str]] = {}
        for each, some in zip(asked, wanted, strict=True):
            if not isinstance(some, ServiceError):
                together.setdefault(each.caller.tenant, set()).update(some)
        known = {tenant: self.memory.read(tenant, some) for tenant, some in together.items()}
        return [
            some if isinstance(some, ServiceError) else _answer(each, some, known[each.caller.tenant])
            for each, some in zip(asked, wanted, strict=True)
        ]


def _answer(
    asked: WantedDecisions, wanted: Sequence[str], known: Known
) -> Sequence[SendDecision] | ServiceError:
    if asked.min_revision > known.revision:
        return limits.revision_ahead(asked.min_revision, known.revision)
    return _decisions(wanted, known)


def _decisions(wanted: Sequence[str], known: Known) -> list[SendDecision]:
    return [
        SendDecision(name, decide(known.standings[name], known.policy), known.revision) for name in wanted
    ]


def _names_or_error(asked: WantedDecisions) -> Sequence[str] | ServiceError:
    try:
        return _names(asked.caller, asked.domains, asked.min_revision)
    except ServiceError as error:
        return error


def _names(caller: Caller, domains: Sequence[str], min_revision: int) -> list[str]:
    if len(domains) > MOST_DOMAINS:
        raise invalid_fields(
            [Violation("domains", f"must be at most {MOST_DOMAINS}, and are {len(domains)}")]
        )
    if wrong := limits.min_revision_problem(min_revision):
        raise invalid_fields(wrong)
    found = [names.parse(text, f"domains[{index}]") for index, text in enumerate(domains)]
    if caller.domains is not None:
        for name in found:
            caller.require_domain(name, Scope.SENDING_READ)
    return found
