"""A DNS zone held in memory, and what its server has to say to a question.

Names are lower-case texts without trailing dot, values in the form that
`service.core.answers.Answer` documents. Knows delegations, aliases, wildcards
and empty non-terminals (RFC 1034 section 4.3.2, RFC 4592, RFC 8020), and
aliases of whole trees (RFC 6672).
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

NOERROR = 0
SERVFAIL = 2
NXDOMAIN = 3
REFUSED = 5

_MAX_HOPS = 10


@dataclass(frozen=True)
class Record:
    """One resource record as text."""

    owner: str
    type: str
    value: str


@dataclass
class Lookup:
    """The sections of an answer."""

    rcode: int = NOERROR
    authoritative: bool = True
    answer: list[Record] = field(default_factory=list)
    authority: list[Record] = field(default_factory=list)
    additional: list[Record] = field(default_factory=list)


class Zone:
    """A zone's records, by name and type."""

    def __init__(self, name: str) -> None:
        """Make a zone with nothing but its SOA record."""
        self.name = name
        self._sets: dict[str, dict[str, tuple[str, ...]]] = {}
        self._lock = threading.RLock()
        """Tests write from their own thread."""
        self.put(name, "SOA", f"{_below('ns1', name)} {_below('hostmaster', name)} 1 3600 600 86400 60")

    def put(self, name: str, rdtype: str, *values: str) -> None:
        """Make `values` all that stands at a name for a type."""
        with self._lock:
            self._sets.setdefault(name.lower(), {})[rdtype] = values

    def remove(self, name: str, rdtype: str | None = None) -> None:
        """Take away the records of a type, or all of them; absent ones are fine."""
        with self._lock:
            sets = self._sets.pop(name.lower(), {})
            kept = {kind: values for kind, values in sets.items() if rdtype not in {None, kind}}
            if kept:
                self._sets[name.lower()] = kept

    def contains(self, name: str) -> bool:
        """Whether a name is the zone's apex or below it."""
        return not self.name or name == self.name or name.endswith("." + self.name)

    def look_up(self, name: str, rdtype: str) -> Lookup:
        """Answer a question about a name that the zone contains."""
        with self._lock:
            return self._look_up(name, rdtype)

    def _look_up(self, name: str, rdtype: str) -> Lookup:
        answer: list[Record] = []
        for _ in range(_MAX_HOPS):
            if cut := self._cut_above(name):
                return self._referral(cut, answer)
            answer += self._dname_above(name)
            at_name = self._records_at(name)
            if at_name is None:
                return Lookup(NXDOMAIN, answer=answer, authority=self._soa())
            if rdtype in at_name:
                answer += [Record(name, rdtype, value) for value in at_name[rdtype]]
                return Lookup(answer=answer)
            if "CNAME" not in at_name:
                return Lookup(answer=answer, authority=self._soa())
            target = at_name["CNAME"][0].lower()
            answer.append(Record(name, "CNAME", target))
            if not self.contains(target):
                return Lookup(answer=answer)
            name = target
        return Lookup(SERVFAIL, answer=answer)

    def _records_at(self, name: str) -> dict[str, tuple[str, ...]] | None:
        """Return the sets at a name, its wildcard's if need be; None where it does not exist."""
        for dname in self._dname_above(name):
            return {"CNAME": (f"{name.removesuffix(dname.owner)}{dname.value}",)}
        if name in self._sets:
            return self._sets[name]
        if self._has_descendants(name):
            return {}
        for ancestor in ancestors(name):
            if f"*.{ancestor}" in self._sets:
                return self._sets[f"*.{ancestor}"]
            if ancestor in self._sets or self._has_descendants(ancestor):
                break
        return None

    def _dname_above(self, name: str) -> list[Record]:
        """Return the record that makes an alias of everything below its owner, if there is one."""
        return [
            Record(ancestor, "DNAME", target)
            for ancestor in ancestors(name)
            for target in self._sets.get(ancestor, {}).get("DNAME", ())
        ]

    def _has_descendants(self, name: str) -> bool:
        return any(known.endswith("." + name) for known in self._sets)

    def _cut_above(self, name: str) -> str | None:
        return next(
            (
                candidate
                for candidate in (name, *ancestors(name))
                if candidate != self.name
                and self.contains(candidate)
                and "NS" in self._sets.get(candidate, {})
            ),
            None,
        )

    def _referral(self, cut: str, answer: list[Record]) -> Lookup:
        nameservers = self._sets[cut]["NS"]
        glue = [
            Record(server, rdtype, address)
            for server in nameservers
            for rdtype in ("A", "AAAA")
            for address in self._sets.get(server, {}).get(rdtype, ())
        ]
        authority = [Record(cut, "NS", server) for server in nameservers]
        return Lookup(authoritative=bool(answer), answer=answer, authority=authority, additional=glue)

    def _soa(self) -> list[Record]:
        return [Record(self.name, "SOA", value) for value in self._sets[self.name]["SOA"]]


def ancestors(name: str) -> Iterator[str]:
    """Yield the names above a name, the closest first, the root left out."""
    while name := name.partition(".")[2]:
        yield name


def _below(label: str, name: str) -> str:
    return f"{label}.{name}" if name else label
