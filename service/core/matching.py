"""Whether what stands in DNS is what a record asks for."""

from collections.abc import Sequence
from typing import assert_never

from service.core import dmarc, spf
from service.core.answers import RecordType
from service.core.records import Purpose, Record

_AROUND = " \t\\\"'`\u201c\u201d\u201e\u2018\u2019"
"""Blanks and quotation marks, typographic ones too, and what escapes them."""


def as_published(record: Record) -> str:
    """Return a record's value as an answer has it."""
    return f"{record.priority} {record.value}" if record.type is RecordType.MX else record.value


def relevant(record: Record, values: Sequence[str]) -> tuple[str, ...]:
    """Return those of the values at a record's name that concern it, in order.

    Name servers rotate their records: the order they came in says nothing.
    """
    if len(values) == 1 and values[0] == as_published(record):
        return (values[0],)  # as nearly always
    match record.purpose:
        case Purpose.SPF if record.type is RecordType.TXT:
            concerned = [value for value in values if _is_spf(bare(value))]
        case Purpose.DMARC:
            concerned = [value for value in values if dmarc.resembles(value)]
        case Purpose.DKIM | Purpose.SPF | Purpose.OWNERSHIP:
            concerned = list(values)
        case _:
            assert_never(record.purpose)
    return tuple(sorted(concerned))


def satisfies(record: Record, values: Sequence[str]) -> bool:
    """Whether the values at a name are what a record asks for."""
    if len(values) == 1 and values[0] == as_published(record):
        return True  # as nearly always
    match record.purpose:
        case Purpose.DKIM:
            return {_host(value) for value in values} == {_host(record.value)}
        case Purpose.SPF if record.type is RecordType.MX:
            return {exchanger(value) for value in values} == {exchanger(as_published(record))}
        case Purpose.SPF:
            return _is_spf_met(record, spf.records_in(values))
        case Purpose.DMARC:
            # Any policy will do: an owner's stricter one is never to be replaced.
            return [type(dmarc.parse(found)) for found in dmarc.records_in(values)] == [dmarc.Policy]
        case Purpose.OWNERSHIP:
            return record.value in values
        case _:
            assert_never(record.purpose)


def exchanger(value: str) -> tuple[str, str]:
    """Return preference and host of an MX value `PREFERENCE EXCHANGER`."""
    preference, _, host = value.partition(" ")
    return preference, _host(host)


def unquoted(record: Record, value: str) -> str:
    """Return a value at a record's name without what people paste around it."""
    if record.type is not RecordType.MX:
        return bare(value)
    preference, _, host = value.partition(" ")
    return f"{preference} {bare(host)}"


def bare(value: str) -> str:
    """Return a value without what people paste around it: quotes, a URL's ends."""
    return value.strip(_AROUND).removeprefix("https://").removeprefix("http://").rstrip("/")


def _is_spf(text: str) -> bool:
    return spf.is_record(text) or spf.resembles(text)


def _is_spf_met(record: Record, found: Sequence[str]) -> bool:
    match found:
        case [single]:
            return spf.invalid_term(single) is None and spf.included(record.value) <= spf.included(single)
        case _:
            return False


def _host(text: str) -> str:
    return text.removesuffix(".").lower()
