"""Packages a Microsoft Smooth Streaming group: an .ismv or .ismt file for each output, and .ism and .ismc manifests.

Shaka Packager makes fragments and encrypts them, one file a track; `localaws.media.smooth` writes them anew. Never
encodes and never uploads. Source: [MS-SSTR]; Microsoft, "IIS Smooth Streaming On-Demand Server Manifest Format".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from localaws.media import smooth as media
from localaws.media.failures import SETTINGS, JobError
from localaws.media.keys import Keys
from localaws.media.smooth import FilePart, Recording
from localaws.media.transfer import Upload
from localaws.mediaconvert import naming
from localaws.mediaconvert.planning.planned import AudioTrack, CaptionOutput, Group, Output
from localaws.mediaconvert.settings.manifests import AdditionalManifest
from localaws.mediaconvert.settings.smooth import SmoothGroup
from penstock.errors import FormatError
from penstock.formats import smooth, ttml
from penstock.formats.languages import UNDETERMINED, three_letters
from penstock.formats.smooth import Chunk, Encoding, FileReference, Level, Stream

VIDEO = "video"


@dataclass(frozen=True)
class Part:
    """A track of an output. `file` is the packager's; `number` counts the tracks of the output's own file.

    stream: counts the tracks of what was encoded, from 0. sound: the track where it is one of sound.
    """

    output: Output
    kind: smooth.Kind
    number: int
    stream: int = 0
    sound: AudioTrack | None = None

    @property
    def file(self) -> str:
        return f"{self.output.label}_{self.stream}.mp4"


def parts(group: Group) -> list[Part]:
    """The tracks of a group, in order; where sound is combined, one that an earlier output has is left out."""
    found: list[Part] = []
    heard: set[AudioTrack] = set()
    for output in group.outputs:
        own = [] if output.video is None else [Part(output, "video", 1)]
        for stream, sound in enumerate(output.audios, start=len(own)):
            if not (_smooth(group).combine_audio and output.video and sound in heard):
                own.append(Part(output, "audio", len(own) + 1, stream, sound))
        heard.update(output.audios)
        found += own
    return found


def streams(group: Group, executable: str) -> list[str]:
    """The packager's command as far as it names streams: each track to a file of fragments of its own."""
    encryption = group.packaging.encryption if group.packaging else None
    arguments = [executable]
    for part in parts(group):
        fields = [f"in=/in/encoded/{part.output.work_file}", f"stream={part.stream}", f"output={part.file}"]
        if encryption is not None:
            track_type = group.track_type(part.output)
            fields.append(f"drm_label={track_type}" if track_type else "skip_encryption=1")
        arguments.append(",".join(fields))
    return arguments


def finish(group: Group, encoded: Path, segments: Path, final: Path, keys: Keys | None) -> None:
    """Write files and manifests into `final`; the packager's files go. encoded: where captions lie as TTML documents.

    Raises JobError 1040 for outputs that cannot be qualities of one presentation.
    """
    made = parts(group)
    try:
        recordings = {part: media.survey(segments / part.file) for part in made}
        lead = media.lead_s(list(recordings.values()))
        systems = [system for track in keys.tracks for system in track.systems] if keys else []
        boxes = media.system_boxes(systems)
        for output in group.outputs:
            own = [FilePart(recordings[part], _language(part)) for part in made if part.output is output]
            media.write_file(own, lead, boxes, final / f"{output.label}.{output.extension}")
        fragments = recordings[made[0]].chunks(lead)
        rates = {one: _write_captions(one, encoded, lead, fragments, final) for one in group.captions}
        protection = media.protection(systems)
        for name, selected in _manifests(group):
            chosen = {part: recording for part, recording in recordings.items() if _belongs(group, part, selected)}
            listed, references = _described(group, chosen, lead, _suffix(group, f"{name}.ism"))
            for one in group.manifests()[name].captions:
                stream, reference = _texts(group, one, rates[one], fragments, _suffix(group, f"{name}.ism"))
                listed.append(stream)
                references.append(reference)
            encoding: Encoding = "UTF-16" if _smooth(group).utf16 else "UTF-8"
            client = group.reference(_suffix(group, f"{name}.ismc"), _suffix(group, f"{name}.ism"))
            (final / f"{name}.ismc").write_bytes(smooth.client_manifest(listed, protection, encoding))
            (final / f"{name}.ism").write_bytes(smooth.server_manifest(client, references, encoding))
    except FormatError as exc:
        raise JobError(SETTINGS, f"no Smooth Streaming can be made of the outputs: {exc.message}") from exc
    for part in made:
        (segments / part.file).unlink()


