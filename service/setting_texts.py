"""What is said about settings: their variables, what they allow, complaints, the README's table."""

import types
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from service.setting_kinds import Allowed, format_duration, format_rate

PREFIX = "KRAITER_"
"""How the name of every variable begins."""

_LONGEST_SHOWN = 80
_EXAMPLES = "250ms, 10s, 5m, 72h or 7d"


def variable(name: str) -> str:
    """Return the environment variable that a field is read from."""
    return PREFIX + name.upper()


def table(fields: Mapping[str, FieldInfo]) -> str:
    """Return all settings as a Markdown table."""
    rows = ["| Variable | Default | Meaning |", "|---|---|---|"]
    for name, field in fields.items():
        meaning = f"{field.description} Allowed: {allowed(field)}."
        rows.append(f"| `{variable(name)}` | {_default(field)} | {meaning} |")
    return "\n".join(rows)


def complaint(name: str, field: FieldInfo, written: str) -> str:
    """Return the line that says what is wrong with a setting, without its value if that is secret."""
    secret = _kind(field)[0] is SecretStr
    # Escaped and cut: the line must stay one line, whatever was written.
    shown = "(not shown)" if secret else ascii(written)[1:-1][:_LONGEST_SHOWN]
    return f"{variable(name)}={shown}: must be {allowed(field)}"


def written(value: object) -> str:
    """Return a value, not a secret one, as it is written in its variable."""
    match value:
        case bool(flag):
            return str(flag).lower()
        case float(rate):
            return format_rate(rate)
        case timedelta() as duration:
            return format_duration(duration)
        case other:
            return str(other)


def allowed(field: FieldInfo) -> str:
    """Return which values a setting takes, as they follow the words "must be"."""
    kind, metadata = _kind(field)
    marks = {type(mark): mark for mark in metadata}
    if Allowed in marks:
        return str(marks[Allowed].text)
    if get_origin(kind) is Literal:
        *others, last = get_args(kind)
        return f"{', '.join(others)} or {last}" if others else str(last)
    if kind is bool:
        return "true or false"
    if kind is Path:
        return "a path"
    least, most = marks[Ge].ge, marks[Le].le
    if kind is timedelta:
        return f"a duration from {format_duration(least)} to {format_duration(most)}, such as {_EXAMPLES}"
    return f"a whole number from {least} to {most}"


def _kind(field: FieldInfo) -> tuple[Any, list[Any]]:
    """Return a field's plain type, None left out of it, and what is annotated on it."""
    if get_origin(field.annotation) not in (Union, types.UnionType):
        return field.annotation, field.metadata
    inner = next(part for part in get_args(field.annotation) if part is not types.NoneType)
    if get_origin(inner) is Annotated:
        return get_args(inner)[0], list(inner.__metadata__)
    return inner, field.metadata


def _default(field: FieldInfo) -> str:
    match field.default:
        case None | ():
            return ""
        case SecretStr() as secret:
            return f"`{secret.get_secret_value()}`"
        case other:
            return f"`{written(other)}`"
