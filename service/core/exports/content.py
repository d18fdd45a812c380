"""What every format renders."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.core import names, quoting
from service.core.records import Record

_LONGEST_LINE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The records of one domain that go into a file."""

    domain: str
    records: tuple[Record, ...]
    """No two with the same `content`."""
    met_otherwise: tuple[Record, ...]
    """Those that are left out, since a record of the owner's own does their work."""

    def header(self, introducer: str, *lines: str) -> str:
        """Return the comment that a file begins with, each line after `introducer`.

        Whatever is in a name, it stays a comment: control characters are escaped.
        """
        left_out = (
            f"Left out, since a record that stands there already does its work: {record.type} {record.name}"
            for record in self.met_otherwise
        )
        zone = names.organisational(self.domain)
        said = (f"DNS records of {self.domain}. They mostly belong in the zone {zone}.", *lines, *left_out)
        return "".join(f"{introducer} {quoting.escaped(line, _LONGEST_LINE)}\n" for line in said)


def character_strings(text: str) -> Sequence[bytes]:
    """Return a TXT value as the strings that it is made of, of at most 255 octets each.

    RFC 1035, section 3.3.14. Readers join them without a space.
    """
    octets = text.encode()
    return [octets[start : start + 255] for start in range(0, len(octets), 255)] or [b""]
