"""A stack with MediaPackage VOD as processes of their own, and films of several renditions, languages, captions."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import httpx

from localaws import config as configuration
from mediaconvert_speke import ACCESS_KEY_ID, SECRET
from mediaconvert_stack import Stack, wait_for
from penstock.formats import smil
from sample_media import ffmpeg

Json = dict[str, Any]
SECRET_ARN = "arn:aws:secretsmanager:us-east-1:000000000000:secret:cdn"
ROLE = "arn:aws:iam::000000000000:role/MediaPackage"
IDENTIFIER = "4f2b5a52-6c62-4a38-9a0e-2f0d9f5f3a11"


class PackagingStack(Stack):
    """A stack whose account has one secret: the CDN identifier."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        identifier = folder / "cdn-identifier"
        identifier.write_text(IDENTIFIER)
        self.config = replace(self.config, secrets={SECRET_ARN: {"MediaPackageCDNIdentifier": identifier}})
        (folder / "stack.json").write_text(json.dumps(configuration.dump(self.config)))
        keys = {"aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
        self.mediapackage: Any = boto3.client("mediapackage-vod", endpoint_url=self.config.aws_url, **keys)

    def stop(self) -> None:
        self.mediapackage.close()
        super().stop()

    def group(self, name: str, *packages: Json, **members: Any) -> None:
        """A packaging group with configurations <name>-0, <name>-1 ..."""
        self.mediapackage.create_packaging_group(Id=name, **members)
        for number, package in enumerate(packages):
            self.mediapackage.create_packaging_configuration(Id=f"{name}-{number}", PackagingGroupId=name, **package)

    def asset(self, name: str, group: str, source: str, **members: Any) -> Json:
        arn = f"arn:aws:s3:::media/{source}"
        made: Json = self.mediapackage.create_asset(
            Id=name, PackagingGroupId=group, SourceArn=arn, SourceRoleArn=ROLE, **members
        )
        return made

    def packaged(self, name: str, within_s: float = 60) -> dict[str, Json]:
        """Endpoints of an asset by configuration, once none of them is being worked on."""

        def ended() -> bool:
            found = self.mediapackage.describe_asset(Id=name)["EgressEndpoints"]
            return all(endpoint["Status"] in ("PLAYABLE", "FAILED") for endpoint in found)

        wait_for(ended, within_s)
        found = self.mediapackage.describe_asset(Id=name)["EgressEndpoints"]
        return {endpoint["PackagingConfigurationId"]: endpoint for endpoint in found}

    def notices(self, asset: str) -> list[Json]:
        """What was put on the bus about an asset."""
        path = self.config.state_dir / "events.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT envelope FROM events ORDER BY put_at").fetchall()
        events = [json.loads(row[0]) for row in rows]
        own = f"assets/{asset}"
        return [one for one in events if one["source"] == "aws.mediapackage" and one["resources"][0].endswith(own)]

    def get(self, url: str, identifier: str | None = None) -> httpx.Response:
        headers = {} if identifier is None else {"X-MediaPackage-CDNIdentifier": identifier}
        return httpx.get(url, headers=headers, trust_env=False)


@dataclass(frozen=True)
class Films:
    """Sources in the media bucket: object keys of manifests."""

    smil: str
    hls: str
    folder: Path


def make_films(folder: Path) -> None:
    """Two renditions of 6 s with a key frame each second; English and French in the larger, English in the smaller."""
    picture = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=6"]
    tones = ["-f", "lavfi", "-i", "sine=440:duration=6", "-f", "lavfi", "-i", "sine=880:duration=6"]
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-ac", "2"]
    coded += ["-g", "25", "-keyint_min", "25", "-sc_threshold", "0"]
    both = ["-map", "0:v", "-map", "1:a", "-map", "2:a", "-b:v", "400k"]
    ffmpeg(folder / "film_180.mp4", *picture, *tones, *both, *coded)
    ffmpeg(folder / "film_90.mp4", *picture, *tones, "-map", "0:v", "-map", "1:a", "-vf", "scale=160:90", *coded)
    (folder / "film.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nGood <b>morning</b>\n\n"
                                     "2\n00:00:03,000 --> 00:00:04,500\nTom & Jerry\n")  # fmt: skip
    videos = [
        smil.Video("film_180.mp4", (smil.Audio("en", "English"), smil.Audio("fr", "Français"))),
        smil.Video("film_90.mp4", (smil.Audio("en", "English", included=False),)),
    ]
    (folder / "film.smil").write_bytes(smil.build(videos, [smil.Text("film.srt", "en", "English CC")]))
    hls = folder / "hls"
    hls.mkdir()
    for height in (180, 90):
        only = ["-i", str(folder / f"film_{height}.mp4"), "-map", "0:v", "-map", "0:a:0", "-c", "copy"]
        cut = ["-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod"]
        ffmpeg(hls / f"v{height}.m3u8", *only, *cut, "-hls_segment_filename", str(hls / f"v{height}_%d.ts"))
    (hls / "main.m3u8").write_text(
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=600000,RESOLUTION=320x180\nv180.m3u8\n"
        "#EXT-X-STREAM-INF:BANDWIDTH=200000,RESOLUTION=160x90\nv90.m3u8\n"
    )
