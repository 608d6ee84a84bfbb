"""Joins a last segment that is too short to the one before it, in files and manifests that the packager wrote.

Works where files still have the labels of their outputs as names. What plays together is cut alike: renditions with as
many segments as the first picture follow it. Source: botocore's CmafGroupSettings (MinFinalSegmentLength); ISO/IEC
14496-12, 8.16 (segment index and segments).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from lxml import etree

from localaws.media.failures import INTERNAL, JobError
from localaws.media.files import OpenFile
from localaws.mediaconvert.planning.planned import Group
from penstock.errors import BoxError
from penstock.formats import segment_index
from penstock.formats.movie import Outer, outer_boxes
from penstock.formats.progressive import box
from penstock.formats.segment_index import REFERENCE_BYTES, SegmentIndex

_MPD = "{urn:mpeg:dash:schema:mpd:2011}"
_MAX_INDEX_BYTES = 4 * 2**20
_RANGE = re.compile(r"^#EXT-X-BYTERANGE:(\d+)(@\d+)?$")


@dataclass(frozen=True)
class _Rendition:
    """What the packager made of one track: its one file, or its segments in their order."""

    label: str
    files: tuple[Path, ...]
    index: SegmentIndex
    """Of the one file, or of the last segment."""
    segments: int

    @property
    def last_s(self) -> Fraction:
        last = self.index.references[-1:] if len(self.files) == 1 else self.index.references
        return Fraction(sum(one.duration for one in last), self.index.timescale)


def join(group: Group, segments: Path, made: Iterable[Path]) -> None:
    """Join the last two segments of each rendition of a group whose last one is shorter than the group allows.

    segments: the packager's folder. made: the regular files in it. Raises JobError 1999 for files without an index.
    """
    assert group.packaging is not None
    least_s = group.packaging.least_final_s
    if not least_s:
        return
    try:
        found = _renditions(made, single_file=group.packaging.single_file)
        first = next((found[one.label] for one in group.outputs if one.video is not None and one.label in found), None)
        for one in found.values():
            decides = first if first is not None and first.segments == one.segments else one
            if one.segments > 1 and decides.last_s < least_s:
                _join(one, segments)
    except BoxError as exc:
        raise JobError(INTERNAL, f"the last segments cannot be joined: {exc.message}") from exc


def _renditions(made: Iterable[Path], *, single_file: bool) -> dict[str, _Rendition]:
    files: dict[str, list[Path]] = {}
    for path in made:
        label, _, number = path.stem.partition("_")
        if bool(number) != single_file and path.suffix not in (".mpd", ".m3u8") and not label.endswith("init"):
            files.setdefault(label, []).append(path)
    found = {}
    for label, paths in files.items():
        if not single_file:
            paths.sort(key=lambda path: int(path.stem.rpartition("_")[2]))
        index = _index(paths[-1])[1]
        found[label] = _Rendition(label, tuple(paths), index, index.count if single_file else len(paths))
    return found


def _index(path: Path) -> tuple[Outer, SegmentIndex]:
    """Where the index of a file lies, and what it says."""
    with OpenFile(path) as source:
        for outer in outer_boxes(source):
            if outer.type == "sidx":
                return outer, segment_index.parse(outer.payload(source, _MAX_INDEX_BYTES))
    raise BoxError(f"{path.name} has no segment index")


def _join(rendition: _Rendition, segments: Path) -> None:
    if len(rendition.files) == 1:
        moved = _join_inside(rendition.files[0], rendition.index)
    else:
        moved = _join_files(*rendition.files[-2:])
    mpd = segments / "manifest.mpd"
    if mpd.exists():
        mpd.write_bytes(_in_mpd(mpd.read_bytes(), rendition))
    for name, change in ((f"{rendition.label}.m3u8", in_playlist), (f"{rendition.label}iframe.m3u8", moved)):
        playlist = segments / name
        if playlist.exists():
            playlist.write_text(change(playlist.read_text(encoding="utf-8")), encoding="utf-8")


def _join_inside(path: Path, index: SegmentIndex) -> Callable[[str], str]:
    """Rewrite the index of a file. All that follows stays where it is: a free box takes the room of a reference."""
    place, _ = _index(path)
    with path.open("r+b") as file:
        file.seek(place.offset)
        shorter = index.joined()
        moved = replace(shorter, first_offset=shorter.first_offset + REFERENCE_BYTES)
        file.write(moved.build() + box("free", bytes(REFERENCE_BYTES - 8)))
    return lambda key_frames: key_frames


def _join_files(one: Path, last: Path) -> Callable[[str], str]:
    """Append the media of a segment to the one before, under one index. Returns how playlists of key frames change."""
    (place, index), (last_place, last_index) = _index(one), _index(last)
    whole = replace(index, references=(*index.references, *last_index.references)).build()
    part = one.with_suffix(".part")
    with one.open("rb") as source, last.open("rb") as more, part.open("wb") as target:
        target.write(source.read(place.offset))
        target.write(whole)
        source.seek(place.end)
        shutil.copyfileobj(source, target)
        ends = target.tell()
        more.seek(last_place.end)
        shutil.copyfileobj(more, target)
    part.replace(one)
    last.unlink()
    shifts = {one.name: len(whole) - place.size_bytes, last.name: ends - last_place.end}
    return lambda key_frames: _shifted(key_frames, shifts, one.name)


def _shifted(key_frames: str, shifts: dict[str, int], name: str) -> str:
    """Ranges of two files as ranges of the one that holds both now."""

    def moved(found: re.Match[str]) -> str:
        if found[4] not in shifts:
            return found[0]
        return f"{found[1]}{found[2]}@{int(found[3]) + shifts[found[4]]}\n{name}"

    return re.sub(r"(#EXT-X-BYTERANGE:)(\d+)@(\d+)\n(.+)", moved, key_frames)


def in_playlist(playlist: str) -> str:
    """A media playlist with its last two segments as one; what stands between them comes before both."""
    lines = playlist.splitlines()
    *_, one, last = (place for place, line in enumerate(lines) if line.startswith("#EXTINF:"))
    first, second = (_segment(lines[place:]) for place in (one, last))
    length_s = Fraction(first.length) + Fraction(second.length)
    kept = [f"#EXTINF:{float(length_s):.3f},"]
    if first.size_bytes is not None and second.size_bytes is not None:
        kept.append(f"#EXT-X-BYTERANGE:{first.size_bytes + second.size_bytes}{first.offset}")
    between = lines[one + first.lines : last]
    return "\n".join([*lines[:one], *between, *kept, first.name, *lines[last + second.lines :]]) + "\n"


@dataclass(frozen=True)
class _Listed:
    """A segment as a playlist lists it, over so many lines."""

    length: str
    size_bytes: int | None
    offset: str
    name: str
    lines: int


def _segment(lines: list[str]) -> _Listed:
    name = next(place for place, line in enumerate(lines) if not line.startswith("#"))
    ranged = next((found for line in lines[:name] if (found := _RANGE.match(line))), None)
    length = lines[0].removeprefix("#EXTINF:").partition(",")[0]
    size_bytes, offset = (int(ranged[1]), ranged[2] or "") if ranged else (None, "")
    return _Listed(length, size_bytes, offset, lines[name], name + 1)


def _in_mpd(mpd: bytes, rendition: _Rendition) -> bytes:
    root = etree.fromstring(mpd, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
    for representation in root.iter(f"{_MPD}Representation"):
        template = representation.find(f"{_MPD}SegmentTemplate")
        if template is not None and template.get("media", "").startswith(f"{rendition.label}_"):
            _extend(template)
        base = representation.find(f"{_MPD}SegmentBase")
        if base is not None and representation.findtext(f"{_MPD}BaseURL") == rendition.files[0].name:
            place, _ = _index(rendition.files[0])
            base.set("indexRange", f"{place.offset}-{place.end - 1}")
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _extend(template: etree._Element) -> None:
    """Make the last two durations of a SegmentTimeline one (ISO/IEC 23009-1, 5.3.9.6)."""
    timeline = template.find(f"{_MPD}SegmentTimeline")
    if timeline is None:
        raise BoxError("a SegmentTemplate without SegmentTimeline")
    durations: list[int] = []
    for _ in range(2):
        run = timeline[-1]
        durations.append(int(run.get("d", "0")))
        repeats = int(run.get("r", "0"))
        if repeats == 0 and len(timeline) > 1:
            timeline.remove(run)
        elif repeats:
            run.set("r", str(repeats - 1))
            if repeats == 1:
                del run.attrib["r"]
        else:
            run.set("d", str(sum(durations)))
            return
    etree.SubElement(timeline, f"{_MPD}S", d=str(sum(durations)))
