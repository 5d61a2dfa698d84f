"""The libraries that write documents: taken in when first needed, and the schemas that they ship."""

from __future__ import annotations

import importlib
import importlib.resources
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from types import ModuleType
from typing import Protocol

from engine.aggregates.refusal import Refused


class NotInstalled(Refused):
    code = "not-installed"


class NotValid(Refused):
    code = "not-valid"


_ELEMENT = re.compile(r"Element '(?:\{[^}]*\})?([\w.-]+)'")


class Element(Protocol):
    """What we ask of an element of lxml, which ships no types."""

    text: str | None

    def iter(self, tag: str) -> Iterator[Element]: ...
    def find(self, path: str) -> Element | None: ...
    def __len__(self) -> int: ...


class _Misfit(Protocol):
    message: str
    type_name: str


class _Schema(Protocol):
    error_log: Sequence[_Misfit]

    def validate(self, root: Element) -> bool: ...


def library(name: str) -> ModuleType:
    """The module of that name; raises NotInstalled with what to install."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise NotInstalled(
            f"documents are written by libraries that are not installed here ({name.partition('.')[0]}); "
            "pip install 'tantieme[documents]'"
        ) from error


def parsed(document: bytes) -> Element:
    """The root element of XML that we wrote. No entity is resolved, and nothing is fetched."""
    etree = library("lxml.etree")
    root: Element = etree.fromstring(document, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
    return root


def written(root: Element) -> bytes:
    """UTF-8 with a declaration, indented."""
    return bytes(library("lxml.etree").tostring(root, pretty_print=True, xml_declaration=True, encoding="UTF-8"))


@lru_cache(maxsize=8)
def _schema(package: str, path: str) -> _Schema:
    library(package)
    folder = importlib.resources.files(package)
    schema: _Schema = library("lxml.etree").XMLSchema(file=str(folder.joinpath(path)))
    return schema


def checked(document: bytes, package: str, path: str, what: str) -> bytes:
    """The document, where it fits the schema that the package ships at that path. Raises NotValid.

    The libraries' own checks put the values that they reject into their logs and exceptions; an account number must not be
    there, so the sentence tells where, never what.
    """
    schema = _schema(package, path)
    if not schema.validate(parsed(document)):
        error = schema.error_log[0]
        where = _ELEMENT.match(error.message)
        raise NotValid(
            f"the {what} does not fit its schema at {where[1] if where else 'its root'} ({error.type_name}); correct that value"
        )
    return document
