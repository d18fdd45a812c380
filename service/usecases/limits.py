"""Checks of request fields that more than one use case has."""

from datetime import timedelta

from service.core import names
from service.core.errors import ServiceError, Violation, invalid_field

PAGE_SIZE = 50
LARGEST_PAGE = 1000
LONGEST_REASON = 500
LONGEST_ID = 128
MOST_FILTERED = 1000
HEARTBEAT = (timedelta(seconds=1), timedelta(seconds=60))


def page_size_problem(size: int) -> list[Violation]:
    """Return what is wrong with a page size; 0 stands for the default."""
    if 0 <= size <= LARGEST_PAGE:
        return []
    return [Violation("page_size", f"must be from 0 to {LARGEST_PAGE}, and is {size}")]


def text_problem(field: str, text: str, longest: int) -> list[Violation]:
    """Return what is wrong with a free text: too long, or with control characters."""
    if len(text) > longest:
        return [Violation(field, f"must have at most {longest} characters, and has {len(text)}")]
    if any(ord(character) < 32 or ord(character) == 127 for character in text):  # noqa: PLR2004 - ASCII control characters
        return [Violation(field, "must not contain control characters")]
    return []


def choice_problems(name: str, *, report_address: str, mail_from_subdomain: str) -> list[Violation]:
    """Return what is wrong with the choices about a domain's records; empty ones stand for defaults."""
    found = {
        "dmarc_report_address": report_address and names.email_problem(report_address),
        "mail_from_subdomain": mail_from_subdomain
        and names.label_path_problem(mail_from_subdomain, below=name),
    }
    return [Violation(field, problem) for field, problem in found.items() if problem]


def revision_ahead(min_revision: int, head: int) -> ServiceError:
    """Return the error of a `min_revision` that was never given to anybody."""
    return invalid_field("min_revision", f"{min_revision} is beyond the tenant's revision {head}")


def min_revision_problem(revision: int) -> list[Violation]:
    """Return what is wrong with a `min_revision`, short of its being ahead."""
    return [] if revision >= 0 else [Violation("min_revision", "must not be negative")]
