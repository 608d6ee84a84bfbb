"""CreateAsset to PLAYABLE for 30 s of 1080p film as clear DASH (source fetched, examined, packaged in the jail)
against bare Shaka Packager on the file: how long the first manifest takes, which AWS makes when somebody asks for it.
"""

from __future__ import annotations

import itertools
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measuring import FILM, Row, alternate, running_stack

from localaws.media import jail
from penstock.formats import smil

ROUNDS = 5
ROLE = "arn:aws:iam::000000000000:role/MediaPackageRole"


def measure() -> list[Row]:
    with running_stack() as stack:
        s3, vod = stack.aws("s3"), stack.aws("mediapackage-vod")
        bucket = stack.env["PENSTOCK_MEDIA_BUCKET"]
        s3.upload_file(str(FILM), bucket, "bench/film.mp4")
        manifest = smil.build([smil.Video("film.mp4", (smil.Audio("en"),))])
        s3.put_object(Bucket=bucket, Key="bench/film.smil", Body=manifest)
        vod.create_packaging_group(Id="bench")
        package = {"DashManifests": [{"ManifestName": "index"}]}
        vod.create_packaging_configuration(Id="bench", PackagingGroupId="bench", DashPackage=package)
        source = f"arn:aws:s3:::{bucket}/bench/film.smil"
        numbers = itertools.count()
        ours_s, bare_s, ratio = alternate(lambda: _asset(vod, f"film-{next(numbers)}", source), _bare, ROUNDS)
    return [Row("first manifest", f"{ours_s:.2f} s", f"bare packager {bare_s:.2f} s", ratio, "")]


def _asset(vod: Any, name: str, source: str) -> float:
    """Seconds from CreateAsset to PLAYABLE, asked every 20 ms."""
    began = time.monotonic()
    asset = vod.create_asset(Id=name, PackagingGroupId="bench", SourceArn=source, SourceRoleArn=ROLE)
    while (status := asset["EgressEndpoints"][0]["Status"]) not in ("PLAYABLE", "FAILED"):
        time.sleep(0.02)
        asset = vod.describe_asset(Id=name)
    took_s = time.monotonic() - began
    if status != "PLAYABLE":
        raise RuntimeError("the film could not be packaged")
    vod.delete_asset(Id=name)
    return took_s


def _bare() -> float:
    with TemporaryDirectory(prefix="penstock-bench-") as folder:
        streams = [
            f"in={FILM},stream={kind},init_segment={kind}_init.mp4,segment_template={kind}_$Number$.mp4"
            for kind in ("video", "audio")
        ]
        command = [str(jail.binary("packager")), *streams, "--segment_duration=6", "--mpd_output=index.mpd", "--quiet"]
        began = time.monotonic()
        subprocess.run([*command, "--generate_static_live_mpd"], cwd=Path(folder), check=True, capture_output=True)
        return time.monotonic() - began
