"""The corpus itself: it leaves nothing out, and nothing in it is idle."""

from collections import Counter

from service.core.records import Problem, RecordState
from service.core.verdict import Outcome
from tests.corpus.internet import SOUND, Internet, addresses
from tests.corpus.situation import FOLDER, Fault, Recursion, common_zones, every_situation

CORPUS = every_situation()
EXPECTED = [record for situation in CORPUS for record in situation.expected.records.values()]


def test_is_large_enough() -> None:
    """Sixty situations at least, each from a file of its own, and no file without one."""
    assert len(CORPUS) >= 60
    assert {f"{situation.name}.toml" for situation in CORPUS} == {file.name for file in FOLDER.iterdir()}


def test_has_every_problem() -> None:
    """Each code, the unknown outcomes among them, is said of some record."""
    assert {record.problem for record in EXPECTED if record.problem} == {*Problem}


def test_has_every_state() -> None:
    """All but PENDING, which is what a record is before any check."""
    assert {record.state for record in EXPECTED} == {*RecordState} - {RecordState.PENDING}


def test_has_every_verdict() -> None:
    """What is found or missing is confirmed and unconfirmed; what is open is never confirmed."""
    verdicts = {(situation.expected.outcome, situation.expected.confirmed) for situation in CORPUS}
    assert verdicts == {
        (Outcome.PASSED, True),
        (Outcome.PASSED, False),
        (Outcome.FAILED, True),
        (Outcome.FAILED, False),
        (Outcome.UNDECIDED, False),
    }


def test_has_every_fault() -> None:
    """Each way in which a name server or a resolver can fail occurs."""
    zones = [zone for situation in CORPUS for zone in situation.zones]
    assert {fault for zone in zones for fault in zone.faults.values()} == {*Fault}
    assert {zone.resolver for zone in zones} == {*Recursion}


def test_situations_are_apart() -> None:
    """No two have a zone or a sentence in common, so that all can be served at once."""
    zones = [zone.name for situation in CORPUS for zone in situation.zones]
    shared = [zone.name for zone in common_zones()]
    sentences = [situation.teaches for situation in CORPUS]
    for each in (zones + shared, sentences, [situation.domain.name for situation in CORPUS]):
        assert [text for text, count in Counter(each).items() if count > 1] == []


def test_zones_can_be_served() -> None:
    """One program has one text of a zone, and a name server one address, whatever zones it has."""
    programs = {address: number % 2 for number, address in enumerate(SOUND)}
    for situation in CORPUS:
        internet = Internet(situation)
        texts: dict[tuple[str, object], str] = {}
        for zone in situation.zones:
            for host, address in addresses(zone):
                assert internet.address_of(host) == address, (situation.name, host)
                served = (zone.name, programs.get(address, address))
                assert texts.setdefault(served, zone.texts[host]) == zone.texts[host], (situation.name, host)


def test_each_situation_says_what_it_teaches() -> None:
    """In one sentence."""
    for situation in CORPUS:
        assert situation.teaches.endswith("."), situation.name
        assert len(situation.teaches) <= 160, situation.name
