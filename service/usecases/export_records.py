"""ExportDnsRecords: a domain's records as a file."""

from collections.abc import Sequence
from dataclasses import dataclass

from service import ports
from service.core import exports, names
from service.core.errors import Violation, invalid_fields
from service.core.exports import Export, Format
from service.core.keys import Scope
from service.usecases.caller import Caller


@dataclass(frozen=True, slots=True)
class ExportDnsRecords:
    """Renders what the owner has to publish."""

    store: ports.DomainStore

    def __call__(
        self, caller: Caller, domain: str, form: Format, *, violations: Sequence[Violation] = ()
    ) -> Export:
        """Return the file; `violations` are fields found wrong before.

        Raises:
            ServiceError: INVALID_DOMAIN, INVALID_FIELD, DOMAIN_NOT_FOUND,
                MISSING_SCOPE.

        """
        name = names.parse(domain)
        caller.require_domain(name, Scope.DOMAINS_READ)
        if violations:
            raise invalid_fields(violations)
        return exports.render(self.store.get(caller.tenant, name), form)
