"""Image-based trick play: tiles of thumbnails beside a group's segments, and what manifests say of them.

Thumbnails are taken from the group's first encoded picture, so the source is not decoded again. Source: DASH-IF IOP,
6.2.6 (tiles of thumbnails); Roku, "HLS and DASH trick mode" (EXT-X-IMAGE-STREAM-INF, EXT-X-TILES), which MediaConvert
names as its model. The files' names are ours: AWS documents none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from lxml import etree

from localaws.media.failures import SETTINGS, JobError
from localaws.media.transfer import Upload
from localaws.mediaconvert import naming
from localaws.mediaconvert.groups import outputs
from localaws.mediaconvert.planning.planned import Group, Output
from localaws.mediaconvert.settings.codecs import Av1
from localaws.mediaconvert.settings.thumbnails import MAX_TILE_PX, ImageSet

_MPD = "{urn:mpeg:dash:schema:mpd:2011}"
_TILES = "http://dashif.org/guidelines/thumbnail_tile"
_JPEG_QUALITY = "4"


@dataclass(frozen=True)
class Tiles:
    """One image set as it is made: the size of a thumbnail in px, the time between two, and where files lie."""

    asked: ImageSet
    number: int
    width: int
    height: int
    interval_s: Fraction

    @property
    def modifier(self) -> str:
        return "_thumbnail" if self.number == 0 else f"_thumbnail{self.number + 1}"

    @property
    def tile_s(self) -> Fraction:
        return self.interval_s * self.asked.columns * self.asked.rows

    @property
    def label(self) -> str:
        return f"image{self.number}"


def source(group: Group) -> Output | None:
    """The output that thumbnails are taken from; None for a group that makes none."""
    if group.packaging is None or not group.packaging.images:
        return None
    return next((output for output in group.outputs if output.video is not None), None)


def sets(group: Group) -> list[Tiles]:
    """The image sets of a group. Raises JobError 1040 for tiles that would be too high."""
    output = source(group)
    if output is None or output.video is None or group.packaging is None:
        return []
    return [_tiles(number, asked, output, group) for number, asked in enumerate(group.packaging.images)]


def _tiles(number: int, asked: ImageSet, output: Output, group: Group) -> Tiles:
    assert output.video is not None
    picture, gop = output.video.picture, output.video.gop
    width = asked.width or picture.width
    shape = Fraction(picture.height, picture.width) / picture.sar
    height = asked.height or max(2, 2 * round(width * shape / 2))
    if height * asked.rows > MAX_TILE_PX:
        told = f"tiles would be {height * asked.rows} pixels high, {MAX_TILE_PX} at most"
        raise JobError(SETTINGS, f"{output.path}: {told}; ask for fewer rows or smaller thumbnails")
    gop_s = gop.frames / picture.frame_rate if gop else Fraction(1)
    every_s = {"FOLLOW_IFRAME": gop_s, "FOLLOW_SEGMENTATION": group.segment_s}.get(asked.cadence, asked.interval_s)
    assert every_s is not None
    # AWS: an interval that does not meet the frame rate is rounded to it.
    frames = max(1, round(every_s * picture.frame_rate))
    return Tiles(asked, number, width, height, frames / picture.frame_rate)


def needs_full_ffmpeg(group: Group) -> bool:
    """Whether the picture is one that the static ffmpeg does not decode."""
    output = source(group)
    return output is not None and output.video is not None and isinstance(output.video.codec, Av1)


def arguments(group: Group, executable: str) -> list[str]:
    """ffmpeg's command line for all tiles of a group, below /out, numbered from 1."""
    output, wanted = source(group), sets(group)
    assert output is not None
    command = [executable, "-hide_banner", "-nostdin", "-loglevel", "error", "-y"]
    if all(one.asked.cadence != "FOLLOW_CUSTOM" for one in wanted):
        # Thumbnails fall on key frames: nothing else has to be decoded.
        command += ["-skip_frame", "nokey"]
    command += ["-i", f"/in/encoded/{output.work_file}"]
    for one in wanted:
        every = f"{one.interval_s.numerator}/{one.interval_s.denominator}"
        filters = [
            # A hair less: times of the container are whole ticks.
            f"select=gte(t+0.001\\,selected_n*{every})",
            f"scale={one.width}:{one.height}:out_range=full,format=yuvj420p,setsar=1",
            f"tile={one.asked.columns}x{one.asked.rows}",
        ]
        command += ["-map", "0:v", "-vf", ",".join(filters), "-fps_mode", "passthrough", "-c:v", "mjpeg"]
        command += ["-q:v", _JPEG_QUALITY, "-f", "image2", "-start_number", "1", f"/out/{one.label}_%09d.jpg"]
    return command


