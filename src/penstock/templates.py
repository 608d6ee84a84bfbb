"""A job settings file somebody wrote -> the CreateJob Settings of one asset. Pure; never logs or quotes settings.

A file is what MediaConvert's console exports (`{"Settings": {...}}`) or the Settings alone, in the spelling of the API
reference of the SDKs. Only the path of each Destination is kept, as aws-samples/aws-media-services-vod-automation does.
"""

from __future__ import annotations

import codecs
import difflib

from penstock.errors import FormatError, InvalidRequest
from penstock.formats import strictjson
from penstock.model import JsonObject

MAX_FILE_BYTES = 1024 * 1024

GROUP_MEMBERS = {
    "CMAF_GROUP_SETTINGS": "CmafGroupSettings",
    "DASH_ISO_GROUP_SETTINGS": "DashIsoGroupSettings",
    "FILE_GROUP_SETTINGS": "FileGroupSettings",
    "HLS_GROUP_SETTINGS": "HlsGroupSettings",
    "MS_SMOOTH_GROUP_SETTINGS": "MsSmoothGroupSettings",
}
PASSED_ON = ("AccelerationSettings", "Priority", "StatusUpdateInterval")
"""Members of an exported job that hold in every account; queue, role and metadata are those of this installation."""


def read(body: bytes) -> JsonObject:
    """Decode a job settings file.

    Returns {"Settings": {...}} with the members of PASSED_ON that the file has.
    Raises InvalidRequest with a sentence that says what the file lacks.
    """
    try:
        document = strictjson.loads(body.removeprefix(codecs.BOM_UTF8), max_bytes=MAX_FILE_BYTES)
    except FormatError as exc:
        raise InvalidRequest(f"The settings file is not JSON that can be used: {exc.message}.") from None
    if not isinstance(document, dict):
        raise InvalidRequest("The settings file is not a JSON object.")
    exported = isinstance(document.get("Settings"), dict)
    settings = document["Settings"] if exported else document
    passed_on = {name: document[name] for name in PASSED_ON if exported and name in document}
    return {"Settings": settings, **passed_on}


def settle(settings: JsonObject, *, source_uri: str, destination_uri: str, asset_id: str, speke_url: str) -> JsonObject:
    """Make the Settings of a file those of one asset; returns them, changed in place.

    The first input becomes the source, others (a bumper, say) stay; every Destination goes below `destination_uri`
    (`s3://bucket/prefix`, no slash at its end); ACLs that would make outputs public are dropped; our own key provider
    is asked for this asset's keys.
    Raises InvalidRequest with a sentence naming the member that is missing or cannot be used.
    """
    _first_input(settings)["FileInput"] = source_uri
    groups = settings.get("OutputGroups")
    if not isinstance(groups, list) or not groups:
        raise InvalidRequest("The settings file has no OutputGroups; a job needs at least one.")
    for index, group in enumerate(groups):
        member = group_settings(group, f"OutputGroups[{index}]")
        where = f"OutputGroups[{index}].{member[0]}.Destination"
        member[1]["Destination"] = _rebased(member[1].get("Destination"), destination_uri, where)
        _make_private(member[1])
        _own_keys(member[1], asset_id, speke_url)
    return settings


def group_settings(group: object, where: str) -> tuple[str, JsonObject]:
    """Find the settings of an output group by its Type: (member name, its value).

    Raises InvalidRequest naming a type that MediaConvert does not have.
    """
    outer = group.get("OutputGroupSettings") if isinstance(group, dict) else None
    kind = outer.get("Type") if isinstance(outer, dict) else None
    if not isinstance(outer, dict) or not isinstance(kind, str):
        raise InvalidRequest(f"{where} has no OutputGroupSettings.Type.")
    member = GROUP_MEMBERS.get(kind)
    if member is None:
        near = difflib.get_close_matches(kind, GROUP_MEMBERS, 1)
        hint = f" Is {near[0]} meant?" if near else ""
        raise InvalidRequest(f"{where} has the unknown output group type {kind[:64]!r}.{hint}")
    value = outer.get(member)
    if not isinstance(value, dict):
        raise InvalidRequest(f"{where} has the type {kind} but no {member}.")
    return member, value


def secrets(settings: object) -> set[str]:
    """Every value in a settings document that must not be repeated: static keys and their addresses."""
    found: set[str] = set()
    todo = [settings]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            provider = node.get("StaticKeyProvider")
            if isinstance(provider, dict):
                found |= {value for value in provider.values() if isinstance(value, str) and len(value) > 8}
            todo.extend(node.values())
        elif isinstance(node, list):
            todo.extend(node)
    return found


def _first_input(settings: JsonObject) -> JsonObject:
    inputs = settings.get("Inputs")
    if not isinstance(inputs, list) or not inputs:
        raise InvalidRequest("The settings file has no Inputs; write at least one, its FileInput is filled in.")
    if not isinstance(inputs[0], dict):
        raise InvalidRequest("Inputs[0] is not an object.")
    return inputs[0]


def _rebased(destination: object, destination_uri: str, where: str) -> str:
    if not isinstance(destination, str) or not destination.startswith("s3://"):
        raise InvalidRequest(f"{where} is not of the form s3://bucket/path.")
    path = destination.removeprefix("s3://").partition("/")[2]
    parts = path.split("/")
    if any(part in (".", "..") for part in parts):
        raise InvalidRequest(f"{where} has a part '.' or '..'; outputs stay in the folder of their asset.")
    if "\\" in path or not path.isprintable():
        raise InvalidRequest(f"{where} has a backslash or a control character.")
    # Empty parts go: an address with `//` names another object in S3 than it does for most programs on the way.
    kept = [part for part in parts[:-1] if part] + parts[-1:]
    return "/".join([destination_uri, *kept])


def _make_private(group: JsonObject) -> None:
    """Outputs are read through the edge alone; and a bucket of today refuses a job that sets a public ACL."""
    s3: object = group
    for member in ("DestinationSettings", "S3Settings"):
        s3 = s3.get(member) if isinstance(s3, dict) else None
    access = s3.get("AccessControl") if isinstance(s3, dict) else None
    if isinstance(access, dict) and access.get("CannedAcl") in ("PUBLIC_READ", "AUTHENTICATED_READ"):
        del access["CannedAcl"]


def _own_keys(group: JsonObject, asset_id: str, speke_url: str) -> None:
    """A resource id written into a file would give every asset the same keys."""
    encryption = group.get("Encryption")
    provider = encryption.get("SpekeKeyProvider") if isinstance(encryption, dict) else None
    if isinstance(provider, dict) and provider.get("Url") == speke_url:
        provider["ResourceId"] = asset_id
