"""What AWS calls the reasons why it refuses (SES v2 API Reference and IAM User Guide, "Common errors")."""

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
