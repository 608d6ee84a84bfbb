"""Who asks: the viewer's address, network and country, told by a trusted server in front of the edge if there is one.

Believes nobody but the addresses in the configuration: any viewer can send any header. The headers are CloudFront's.
Source: Amazon CloudFront Developer Guide, "Add CloudFront request headers".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from penstock.formats.binding import Viewer, is_inside

ADDRESS, ASN, COUNTRY = "cloudfront-viewer-address", "cloudfront-viewer-asn", "cloudfront-viewer-country"


class Front:
    """Servers in front of the edge, by their networks."""

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self._networks = networks

    def viewer(self, peer: str, headers: Any) -> Viewer:
        """The viewer behind a connection from `peer`, by the headers of the request."""
        user_agent = headers.get("user-agent") or ""
        if not any(is_inside(peer, network) for network in self._networks):
            return Viewer(peer, user_agent=user_agent)
        asn = headers.get(ASN) or ""
        return Viewer(
            address=_address(headers.get(ADDRESS) or "") or peer,
            asn=int(asn) if asn.isascii() and asn.isdigit() and len(asn) <= 10 else None,
            country=headers.get(COUNTRY),
            user_agent=user_agent,
        )


def _address(told: str) -> str | None:
    """The address of `address:port`, where IPv6 has no brackets."""
    address = told.rpartition(":")[0].strip("[]")
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return None