def _write_captions(output: CaptionOutput, encoded: Path, lead: Fraction, chunks: Sequence[Chunk], final: Path) -> int:
    """Write the file of a track of captions, in fragments like the first track's. Returns its rate in bit/s."""
    cues = ttml.parse_ttml((encoded / output.work_file).read_bytes(), styled=True)
    target, caption = final / f"{output.label}.{output.extension}", output.caption
    return media.write_caption_file(cues, caption.language or "", lead, chunks, target, dict(caption.style))


def _texts(
    group: Group, output: CaptionOutput, rate_bps: int, chunks: tuple[Chunk, ...], manifest: str
) -> tuple[Stream, FileReference]:
    """A track of captions in a client manifest and in a server manifest."""
    name, language = f"text_{output.label.partition('o')[2]}", three_letters(output.caption.language or "")
    language = "" if language == UNDETERMINED else language
    file = group.reference(naming.media_file(output.modifier, output.extension), manifest)
    stream = Stream("text", name, (Level(rate_bps, smooth.CAPTIONS),), chunks, language)
    return stream, FileReference("text", file, 1, rate_bps, name, language)


def _manifests(group: Group) -> list[tuple[str, Collection[Output]]]:
    """Local name of each manifest, and the outputs that it references."""
    additional = [
        (f"additional{number}", [output for output in group.outputs if output.asked_modifier in one.outputs])
        for number, one in enumerate(_additional(group))
    ]
    return [("manifest", group.outputs), *additional]


def _belongs(group: Group, part: Part, selected: Collection[Output]) -> bool:
    """Whether a track is one of these outputs'; combined sound may lie in the file of another."""
    if part.sound is not None and _smooth(group).combine_audio:
        return any(part.sound in output.audios for output in selected)
    return part.output in selected


def _described(
    group: Group, recordings: dict[Part, Recording], lead: Fraction, manifest: str
) -> tuple[list[Stream], list[FileReference]]:
    """The streams of a manifest, and the tracks of files that its server manifest, the suffix `manifest`, names."""
    videos = [part for part in recordings if part.kind == "video"]
    audios = _once(group, [part for part in recordings if part.kind == "audio"])
    listed: list[Stream] = []
    references: list[FileReference] = []

    def add(kind: smooth.Kind, name: str, members: Sequence[Part]) -> None:
        chunks = recordings[members[0]].chunks(lead)
        rates = smooth.distinct_rates([recordings[part].bitrate_bps for part in members])
        for part in members:
            if not media.same_chunks(chunks, recordings[part].chunks(lead)):
                raise JobError(
                    SETTINGS, f"fragments of {part.output.path} do not begin with those of {members[0].output.path}"
                )
        levels = [Level(rate, smooth.codec(recordings[part].track)) for part, rate in zip(members, rates, strict=True)]
        language = _language(members[0]) if kind == "audio" else ""
        listed.append(Stream(kind, name, tuple(levels), chunks, "" if language == "und" else language))
        for part, rate in zip(members, rates, strict=True):
            suffix = naming.media_file(part.output.modifier, part.output.extension)
            file = group.reference(suffix, manifest)
            references.append(FileReference(kind, file, part.number, rate, name, listed[-1].language))

    if videos:
        add("video", VIDEO, videos)
    for number, part in enumerate(audios, start=1):
        add("audio", f"audio_{number}", [part])
    return listed, references


def _once(group: Group, audios: Iterable[Part]) -> list[Part]:
    if not _smooth(group).combine_audio:
        return list(audios)
    return list({part.sound: part for part in reversed(list(audios))}.values())[::-1]


def _language(part: Part) -> str:
    return (part.sound.language if part.sound else None) or "und"


def _additional(group: Group) -> tuple[AdditionalManifest, ...]:
    assert group.packaging is not None
    return group.packaging.additional


def _smooth(group: Group) -> SmoothGroup:
    assert group.packaging is not None
    assert group.packaging.smooth is not None
    return group.packaging.smooth


def _suffix(group: Group, local: str) -> str:
    """What follows the group's base in the final name of a manifest."""
    stem, _, extension = local.rpartition(".")
    if stem == "manifest":
        return f".{extension}"
    return f"{_additional(group)[int(stem.removeprefix('additional'))].modifier}.{extension}"


def uploads(group: Group, final: Iterable[Path]) -> list[Upload]:
    """The files of a group and the objects they become."""
    by_label = {output.label: output for output in group.ordered()}
    made = []
    for path in final:
        if path.suffix in (".ism", ".ismc"):
            suffix = _suffix(group, path.name)
        else:
            output = by_label[path.stem]
            suffix = naming.media_file(output.modifier, output.extension)
        made.append(Upload(path, group.destination.bucket, group.destination.base + suffix))
    return made
