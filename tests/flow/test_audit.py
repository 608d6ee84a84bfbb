"""`penstock audit` of a real stack, sound and then not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from running_stack import RunningStack


@pytest.fixture(scope="module")
def assets(stack: RunningStack, film: Path) -> list[str]:
    made = [json.loads(stack.cli("upload", str(film), "--wait", "--json").stdout) for _ in range(2)]
    assert [each["state"] for each in made] == ["published"] * 2
    return [each["asset_id"] for each in made]


def test_sound_asset_gives_nothing_away(stack: RunningStack, assets: list[str]) -> None:
    done = stack.cli("audit", assets[0], "--json", check=False)
    report = json.loads(done.stdout)
    assert (done.returncode, report["leaks"]) == (0, [])
    tried = {(row["right"], row["kind"]): row["tried"] for row in report["rows"]}
    wrong = ["no right", "an expired right", "another asset's right", "an ended session"]
    for right in wrong:
        for kind in ("source", "segments", "manifests", "pictures", "markers", "folders", "licenses"):
            assert tried[right, kind] > 0, (right, kind)
    given = {(row["right"], row["kind"]): row["rightful"] for row in report["rows"] if row["rightful"]}
    assert {right for right, _ in given} == {"a viewer's right"} and given["a viewer's right", "segments"] > 0
    assert all(row["tried"] == row["refused"] + row["rightful"] for row in report["rows"])
    assert tried["no right", "S3 objects"] > 5
    assert tried["no right", "S3 listings"] > 4
    assert [note for note in report["notes"] if "copied" in note]
    # What it opened it ended, and no secret of it is told.
    sessions = list(stack.client.playback_sessions("penstock-audit"))
    assert sessions
    assert not [each for each in sessions if each["state"] == "live"]
    assert not re.search(r"/t/|CloudFront-|Bearer", done.stdout)


def test_table_names_what_was_tried(stack: RunningStack, assets: list[str]) -> None:
    done = stack.cli("audit", assets[0], check=False)
    assert done.returncode == 0
    assert re.search(r"no right\s+segments\s+\d+\s+\d+\s+-", done.stdout)


def test_clear_film_beside_the_encrypted_one_is_found(stack: RunningStack, assets: list[str], film: Path) -> None:
    object_key = f"assets/{assets[1]}/default/stream/clear.mp4"
    s3, bucket = stack.aws("s3"), stack.env["PENSTOCK_MEDIA_BUCKET"]
    s3.put_object(Bucket=bucket, Key=object_key, Body=_moov_first(film.read_bytes()))
    done = stack.cli("audit", assets[1], "--json", check=False)
    assert done.returncode == 1
    found = json.loads(done.stdout)["leaks"]
    assert {(leak["right"], leak["address"]) for leak in found} == {("a viewer's right", f"/{object_key}")}
    s3.delete_object(Bucket=bucket, Key=object_key)
    assert stack.cli("audit", assets[1], check=False).returncode == 0


def test_asset_that_is_not_there_is_wrong_use(stack: RunningStack) -> None:
    assert stack.cli("audit", "0b9e6a3c-7d0f-4f0e-9c39-6f2f3d1b8a55", check=False).returncode == 2


def _moov_first(mp4: bytes) -> bytes:
    """The boxes of a small film with moov before mdat, so that its beginning says what it is."""
    boxes, at = [], 0
    while at < len(mp4):
        size = int.from_bytes(mp4[at : at + 4], "big")
        boxes.append(mp4[at : at + size])
        at += size
    return b"".join(sorted(boxes, key=lambda box: box[4:8] == b"mdat"))
