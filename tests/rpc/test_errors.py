"""The one table of errors, and what is sent of them."""

from datetime import timedelta

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from service.core.errors import Reason, ServiceError, Violation, domain_not_found, invalid_fields
from service.rpc import errors

DETAIL_TYPES = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.BadRequest,
    error_details_pb2.PreconditionFailure,
    error_details_pb2.ResourceInfo,
    error_details_pb2.RetryInfo,
)


def _details(error: ServiceError) -> dict[str, object]:
    status = status_pb2.Status.FromString(errors.to_status(error).details)
    found = {}
    for packed in status.details:
        for kind in DETAIL_TYPES:
            detail = kind()
            if packed.Unpack(detail):
                found[kind.DESCRIPTOR.name] = detail
    return found


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_code_and_error_info(reason: Reason) -> None:
    """No reason is left out of the table, and none comes without its name."""
    status = errors.to_status(ServiceError(reason, "what went wrong", metadata={"domain": "a.example"}))
    sent = status_pb2.Status.FromString(status.details)
    assert status.code is not grpc.StatusCode.UNKNOWN
    assert (sent.code, sent.message) == (status.code.value[0], "what went wrong")
    info = _details(ServiceError(reason, "what went wrong", metadata={"domain": "a.example"}))["ErrorInfo"]
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain) == (reason, "domains.kraiter.com")
    assert dict(info.metadata) == {"domain": "a.example"}


@pytest.mark.parametrize(
    ("reason", "details"),
    [
        (Reason.DOMAIN_IN_USE, {"PreconditionFailure"}),
        (Reason.PROVIDER_CONFLICT, {"PreconditionFailure"}),
        (Reason.DOMAIN_NOT_FOUND, {"ResourceInfo"}),
        (Reason.DOMAIN_EXISTS, {"ResourceInfo"}),
        (Reason.RATE_LIMITED, {"RetryInfo"}),
        (Reason.SHUTTING_DOWN, {"RetryInfo"}),
        (Reason.CONCURRENT_CHANGE, {"RetryInfo"}),
        (Reason.DOMAIN_QUOTA, set()),
        (Reason.INTERNAL, set()),
    ],
)
def test_each_code_has_its_details(reason: Reason, details: set[str]) -> None:
    """What a client needs to act comes with the error, and no more."""
    assert set(_details(ServiceError(reason, "message"))) == details | {"ErrorInfo"}


def test_a_missing_domain_is_named() -> None:
    """ResourceInfo says what kind of thing is missing, and which."""
    info = _details(domain_not_found("mail.example.com"))["ResourceInfo"]
    assert isinstance(info, error_details_pb2.ResourceInfo)
    assert (info.resource_type, info.resource_name) == ("kraiter.domains.v1.Domain", "mail.example.com")


def test_an_errors_own_wait_comes_first() -> None:
    """`retry_after` is sent in place of what the table says."""
    error = ServiceError(Reason.RATE_LIMITED, "later", retry_after=timedelta(seconds=42))
    info = _details(error)["RetryInfo"]
    assert isinstance(info, error_details_pb2.RetryInfo)
    assert info.retry_delay.ToTimedelta() == timedelta(seconds=42)


@pytest.mark.parametrize("character", ["a", "é", "\U0001f600", "\x01", "\ud800"])
def test_no_error_is_too_large_to_arrive(character: str) -> None:
    """However much is wrong, the metadata stays within the 8 KiB that clients take."""
    violations = [Violation(f"domains[{index}]", character * 300) for index in range(1000)]
    status = errors.to_status(invalid_fields(violations))
    percent_encoded = 3 * len(status.message.encode())
    base64_encoded = len(status.details) * 4 / 3
    assert percent_encoded + base64_encoded < 8000
