"""What AWS calls the reasons why it refuses (SES v2 API Reference and IAM User Guide, "Common errors")."""

from botocore.exceptions import ClientError

THROTTLED = frozenset({"TooManyRequestsException", "ThrottlingException", "Throttling", "RequestThrottled"})
"""Too many requests for now."""
NOT_ALLOWED = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError", "NotAuthorized"})
"""Whoever asks is known, and may not do this."""
NOT_KNOWN = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""Whoever asks is not known: the credentials are wrong, or the clock is."""
_SERVER_ERROR = 500
"""The least HTTP status of an error that is not the caller's."""


def code_of(error: ClientError) -> str:
    """Return the reason of a refusal; empty where AWS gives none."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_trouble_of_aws(error: ClientError) -> bool:
    """Return whether AWS could not answer, whatever it was asked."""
    return bool(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= _SERVER_ERROR)
