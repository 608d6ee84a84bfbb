"""Common Media Client Data: what a player says of itself with each request for media. Strict: odd data are no data.

Anybody can write it: its absence tells more than its presence. Never opens what `nor` and `nrr` name.
Standard: CTA-5004, version 1: the query argument CMCD, or the headers CMCD-Object, -Request, -Session and -Status.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from penstock.errors import FormatError

PARAMETER = "CMCD"
HEADERS = {
    "cmcd-object": frozenset({"br", "d", "ot", "tb"}),
    "cmcd-request": frozenset({"bl", "dl", "mtp", "nor", "nrr", "su"}),
    "cmcd-session": frozenset({"cid", "pr", "sf", "sid", "st", "v"}),
    "cmcd-status": frozenset({"bs", "rtp"}),
}
MAX_CHARS = 2048
MAX_ID_CHARS = 64

_STRINGS = frozenset({"cid", "nor", "nrr", "sid"})
_FLAGS = frozenset({"bs", "su"})
_NUMBERS = frozenset({"bl", "br", "d", "dl", "mtp", "rtp", "tb", "v"})
_TOKENS = {
    "ot": frozenset({"m", "a", "v", "av", "i", "c", "tt", "k", "o"}),
    "sf": frozenset({"d", "h", "s", "o"}),
    "st": frozenset({"v", "l"}),
}
_PAIR = re.compile(r'([A-Za-z0-9.-]+)(?:=("(?:[^"\\]|\\["\\])*"|[^",=]+))?(,|$)', re.ASCII)
_INTEGER = re.compile(r"-?[0-9]{1,15}", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?", re.ASCII)


@dataclass(frozen=True)
class ClientData:
    """What is looked at: session and content id, kind of object, its length, rate of playback, an empty buffer."""

    session_id: str | None = None
    content_id: str | None = None
    object_type: str | None = None
    duration_ms: int | None = None
    playback_rate: float = 1.0
    starved: bool = False


def of_request(query: str, headers: Mapping[str, str]) -> ClientData | None:
    """The client data of a request, None where it has none.

    query: of the target, percent-encoded. headers: names in lower case. Raises FormatError for data that are none.
    """
    arguments = [pair.partition("=")[2] for pair in query.split("&") if pair.partition("=")[0] == PARAMETER]
    if len(arguments) > 1:
        raise FormatError("more than one CMCD argument")
    if arguments:
        try:
            return read(unquote(arguments[0], errors="strict"))
        except UnicodeDecodeError as exc:
            raise FormatError("the CMCD argument is not UTF-8") from exc
    found: dict[str, str | None] = {}
    for name, keys in HEADERS.items():
        if (text := headers.get(name)) is not None:
            members = _members(text)
            if stray := next((key for key in members if key not in keys and "-" not in key), None):
                raise FormatError(f"{stray[:16]!r} does not belong into {name}")
            found |= members
    return _client_data(found) if found else None


def read(text: str) -> ClientData:
    """The client data of a CMCD argument, percent-decoded. Raises FormatError."""
    return _client_data(_members(text))


def _members(text: str) -> dict[str, str | None]:
    """Keys and their values, None for a key without one. Keys with a hyphen are others' own."""
    if not 0 < len(text) <= MAX_CHARS:
        raise FormatError(f"CMCD has 1 to {MAX_CHARS} characters")
    found: dict[str, str | None] = {}
    at = 0
    while at < len(text):
        pair = _PAIR.match(text, at)
        if pair is None or pair[1] in found or (pair[3] and pair.end() == len(text)):
            raise FormatError(f"no CMCD at character {at}")
        found[pair[1]] = pair[2]
        at = pair.end()
    for key, value in found.items():
        if not _is_right(key, value):
            raise FormatError(f"the CMCD key {key[:16]!r} has a value that it cannot have")
    return found


def _is_right(key: str, value: str | None) -> bool:
    if "-" in key:
        return True
    if key in _FLAGS:
        return value in (None, "true", "false")
    if value is None:
        return False
    if key in _STRINGS:
        return value.startswith('"') and (key in ("nor", "nrr") or len(value) - 2 <= MAX_ID_CHARS)
    if key in _NUMBERS:
        return _INTEGER.fullmatch(value) is not None
    if key == "pr":
        return _DECIMAL.fullmatch(value) is not None
    return value in _TOKENS.get(key, ())


def _client_data(members: Mapping[str, str | None]) -> ClientData:
    def text(key: str) -> str | None:
        value = members.get(key)
        return None if value is None else re.sub(r"\\(.)", r"\1", value[1:-1])

    duration = members.get("d")
    return ClientData(
        session_id=text("sid"),
        content_id=text("cid"),
        object_type=members.get("ot"),
        duration_ms=None if duration is None else int(duration),
        playback_rate=float(members.get("pr") or 1),
        starved="bs" in members and members["bs"] != "false",
    )
