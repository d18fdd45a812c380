"""Comma-separated values (RFC 4180): for spreadsheets, and for panels that import them."""

import csv
import io

from service.core.answers import RecordType
from service.core.exports.content import Content

COLUMNS = ("name", "type", "value", "priority", "ttl", "purpose", "required")


def render(content: Content) -> str:
    """Return a header and one line for each record; only MX records have a priority.

    No value begins with what a spreadsheet takes for a formula (= + - @): names
    begin with a letter, a digit or an underscore, values with those too.
    """
    text = io.StringIO(newline="")
    # The writer's own ends of lines are those of the RFC: CRLF.
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for record in content.records:
        writer.writerow(
            (
                record.name,
                record.type.value,
                record.value,
                record.priority if record.type is RecordType.MX else "",
                record.ttl,
                record.purpose.value,
                "true" if record.required else "false",
            )
        )
    return text.getvalue()
