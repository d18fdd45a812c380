"""What the operations do to a region, and answer. Requests have the shape that the model asks for."""

import re
from base64 import b64decode, b64encode
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from tests.support.ses.model import SesError
from tests.support.ses.state import Identity, MailFrom, Region

Request = Mapping[str, Any]
Response = dict[str, Any]

_DOMAIN = re.compile(r"(?=.{1,253}$)(?:(?!-)[a-z0-9-]{1,63}(?<!-)\.)+(?!-)(?!\d+$)[a-z0-9-]{2,63}(?<!-)")
_LARGEST_PAGE = 1000
_USUAL_PAGE = 100


def create(region: Region, request: Request) -> Response:
    """CreateEmailIdentity."""
    name = _name_in(request)
    _, _, domain = name.rpartition("@")
    if not _DOMAIN.fullmatch(domain) or name.startswith("@"):
        raise SesError("BadRequestException", f"Invalid email identity <{name}>.")
    if name in region.identities:
        raise SesError("AlreadyExistsException", f"Email identity {name} already exist.")
    configuration_set = request.get("ConfigurationSetName")
    if configuration_set is not None and configuration_set not in region.configuration_sets:
        raise SesError("NotFoundException", f"Configuration set <{configuration_set}> does not exist.")
    if len(region.identities) >= region.limit:
        raise SesError("LimitExceededException", f"No more than {region.limit} identities.")
    identity = replace(
        region.make(name),
        configuration_set=configuration_set,
        tags={tag["Key"]: tag["Value"] for tag in request.get("Tags", [])},
    )
    if "DkimSigningAttributes" in request:
        identity = _external(identity, request["DkimSigningAttributes"])
    region.identities[name] = identity
    return {
        "IdentityType": identity.type,
        "VerifiedForSendingStatus": identity.verified,
        "DkimAttributes": _dkim(identity),
    }


def get(region: Region, request: Request) -> Response:
    """GetEmailIdentity."""
    identity = _identity(region, request)
    response: Response = {
        "IdentityType": identity.type,
        "FeedbackForwardingStatus": True,
        "VerifiedForSendingStatus": identity.verified,
        "DkimAttributes": _dkim(identity),
        "MailFromAttributes": {"BehaviorOnMxFailure": "USE_DEFAULT_VALUE"},
        "Policies": {},
        "Tags": _tags(identity),
        "VerificationStatus": identity.status,
        "VerificationInfo": {},
    }
    if identity.mail_from is not None:
        response["MailFromAttributes"] = {
            "MailFromDomain": identity.mail_from.domain,
            "MailFromDomainStatus": identity.mail_from.status,
            "BehaviorOnMxFailure": identity.mail_from.behavior,
        }
    if identity.error is not None:
        response["VerificationInfo"] = {"ErrorType": identity.error}
    if identity.configuration_set is not None:
        response["ConfigurationSetName"] = identity.configuration_set
    return response


def list_page(region: Region, request: Request) -> Response:
    """ListEmailIdentities, without its filters."""
    if "Filter" in request:
        raise NotImplementedError("filters of ListEmailIdentities")
    size = request.get("PageSize", 0)
    if not 0 <= size <= _LARGEST_PAGE:
        raise SesError("BadRequestException", f"PageSize {size} is not from 0 to {_LARGEST_PAGE}.")
    size = size or _USUAL_PAGE
    names = sorted(region.identities)
    start = bisect_right(names, _last_of(request["NextToken"])) if "NextToken" in request else 0
    page = list(islice(names, start, start + size))
    response: Response = {"EmailIdentities": [_listed(region.identities[name]) for name in page]}
    if start + size < len(names):
        response["NextToken"] = b64encode(page[-1].encode()).decode()
    return response


def delete(region: Region, request: Request) -> Response:
    """DeleteEmailIdentity."""
    del region.identities[_identity(region, request).name]
    return {}


def put_mail_from(region: Region, request: Request) -> Response:
    """PutEmailIdentityMailFromAttributes: take the domain away where none is told."""
    identity = _identity(region, request)
    mail_from = None
    if "MailFromDomain" in request:
        domain = request["MailFromDomain"].lower()
        _, _, parent = identity.name.rpartition("@")
        if not _DOMAIN.fullmatch(domain) or not domain.endswith(f".{parent}"):
            raise SesError(
                "BadRequestException", f"MAIL FROM domain <{domain}> is no subdomain of <{parent}>."
            )
        mail_from = MailFrom(domain, request.get("BehaviorOnMxFailure", "USE_DEFAULT_VALUE"))
    region.identities[identity.name] = replace(identity, mail_from=mail_from)
    return {}


