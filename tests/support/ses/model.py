"""Amazon SES v2 as botocore's service model tells it: where an operation is called, and what fits it."""

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import botocore.session
from botocore.model import OperationModel, ServiceModel, Shape

Check = Callable[[Any, str], None]
"""Raises `MisfitError` for a value, naming it by the path it stands at."""

_LEFT_OUT = {"MailFromAttributes": {"MailFromDomain", "MailFromDomainStatus"}}
"""What the model requires, and the service leaves out for identities without a MAIL FROM domain."""
_COMMON_STATUSES = {
    "AccessDeniedException": 403,
    "InternalServerError": 500,
    "MissingAuthenticationTokenException": 403,
    "ServiceUnavailable": 503,
    "UnrecognizedClientException": 403,
}
"""The errors that the model does not tell of, since every service of AWS has them."""


class MisfitError(Exception):
    """A value does not fit its shape."""


class SesError(Exception):
    """An error that the service answers."""

    def __init__(self, code: str, message: str) -> None:
        """Take the error's name and what it tells."""
        super().__init__(message)
        self.code = code


class Operation:
    """An operation: its place, and the checks of what goes in and comes out."""

    def __init__(self, model: OperationModel) -> None:
        """Make the checks once, so that they are cheap."""
        self.name: str = model.name
        self._method = model.http["method"]
        place = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(model.http["requestUri"]))
        self._place = re.compile(place)
        self._in_query = {
            member.serialization["name"]: name
            for name, member in model.input_shape.members.items()
            if member.serialization.get("location") == "querystring"
        }
        self._check_input = _structure(model.input_shape)
        self._check_output = _structure(model.output_shape)

    def named(self, method: str, target: str) -> dict[str, str] | None:
        """Return the members that a request line carries, None where it is another operation's."""
        url = urlsplit(target)
        found = self._place.fullmatch(url.path)
        if found is None or method != self._method:
            return None
        asked = {self._in_query.get(key, key): value for key, value in parse_qsl(url.query)}
        return asked | {name: unquote(value) for name, value in found.groupdict().items()}

    def check_input(self, request: Mapping[str, Any]) -> None:
        """Raise `MisfitError` for a request that is not one of this operation."""
        self._check_input(request, "")

    def check_output(self, response: object) -> None:
        """Raise `MisfitError` for what this operation never answers."""
        self._check_output(response, "")


def read_body(body: bytes) -> dict[str, Any]:
    """Return the members that a request's body carries.

    Raises:
        MisfitError: for anything but a JSON object, or nothing.

    """
    try:
        members = json.loads(body or b"{}")
    except ValueError as error:
        raise MisfitError("the body is no JSON") from error
    if not isinstance(members, dict):
        raise MisfitError("the body is no structure")
    return members


def operation(name: str) -> Operation:
    """Return an operation of the service by its name."""
    return Operation(_service().operation_model(name))


@lru_cache(1)
def statuses() -> Mapping[str, int]:
    """Return the HTTP status of every error."""
    own = {
        shape.name: shape.metadata["error"]["httpStatusCode"]
        for shape in _service().error_shapes
        if "error" in shape.metadata
    }
    return own | _COMMON_STATUSES


@lru_cache(1)
def _service() -> ServiceModel:
    return botocore.session.Session().get_service_model("sesv2")


def _check(shape: Shape) -> Check:
    return _CHECKS[shape.type_name](shape)


def _structure(shape: Shape) -> Check:
    members = {
        member.serialization.get("name", name): _check(member) for name, member in shape.members.items()
    }
    required = set(shape.required_members) - _LEFT_OUT.get(shape.name, set())

    def check(value: Any, path: str) -> None:
        _require_type(value, dict, path)
        if missing := required - value.keys():
            raise MisfitError(f"{path}: without {', '.join(sorted(missing))}")
        for name, member in value.items():
            if name not in members:
                raise MisfitError(f"{path}.{name}: no such member")
            members[name](member, f"{path}.{name}")

    return check


def _list(shape: Shape) -> Check:
    check_item, check_length = _check(shape.member), _length(shape)

    def check(value: Any, path: str) -> None:
        _require_type(value, list, path)
        check_length(value, path)
        for item in value:
            check_item(item, f"{path}[]")

    return check


def _map(shape: Shape) -> Check:
    check_key, check_value = _check(shape.key), _check(shape.value)

    def check(value: Any, path: str) -> None:
        _require_type(value, dict, path)
        for key, each in value.items():
            check_key(key, f"{path} key")
            check_value(each, f"{path}.{key}")

    return check


def _string(shape: Shape) -> Check:
    allowed, check_length = frozenset(shape.enum), _length(shape)
    pattern = re.compile(shape.metadata.get("pattern", ""))

    def check(value: Any, path: str) -> None:
        _require_type(value, str, path)
        check_length(value, path)
        if (allowed and value not in allowed) or not pattern.search(value):
            raise MisfitError(f"{path}: {value!r} is none of its values")

    return check


def _length(shape: Shape) -> Check:
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max", float("inf"))

    def check(value: Any, path: str) -> None:
        if not least <= len(value) <= most:
            raise MisfitError(f"{path}: of length {len(value)}")

    return check


def _of_type(*types: type) -> Callable[[Shape], Check]:
    def make(_: Shape) -> Check:
        def check(value: Any, path: str) -> None:
            if type(value) not in types:
                raise MisfitError(f"{path}: {value!r} is of the wrong type")

        return check

    return make


def _require_type(value: object, expected: type, path: str) -> None:
    if not isinstance(value, expected):
        raise MisfitError(f"{path}: {value!r} is of the wrong type")


_CHECKS: Mapping[str, Callable[[Shape], Check]] = {
    "structure": _structure,
    "list": _list,
    "map": _map,
    "string": _string,
    "boolean": _of_type(bool),
    "integer": _of_type(int),
    "long": _of_type(int),
    "double": _of_type(int, float),
    "timestamp": _of_type(int, float),
}
