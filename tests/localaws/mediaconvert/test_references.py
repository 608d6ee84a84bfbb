"""Every file that a manifest names is there, seen from where that manifest lies, and each name is given once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin

import pytest
from lxml import etree

import mediaconvert_jobs as jobs
from localaws.media.failures import JobError
from localaws.mediaconvert import naming
from probed_media import film

Json = dict[str, Any]
Convert = Callable[..., Any]
SRT = b"1\n00:00:00,200 --> 00:00:00,900\nHello\n"


def captions(modifier: str, container: str) -> Json:
    described = {
        "CaptionSelectorName": "said",
        "LanguageCode": "ENG",
        "LanguageDescription": "English",
        "DestinationSettings": {"DestinationType": "WEBVTT", "WebvttDestinationSettings": {}},
    }
    return {
        "NameModifier": modifier,
        "CaptionDescriptions": [described],
        "ContainerSettings": {"Container": container},
    }


def named(manifest: str, content: bytes) -> Iterator[str]:
    """The references in a manifest, as they stand there."""
    if manifest.endswith(".mpd"):
        root = etree.fromstring(content)
        for template in root.iter("{*}SegmentTemplate"):
            addresses = [template.get(name) for name in ("initialization", "media")]
            yield from (one.replace("$Number%09d$", "000000001") for one in addresses if one)
        yield from (one.text for one in root.iter("{*}BaseURL"))
    elif manifest.endswith(".m3u8"):
        text = content.decode()
        yield from re.findall(r'URI="([^"]*)"', text)
        yield from (line for line in text.splitlines() if line and not line.startswith("#"))
    elif manifest.endswith(".ism"):
        root = etree.fromstring(content)
        yield from (one.get("src") for one in root.iter("{*}video", "{*}audio"))
        yield from (one.get("content") for one in root.iter("{*}meta") if one.get("content", "").endswith(".ismc"))


def missing(done: Any) -> list[str]:
    """Object keys that manifests lead to and that nobody wrote."""
    found = []
    for key, path in done.files.items():
        for reference in named(key, path.read_bytes()):
            target = unquote(urljoin(f"http://host/{key}", reference)).removeprefix("http://host/")
            found += [] if target in done.files else [f"{key}: {reference}"]
    return found


def group(kind: str, **members: Any) -> Json:
    """One with every kind of file in a folder of its own."""
    images = {"ImageBasedTrickPlay": "THUMBNAIL"}
    small = [{"ManifestNameModifier": "/other/small", "SelectedOutputs": ["test/90p", "test/a b", "test/en"]}]
    if kind == "HLS":
        outputs = (
            jobs.hls_output(jobs.video("test/90p", Height=90), IFrameOnlyManifest="INCLUDE"),
            jobs.hls_output(jobs.audio("test/a b")),
            captions("test/en", "M3U8"),
        )
        return jobs.hls(*outputs, AdditionalManifests=small, **images, **members)
    if kind == "SMOOTH":
        video = jobs.video("test/90p", container="ISMV", Height=90)
        selected = [{"ManifestNameModifier": "/other/small", "SelectedOutputs": ["test/90p"]}]
        return jobs.smooth(video, jobs.audio("test/a b", container="ISMV"), AdditionalManifests=selected)
    container, make = ("CMFC", jobs.cmaf) if kind == "CMAF" else ("MPD", jobs.dash)
    outputs = (
        jobs.video("test/90p", container=container, Height=90),
        jobs.audio("test/a b", container=container),
        captions("test/en", container),
    )
    return make(*outputs, AdditionalManifests=small, DashIFrameTrickPlayNameModifier="trick/i", **images, **members)


@pytest.mark.parametrize(
    ("kind", "control"),
    [
        *((kind, control) for kind in ("HLS", "CMAF", "DASH") for control in ("SEGMENTED_FILES", "SINGLE_FILE")),
        ("SMOOTH", None),
    ],
)
def test_names_with_folders_resolve_from_every_manifest(
    kind: str, control: str | None, tmp_path: Path, convert: Convert
) -> None:
    asked = group(kind, **({"SegmentControl": control} if control else {}))
    (tmp_path / "captions.srt").write_bytes(SRT)
    selector = {"SourceSettings": {"SourceType": "SRT", "FileSourceSettings": {"SourceFile": "s3://source/c.srt"}}}
    members = {"CaptionSelectors": {"said": selector}} if kind != "SMOOTH" else {}
    others = [tmp_path / "captions.srt"] if kind != "SMOOTH" else []
    done = convert(film(tmp_path, duration_s=1), jobs.settings(asked, **members), *others)
    assert missing(done) == []
    base = done.plan.groups[0].destination.base
    assert any(key.startswith(f"{base}test/90p") for key in done.files)
    assert any(key.startswith(f"{base}/other/small.") for key in done.files)
    manifests = {"HLS": {"m3u8"}, "CMAF": {"m3u8", "mpd"}, "DASH": {"mpd"}, "SMOOTH": {"ism", "ismc"}}[kind]
    assert {f"{base}.{extension}" for extension in manifests} <= set(done.files)


def test_sound_without_a_modifier_lies_beside_pictures_with_one(tmp_path: Path, convert: Convert) -> None:
    sound = jobs.audio("")
    del sound["NameModifier"]
    done = convert(film(tmp_path, duration_s=1), jobs.settings(jobs.cmaf(jobs.video("_v", Height=90), sound)))
    assert missing(done) == []
    assert {"a/maininit.cmfa", "a/main_000000001.cmfa", "a/main_media.m3u8", "a/main.m3u8"} <= set(done.files)
    assert 'URI="main_media.m3u8"' in done.text("a/main.m3u8")


def same(*groups: Json) -> str:
    with pytest.raises(JobError) as refused:
        jobs.planned(jobs.settings(*groups))
    return refused.value.message


def test_names_that_two_would_have_end_with_1040() -> None:
    one = jobs.cmaf(jobs.video("_x"), jobs.audio("_x"))
    assert same(one) == (
        "outputGroups[0].outputs[1] and outputGroups[0].outputs[0] would both write s3://media/a/main_x.m3u8"
    )
    jobs.planned(jobs.settings(jobs.cmaf(jobs.video("_x"), jobs.audio("_x"), WriteHlsManifest="DISABLED")))
    hls = jobs.hls(jobs.hls_output(jobs.video("_h")), destination="s3://media/a/main")
    assert same(jobs.cmaf(jobs.video("_v")), hls) == (
        "a manifest of outputGroups[1] and a manifest of outputGroups[0] would both write s3://media/a/main.m3u8"
    )


@pytest.mark.parametrize(
    ("base", "suffix", "manifest", "reference"),
    [
        ("a/main", "_v.ts", "", "main_v.ts"),
        ("a/main", "x/v.ts", "", "mainx/v.ts"),
        ("a/main", "x/v.ts", "x/v.m3u8", "v.ts"),
        ("a/main", "x/v.ts", "y/v.m3u8", "../mainx/v.ts"),
        ("a/main", "_v.ts", "/x/y.m3u8", "../../main_v.ts"),
        ("main", "_v.ts", "x/y/z.m3u8", "../../main_v.ts"),
        ("a/ä b", "_v.ts", "", "%C3%A4%20b_v.ts"),
    ],
)
def test_references_are_relative_to_the_manifest(base: str, suffix: str, manifest: str, reference: str) -> None:
    assert naming.relative_reference(base, suffix, manifest) == reference
    resolved = urljoin(f"http://host/{base}{manifest}", reference)
    assert unquote(resolved) == f"http://host/{base}{suffix}"


def test_empty_parts_of_object_keys_stay() -> None:
    assert naming.relative_reference("a//main", "_v.ts") == "main_v.ts"
    # An absolute path would leave the bucket's host.
    assert naming.relative_reference("a/main", "//v.ts", "/v.m3u8") == ".//v.ts"
