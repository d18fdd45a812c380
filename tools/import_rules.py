"""Contracts for import-linter about libraries: who owns one, and who does without.

Its own contracts want every module and library they name to be imported already; these
hold for parts that are yet to be written, too. Only direct imports count: `app` reaches
grpc through `rpc`, and that is the point.
"""

import sys
from collections.abc import Iterator
from typing import cast

import grimp
from importlinter import Contract, ContractCheck, fields, output


def library_imports(graph: grimp.ImportGraph) -> Iterator[tuple[str, str]]:
    """Yield each import of something from outside as module and library."""
    for module in sorted(graph.modules):
        if graph.is_module_squashed(module):
            for importer in sorted(graph.find_modules_that_directly_import(module)):
                yield importer, module


def is_within(module: str, package: str) -> bool:
    """Whether a module is the package or a part of it."""
    return module == package or module.startswith(f"{package}.")


class _LibraryContract(Contract):
    """Reports forbidden imports as lines `importer imports library`."""

    def forbidden(self, importer: str, library: str) -> bool:
        """Whether the contract forbids this import."""
        raise NotImplementedError

    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001 - the base's signature
        """Judge every import of a library."""
        found = [pair for pair in library_imports(graph) if self.forbidden(*pair)]
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print what was found."""
        for importer, library in check.metadata["found"]:
            output.print_error(f"- {importer} imports {library}", bold=False)
        output.new_line()


class OwnedLibraries(_LibraryContract):
    """Only `owners`, packages, import any of `libraries`."""

    type_name = "owned_libraries"
    owners = fields.SetField(subfield=fields.StringField())
    libraries = fields.SetField(subfield=fields.StringField())

    def forbidden(self, importer: str, library: str) -> bool:
        """Whether somebody else imports an owned library."""
        owned = cast("set[str]", self.libraries)
        owners = cast("set[str]", self.owners)
        return library in owned and not any(is_within(importer, owner) for owner in owners)


class SelfContained(_LibraryContract):
    """`modules` import nothing from outside but the standard library and `libraries`."""

    type_name = "self_contained"
    modules = fields.SetField(subfield=fields.StringField())
    libraries = fields.SetField(subfield=fields.StringField())

    def forbidden(self, importer: str, library: str) -> bool:
        """Whether one of the modules imports a library that is not allowed."""
        allowed = sys.stdlib_module_names | cast("set[str]", self.libraries)
        mine = any(is_within(importer, module) for module in cast("set[str]", self.modules))
        return mine and library not in allowed
