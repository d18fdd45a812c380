"""A resolver without a network: what the port promises, of the zones of a situation.

It stands for an adapter without faults of its own. Where the end-to-end run
differs from it, either is wrong.
"""

from collections.abc import Mapping, Sequence
from typing import assert_never

from service import ports
from service.core.answers import Answer, Answers, Outcome, Question, RecordType
from tests.corpus.internet import Internet
from tests.corpus.situation import Fault, Recursion, ZoneFile
from tests.support import authority
from tests.support.dns_zone import NOERROR, NXDOMAIN, SERVFAIL, Lookup

RESOLVER = "127.0.0.1"
_MAX_HOPS = 8
_DATAGRAM = 1232
_LONGEST_NAME = 253
_NAMES = {RecordType.CNAME, RecordType.NS, RecordType.MX}

_BOGUS = {Recursion.BOGUS, Recursion.SIGNATURE_EXPIRED}
_FAULTS: Mapping[Fault, Outcome] = {
    Fault.SILENT: Outcome.TIMEOUT,
    Fault.TOO_SLOW: Outcome.TIMEOUT,
    Fault.SERVFAIL: Outcome.SERVER_FAILURE,
    Fault.REFUSED: Outcome.REFUSED,
    Fault.NOTAUTH: Outcome.LAME_DELEGATION,
    Fault.NOT_AUTHORITATIVE: Outcome.LAME_DELEGATION,
    Fault.REFERS_UP: Outcome.LAME_DELEGATION,
    Fault.MALFORMED: Outcome.SERVER_FAILURE,
}


class FakeResolver:
    """Answers questions about the zones of a situation."""

    def __init__(self, internet: Internet, *, first: int = 0) -> None:
        """Take the zones; a sample asks the server with the number `first`, then the next ones."""
        self._internet = internet
        self._served = internet.served
        self._recursive = authority.Internet([internet.known])
        self._first = first

    def start(self, look_ups: Sequence[ports.LookUp], done: ports.Done) -> None:
        """Answer all look-ups, at once."""
        done([(number, self._answer_all(look_up)) for number, look_up in enumerate(look_ups)])

    def _answer_all(self, look_up: ports.LookUp) -> Sequence[Answers]:
        if len(set(look_up.questions)) != len(look_up.questions):
            raise AssertionError(f"something is asked for twice: {look_up}")
        if impossible := [each for each in look_up.questions if len(each.name) > _LONGEST_NAME]:
            raise AssertionError(f"no such name can exist: {impossible}")
        return [self._answers(question, every_server=look_up.every_server) for question in look_up.questions]

    def _answers(self, question: Question, *, every_server: bool, hops: int = _MAX_HOPS) -> Answers:
        zone = self._internet.zone_of(question.name)
        if self._internet.recursion(zone.name, "SOA") in _BOGUS or self._is_lost(zone):
            return Answers(question, (self._recursion(question),))
        start = self._first % len(zone.servers)
        hosts = (*zone.servers[start:], *zone.servers[:start])
        heard = [self._ask(question, zone, host, hops) for host in hosts]
        if not any(answer.outcome.is_definite for answer in heard):
            told = self._recursion(question)
            if told.outcome.is_definite:
                return Answers(question, (told._replace(zone=zone.name),), len(zone.servers))
        if not every_server:
            heard = [next((answer for answer in heard if answer.outcome.is_definite), heard[0])]
        return Answers(question, tuple(heard), len(zone.servers))

    def _is_lost(self, zone: ZoneFile) -> bool:
        """Whether the resolver tells the way neither to a zone nor to the registry above it."""
        above = (zone.name, zone.name.partition(".")[2])
        return all(self._internet.recursion(name, "SOA") is not Recursion.ANSWERS for name in above)

    def _ask(self, question: Question, zone: ZoneFile, host: str, hops: int) -> Answer:
        address = self._internet.address_of(host)
        if not address:
            return Answer(question, Outcome.TIMEOUT, server=host, zone=zone.name)
        server = f"{host} ({address})"
        found = self._served[address].look_up(question.name, question.type)
        if outcome := _failure(zone.faults.get(host), found):
            return Answer(question, outcome, server=server, zone=zone.name)
        told = self._read(question, found, hops)
        if told.alias:
            told = told._replace(server="", alias=found.answer[0].value)
        if told.server and not told.outcome.is_definite:
            # Whoever could not tell is to be named: another, where an alias leads elsewhere.
            return told._replace(question=question)
        return told._replace(question=question, server=server, zone=zone.name)

    def _read(self, question: Question, found: Lookup, hops: int) -> Answer:
        if not found.authoritative:
            raise AssertionError(f"nobody refers further down: {question}, {found}")
        if found.rcode == SERVFAIL:
            alias = found.answer[0].value if found.answer else ""
            return Answer(question, Outcome.SERVER_FAILURE, alias=alias)
        if hops == 0:
            return Answer(question, Outcome.SERVER_FAILURE, alias=question.name)
        values = [record.value for record in found.answer if record.type == question.type]
        if values:
            promised = sorted(_as_promised(value, question.type) for value in values)
            return Answer(question, Outcome.FOUND, tuple(promised), authoritative=True)
        if found.answer and not found.authority:
            # The server has no more to say than where the alias leads.
            target = Question(found.answer[-1].value, question.type)
            return self._answers(target, every_server=False, hops=hops - 1).by_server[0]
        absent = {NOERROR: Outcome.NODATA, NXDOMAIN: Outcome.NXDOMAIN}[found.rcode]
        return Answer(question, absent, authoritative=True)

    def _recursion(self, question: Question) -> Answer:
        match self._internet.recursion(question.name, question.type):
            case Recursion.ANSWERS:
                found = self._recursive.look_up(question.name, question.type)
                return self._read(question, found, _MAX_HOPS)._replace(server=RESOLVER, authoritative=False)
            case Recursion.SILENT:
                return Answer(question, Outcome.TIMEOUT)
            case Recursion.SERVFAIL | Recursion.UNREACHABLE | Recursion.KNOWS_THE_WAY:
                return Answer(question, Outcome.SERVER_FAILURE, server=RESOLVER)
            case Recursion.BOGUS | Recursion.SIGNATURE_EXPIRED:
                return Answer(question, Outcome.DNSSEC_BOGUS, server=RESOLVER)
            case other:
                assert_never(other)


def _failure(fault: Fault | None, found: Lookup) -> Outcome | None:
    match fault:
        case None | Fault.SLOW | Fault.NO_EDNS:
            return None
        case Fault.NO_TCP:
            size = sum(len(record.value) for record in found.answer)
            return Outcome.TIMEOUT if size > _DATAGRAM else None
        case _:
            return _FAULTS[fault]


def _as_promised(value: str, rdtype: RecordType) -> str:
    if rdtype in _NAMES:
        return value.lower()
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
