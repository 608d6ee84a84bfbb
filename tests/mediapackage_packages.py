"""What tests of packages share: packages by a line, endpoints once they play, failures, what ffprobe counts."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from localaws.media import jail
from mediaconvert_speke import Speke
from mediapackage_stack import ROLE, PackagingStack

Json = dict[str, Any]


def encryption(speke: Speke, system: str, **members: Any) -> Json:
    contract = {"PresetSpeke20Audio": "PRESET-AUDIO-1", "PresetSpeke20Video": "PRESET-VIDEO-1"}
    provider = {
        "EncryptionContractConfiguration": contract,
        "RoleArn": ROLE,
        "SystemIds": [system],
        "Url": speke.url,
    }
    return {"Encryption": {"SpekeKeyProvider": provider, **members}}


def dash_package(*manifests: Json, **members: Any) -> Json:
    return {"DashPackage": {"DashManifests": list(manifests or ({},)), "SegmentDurationSeconds": 2, **members}}


def hls_package(kind: str, manifest: Json | None = None, **members: Any) -> Json:
    grouped = {"UseAudioRenditionGroup": True} if kind == "HlsPackage" else {}
    return {kind: {"HlsManifests": [manifest or {}], "SegmentDurationSeconds": 2, **grouped, **members}}


def packaged(stack: PackagingStack, name: str, source: str, *packages: Json, **members: Any) -> list[str]:
    """Addresses of the endpoints' manifests, in order of their configurations; all must be playable."""
    stack.group(name, *packages)
    stack.asset(name, name, source, **members)
    endpoints = stack.packaged(name)
    assert {one["Status"] for one in endpoints.values()} == {"PLAYABLE"}, stack.log()[-2000:]
    return [endpoints[f"{name}-{number}"]["Url"] for number in range(len(packages))]


def failure(stack: PackagingStack, name: str, source: str, package: Json) -> str:
    """The message that a failing asset is told of with."""
    stack.group(name, package)
    stack.asset(name, name, source)
    assert stack.packaged(name)[f"{name}-0"]["Status"] == "FAILED"
    [error] = [one["detail"] for one in stack.notices(name) if one["detail"]["event"].endswith("Error")]
    stack.mediapackage.delete_asset(Id=name)
    stack.mediapackage.delete_packaging_configuration(Id=f"{name}-0")
    stack.mediapackage.delete_packaging_group(Id=name)
    return f"{error['event']}: {error['message']}"


def download(stack: PackagingStack, url: str, names: list[str], into: Path) -> Path:
    with into.open("wb") as out:
        for name in names:
            answer = stack.get(urljoin(url, name))
            assert answer.status_code == 200, name
            out.write(answer.content)
    return into


def frames(path: Path | str, *options: str, stream: str = "v:0") -> int:
    command = [str(jail.binary("ffprobe")), "-v", "error", *options, "-select_streams", stream, "-count_frames"]
    command += ["-show_entries", "stream=nb_read_frames", "-of", "json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return int(json.loads(done.stdout)["streams"][0]["nb_read_frames"])
