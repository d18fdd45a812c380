"""A strict reader of the part of HCL that exports use: what it does not know is an error.

After the syntax of https://github.com/hashicorp/hcl/blob/main/hclsyntax/spec.md: blocks
with quoted labels, attributes, comments, numbers, booleans, references, tuples and
quoted templates without interpolation.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""(?P<blank>[ \t]+|\#[^\n]*)|(?P<newline>\n)
      |(?P<string>"(?:[^"\\\n$%]|\\.|[$%](?!\{))*")
      |(?P<number>[0-9]+)
      |(?P<name>[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z_][A-Za-z0-9_-]*)*)
      |(?P<mark>[][{}=,])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r'\\(?:(["\\nrt])|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))', re.DOTALL)
_SHORT = {'"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True)
class Reference:
    """What stands without quotes: `string`, `var.zone`."""

    to: str


Value = str | int | bool | Reference | list[object]


@dataclass
class Block:
    """`kind "label" "label" { ... }`."""

    kind: str
    labels: tuple[str, ...]
    attributes: dict[str, Value] = field(default_factory=dict)


def parse(text: str) -> list[Block]:
    """Return the blocks of a file; no two may have the same kind and labels."""
    tokens = _Tokens(text)
    blocks: list[Block] = []
    while not tokens.at_end():
        block = _block(tokens)
        assert all((block.kind, block.labels) != (other.kind, other.labels) for other in blocks), block
        blocks.append(block)
    return blocks


class _Tokens:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._next = 0

    def at_end(self) -> bool:
        self.skip_newlines()
        return self._next == len(self._tokens)

    def skip_newlines(self) -> None:
        while self._next < len(self._tokens) and self._tokens[self._next][0] == "newline":
            self._next += 1

    def peek(self) -> tuple[str, str]:
        return self._tokens[self._next]

    def take(self, kind: str, text: str | None = None) -> str:
        found = self._tokens[self._next]
        assert found[0] == kind, found
        assert text in {None, found[1]}, found
        self._next += 1
        return found[1]


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        assert found is not None, text[place : place + 40]
        place = found.end()
        assert found.lastgroup is not None
        if found.lastgroup != "blank":
            yield found.lastgroup, found[0]


def _block(tokens: _Tokens) -> Block:
    kind = tokens.take("name")
    labels = []
    while tokens.peek()[0] == "string":
        labels.append(_unquoted(tokens.take("string")))
    block = Block(kind, tuple(labels))
    tokens.take("mark", "{")
    tokens.take("newline")
    while tokens.peek() != ("mark", "}"):
        name = tokens.take("name")
        assert name not in block.attributes, name
        tokens.take("mark", "=")
        block.attributes[name] = _value(tokens)
        tokens.take("newline")
    tokens.take("mark", "}")
    tokens.take("newline")
    return block


def _value(tokens: _Tokens) -> Value:
    match tokens.peek():
        case "string", text:
            tokens.take("string")
            return _unquoted(text)
        case "number", text:
            tokens.take("number")
            return int(text)
        case "name", text:
            tokens.take("name")
            return {"true": True, "false": False}.get(text, Reference(text))
        case _:
            tokens.take("mark", "[")
            values: list[object] = [_value(tokens)]
            while tokens.peek() == ("mark", ","):
                tokens.take("mark", ",")
                values.append(_value(tokens))
            tokens.take("mark", "]")
            return values


def _unquoted(token: str) -> str:
    return _ESCAPE.sub(_unescaped, token[1:-1])


def _unescaped(found: re.Match[str]) -> str:
    assert found[4] is None, found[0]
    return _SHORT[found[1]] if found[1] else chr(int(found[2] or found[3], 16))