def finish(group: Group, encoded: Path, images: Path, final: Path) -> None:
    """Write the playlists of images, and name the tiles in the manifests that lie in `final`."""
    output = source(group)
    if output is None or group.packaging is None:
        return
    length_s = Fraction(outputs.duration_ms(encoded / output.work_file), 1000)
    wanted = sets(group)
    rates = {one.label: _peak_bps(one, images) for one in wanted}
    if group.packaging.hls:
        for one in wanted:
            (images / f"{one.label}.m3u8").write_text(playlist(one, group, length_s), encoding="utf-8")
    for name, shown in group.manifests().items():
        mpd, multivariant = final / f"{name}.mpd", final / f"{name}.m3u8"
        if mpd.exists():
            mpd.write_bytes(describe(mpd.read_bytes(), wanted, rates, shown))
        if multivariant.exists():
            text = multivariant.read_text(encoding="utf-8")
            multivariant.write_text(
                text + "".join(_image_stream(one, rates, shown) for one in wanted), encoding="utf-8"
            )


def _peak_bps(tiles: Tiles, images: Path) -> int:
    largest = max((path.stat().st_size for path in images.glob(f"{tiles.label}_*.jpg")), default=0)
    return max(1, math.ceil(8 * largest / tiles.tile_s))


def describe(mpd: bytes, wanted: list[Tiles], rates: dict[str, int], group: Group) -> bytes:
    """The MPD with an AdaptationSet of images for each set."""
    root = etree.fromstring(mpd, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
    period = root.find(f"{_MPD}Period")
    assert period is not None
    for one in wanted:
        numbers = [int(found.get("id", "0")) for found in period.findall(f"{_MPD}AdaptationSet")]
        adaptation = etree.SubElement(
            period,
            f"{_MPD}AdaptationSet",
            id=str(max(numbers, default=-1) + 1),
            contentType="image",
            mimeType="image/jpeg",
        )
        media = group.reference(one.modifier).replace("$", "$$")
        ticks = {"timescale": str(one.tile_s.denominator), "duration": str(one.tile_s.numerator), "startNumber": "1"}
        etree.SubElement(adaptation, f"{_MPD}SegmentTemplate", ticks, media=f"{media}_$Number%09d$.jpg")
        columns, rows = one.asked.columns, one.asked.rows
        representation = etree.SubElement(
            adaptation,
            f"{_MPD}Representation",
            id=one.label,
            bandwidth=str(rates[one.label]),
            width=str(one.width * columns),
            height=str(one.height * rows),
        )
        etree.SubElement(representation, f"{_MPD}EssentialProperty", schemeIdUri=_TILES, value=f"{columns}x{rows}")
    etree.indent(root)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _image_stream(tiles: Tiles, rates: dict[str, int], group: Group) -> str:
    address = group.reference(f"{tiles.modifier}.m3u8")
    fields = [f"BANDWIDTH={rates[tiles.label]}", f"RESOLUTION={tiles.width}x{tiles.height}", 'CODECS="jpeg"']
    return f'#EXT-X-IMAGE-STREAM-INF:{",".join(fields)},URI="{address}"\n'


def playlist(tiles: Tiles, group: Group, length_s: Fraction) -> str:
    """A media playlist of images: each lasts as long as its thumbnails, the last one to the end."""
    assert group.packaging is not None
    count = max(1, math.ceil(length_s / tiles.tile_s))
    size, layout = f"{tiles.width}x{tiles.height}", f"{tiles.asked.columns}x{tiles.asked.rows}"
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{max(1, math.ceil(tiles.tile_s))}"]
    lines += ["#EXT-X-MEDIA-SEQUENCE:1", "#EXT-X-PLAYLIST-TYPE:VOD", "#EXT-X-IMAGES-ONLY"]
    for number in range(1, count + 1):
        shown_s = min(tiles.tile_s, length_s - (number - 1) * tiles.tile_s)
        lines.append(f"#EXTINF:{float(shown_s):.6f},")
        lines.append(f"#EXT-X-TILES:RESOLUTION={size},LAYOUT={layout},DURATION={float(tiles.interval_s):.6f}")
        suffix = naming.segments(tiles.modifier).name("jpg", number)
        lines.append(group.packaging.base_url + group.reference(suffix))
    return "\n".join([*lines, "#EXT-X-ENDLIST"]) + "\n"


def uploads(group: Group, images: list[Path]) -> list[Upload]:
    """The tiles and playlists, and the objects that they become."""
    modifiers = {one.label: one.modifier for one in sets(group)}
    made = []
    for path in images:
        label, _, number = path.stem.partition("_")
        named = naming.segments(modifiers[label])
        suffix = named.name("jpg", int(number)) if number else f"{modifiers[label]}.m3u8"
        made.append(Upload(path, group.destination.bucket, group.destination.base + suffix))
    return made
