"""XML from strangers: bounded, in UTF-8, without document types, so without entities, bombs and files of ours.

Never raises anything but the FormatError it is told to raise.
"""

from __future__ import annotations

from lxml import etree

from penstock.errors import FormatError


def parse(document: bytes, *, max_bytes: int, error: type[FormatError] = FormatError) -> etree._Element:
    """Read one XML document and return its root, without comments and processing instructions.

    Raises `error` when it has more than `max_bytes`, is not UTF-8, is not well-formed or declares a document type.
    """
    if len(document) > max_bytes:
        raise error(f"the XML has {len(document)} bytes, at most {max_bytes} are read")
    parser = etree.XMLParser(
        encoding="utf-8",  # whatever the declaration says
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        document.decode("utf-8")
        root = etree.fromstring(document, parser)
    except UnicodeDecodeError as exc:
        raise error(f"the XML is not UTF-8 at byte {exc.start}") from exc
    except etree.XMLSyntaxError as exc:
        raise error(f"not readable as XML: {exc.msg}") from exc
    # With entities left unresolved a document type would be harmless but silently lose text.
    if root.getroottree().docinfo.internalDTD is not None:
        raise error("the XML declares a document type; take the DOCTYPE out")
    return root