def put_dkim(region: Region, request: Request) -> Response:
    """PutEmailIdentityDkimSigningAttributes: verify again if that failed, or with other keys."""
    identity, origin = _identity(region, request), request["SigningAttributesOrigin"]
    if identity.type != "DOMAIN":
        raise SesError("BadRequestException", f"<{identity.name}> is no domain.")
    if origin == "EXTERNAL":
        identity = _external(identity, request.get("SigningAttributes", {}))
    elif origin != "AWS_SES":
        raise NotImplementedError(f"DKIM of origin {origin}")
    elif identity.origin != origin or identity.status == "FAILED" or not identity.tokens:
        fresh = region.make(identity.name)
        identity = replace(
            identity,
            origin=origin,
            tokens=fresh.tokens,
            zone=fresh.zone,
            status="PENDING",
            verified=False,
            error=None,
        )
    region.identities[identity.name] = identity
    dkim = _dkim(identity)
    response = {"DkimStatus": dkim["Status"], "DkimTokens": dkim["Tokens"]}
    return response if identity.zone is None else {**response, "SigningHostedZone": identity.zone}


def get_account(region: Region, _: Request) -> Response:
    """GetAccount: out of the sandbox, and in good health, if not told otherwise."""
    return {
        "DedicatedIpAutoWarmupEnabled": False,
        "EnforcementStatus": "HEALTHY",
        "ProductionAccessEnabled": True,
        "SendQuota": {"Max24HourSend": 50_000.0, "MaxSendRate": 14.0, "SentLast24Hours": 0.0},
        "SendingEnabled": True,
        **region.account,
    }


def tag(region: Region, request: Request) -> Response:
    """TagResource."""
    identity = _resource(region, request)
    tags = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    region.identities[identity.name] = replace(identity, tags={**identity.tags, **tags})
    return {}


def list_tags(region: Region, request: Request) -> Response:
    """ListTagsForResource."""
    return {"Tags": _tags(_resource(region, request))}


OPERATIONS: Mapping[str, Callable[[Region, Request], Response]] = {
    "CreateEmailIdentity": create,
    "GetEmailIdentity": get,
    "ListEmailIdentities": list_page,
    "DeleteEmailIdentity": delete,
    "PutEmailIdentityMailFromAttributes": put_mail_from,
    "PutEmailIdentityDkimSigningAttributes": put_dkim,
    "GetAccount": get_account,
    "TagResource": tag,
    "ListTagsForResource": list_tags,
}


def _name_in(request: Request) -> str:
    """Domains are told apart without regard to case, the local parts of addresses with."""
    local, at, domain = request["EmailIdentity"].rpartition("@")
    return f"{local}{at}{domain.lower()}"


def _identity(region: Region, request: Request) -> Identity:
    return _existing(region, _name_in(request))


def _resource(region: Region, request: Request) -> Identity:
    prefix, _, name = request["ResourceArn"].partition(":identity/")
    if not prefix.startswith(f"arn:aws:ses:{region.name}:") or not name:
        raise SesError("BadRequestException", "ResourceArn is no identity of this region.")
    return _existing(region, name)


def _existing(region: Region, name: str) -> Identity:
    if name not in region.identities:
        raise SesError("NotFoundException", f"Email identity {name} does not exist.")
    return region.identities[name]


def _external(identity: Identity, attributes: Request) -> Identity:
    """Return the identity with a key of the caller's, which is not kept."""
    if (
        identity.type != "DOMAIN"
        or not {"DomainSigningSelector", "DomainSigningPrivateKey"} <= attributes.keys()
    ):
        raise SesError("BadRequestException", "A domain, a selector and a private key are needed.")
    return replace(
        identity,
        origin="EXTERNAL",
        tokens=(attributes["DomainSigningSelector"],),
        zone=None,
        status="PENDING",
        verified=False,
        error=None,
    )


def _dkim(identity: Identity) -> Response:
    if identity.type == "EMAIL_ADDRESS":
        return {"SigningEnabled": False, "Status": "NOT_STARTED", "SigningAttributesOrigin": identity.origin}
    dkim: Response = {
        "SigningEnabled": True,
        "Status": identity.status,
        "Tokens": list(identity.tokens),
        "SigningAttributesOrigin": identity.origin,
    }
    if identity.zone is not None:
        dkim["SigningHostedZone"] = identity.zone
    return dkim


def _listed(identity: Identity) -> Response:
    return {
        "IdentityType": identity.type,
        "IdentityName": identity.name,
        "SendingEnabled": identity.verified,
        "VerificationStatus": identity.status,
    }


def _tags(identity: Identity) -> list[Response]:
    return [{"Key": key, "Value": value} for key, value in identity.tags.items()]


def _last_of(token: str) -> str:
    """Return the last name of the page that a token came with."""
    try:
        return b64decode(token, validate=True).decode()
    except ValueError as error:
        raise SesError("BadRequestException", "NextToken is none that was given out.") from error
