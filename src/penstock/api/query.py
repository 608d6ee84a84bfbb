"""Refuses query parameters that an address does not take: what is asked for is done or refused, never passed over."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant

from penstock.errors import InvalidRequest


def known(request: Request) -> None:
    """Raises InvalidRequest for the first query parameter that the route and its dependencies do not name."""
    names = sorted(set(_names(request.scope["route"].dependant)))
    for name in request.query_params:
        if name not in names:
            # What does not look like a name may be a secret in the wrong place.
            told = f"the query parameter {name}" if re.fullmatch(r"[a-z_]{1,32}", name) else "a query parameter"
            taken = f"it takes {', '.join(names)}" if names else "it takes none"
            raise InvalidRequest(f"this address does not know {told}; {taken}")


def _names(dependant: Dependant) -> Iterator[str]:
    for field in dependant.query_params:
        yield field.alias
    for other in dependant.dependencies:
        yield from _names(other)


KnownQuery = Depends(known)
