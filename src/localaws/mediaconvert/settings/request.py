"""Reads CreateJob's Settings into values, and refuses by path what contradicts itself. Pure; looks at no source.

Members that are not offered at all have been refused by `settings_table` before. Source: botocore's model and the
MediaConvert API reference for each member's default.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from localaws.media.addresses import AddressRefused, object_address
from localaws.media.failures import SettingRefused
from localaws.mediaconvert import naming
from localaws.mediaconvert.settings import abr as abr_settings
from localaws.mediaconvert.settings import audio as audio_settings
from localaws.mediaconvert.settings import captions as caption_settings
from localaws.mediaconvert.settings import containers, manifests, packaging
from localaws.mediaconvert.settings import hls as hls_settings
from localaws.mediaconvert.settings import inputs as input_settings
from localaws.mediaconvert.settings import video as video_settings
from localaws.mediaconvert.settings.abr import Abr
from localaws.mediaconvert.settings.audio import Audio
from localaws.mediaconvert.settings.captions import BurnIn, Caption, Embedded
from localaws.mediaconvert.settings.codecs import H264, H265, Av1, Capture, Vp9
from localaws.mediaconvert.settings.containers import Container
from localaws.mediaconvert.settings.inputs import Input
from localaws.mediaconvert.settings.packaging import CMAF, DASH, DEFAULT_SOUND_GROUP, FILE, HLS, SMOOTH, Packaging
from localaws.mediaconvert.settings.video import Video

Json = Mapping[str, Any]

_GROUPS = {
    "CMAF_GROUP_SETTINGS": (CMAF, "CmafGroupSettings", "CMFC"),
    "DASH_ISO_GROUP_SETTINGS": (DASH, "DashIsoGroupSettings", "MPD"),
    "FILE_GROUP_SETTINGS": (FILE, "FileGroupSettings", "MP4"),
    "HLS_GROUP_SETTINGS": (HLS, "HlsGroupSettings", "M3U8"),
    "MS_SMOOTH_GROUP_SETTINGS": (SMOOTH, "MsSmoothGroupSettings", "ISMV"),
}


@dataclass(frozen=True)
class Output:
    path: str
    modifier: str
    extension: str
    video: Video | None
    audios: tuple[Audio, ...]
    container: Container
    audio_group: str | None = None
    audio_default: bool = True
    audio_automatic: bool = True
    audio_groups: tuple[str, ...] | None = None
    key_frames: bool = False
    describes_video: bool = False
    hls: hls_settings.HlsOutput | None = None
    burn_in: BurnIn | None = None
    embedded: tuple[Embedded, ...] = ()
    caption_hints: bool = False
    sound_ends_with_pictures: bool = False


@dataclass(frozen=True)
class CaptionOutput:
    """An output that is one track of captions."""

    path: str
    modifier: str
    extension: str
    caption: Caption


@dataclass(frozen=True)
class Selectors:
    """The names that outputs may take their sound and their captions by."""

    audio: frozenset[str]
    captions: frozenset[str]


@dataclass(frozen=True)
class Group:
    path: str
    type: str
    destination: str
    outputs: tuple[Output | CaptionOutput, ...]
    packaging: Packaging | None
    abr: Abr | None = None


@dataclass(frozen=True)
class Job:
    """What a job asks for. The timecode of its first frame is the input's own, zero, or `timecode_start`."""

    inputs: tuple[Input, ...]
    groups: tuple[Group, ...]
    timecode_source: str = "EMBEDDED"
    timecode_start: str | None = None

    @property
    def input_uri(self) -> str | None:
        """The file that gives outputs their names: the first that there is, None where all pictures are generated."""
        return next((given.uri for given in self.inputs if given.uri is not None), None)

    def media(self) -> list[str]:
        """The addresses of all files with pictures or sound, each once."""
        return list(dict.fromkeys(uri for given in self.inputs for uri in given.media()))

    def images(self) -> list[str]:
        """The addresses of all pictures that are laid over inputs and outputs, or shown instead of one, each once."""
        shown = [uri for given in self.inputs for uri in given.pictures()]
        videos = (output.video for output in self.outputs() if output.video is not None)
        laid = [image.uri for video in videos for image in video.processing.images]
        return list(dict.fromkeys([*shown, *laid]))

    @property
    def needs_first_frame(self) -> bool:
        """Whether an output follows what the source's frames say of their active format or of the order of fields."""
        videos = [output.video for output in self.outputs() if output.video is not None]
        return any(video.processing.active_format.of_source or video.follows_fields for video in videos)

    def outputs(self) -> Iterator[Output]:
        """All outputs with pictures or sound."""
        return (output for group in self.groups for output in group.outputs if isinstance(output, Output))

    def texts(self) -> list[str]:
        """The addresses of all caption files, each once."""
        return list(dict.fromkeys(uri for given in self.inputs for uri in given.texts()))


def read(settings: Json) -> Job:
    """Turn Settings into values. Raises SettingRefused with the path of the setting that cannot be used."""
    inputs = input_settings.read(settings)
    selectors = Selectors(
        frozenset(name for given in inputs for name in (*given.audio, *given.dynamic)),
        frozenset(name for given in inputs for name in given.captions),
    )
    groups = settings.get("OutputGroups") or []
    if not groups:
        raise SettingRefused("outputGroups", "at least one output group is needed")
    read_groups = tuple(_group(f"outputGroups[{index}]", group, selectors) for index, group in enumerate(groups))
    outputs = [output for group in read_groups for output in group.outputs]
    if all(isinstance(one, CaptionOutput) or (one.video and isinstance(one.video.codec, Capture)) for one in outputs):
        raise SettingRefused("outputGroups", "frame capture cannot be the only output of a job")
    return Job(inputs, read_groups, *_timecode(settings.get("TimecodeConfig") or {}))


def _timecode(own: Json) -> tuple[str, str | None]:
    source, start = own.get("Source", "EMBEDDED"), own.get("Start")
    if source == "SPECIFIEDSTART" and not re.fullmatch(
        r"\d\d:[0-5]\d:[0-5]\d[:;]\d\d(@\d+(\.\d+)?(:\d+)?)?", start or ""
    ):
        raise SettingRefused("timecodeConfig.start", "HH:MM:SS:FF is needed where source is SPECIFIEDSTART")
    return source, start if source == "SPECIFIEDSTART" else None


def _address(path: str, uri: str) -> None:
    try:
        object_address(uri)
    except AddressRefused as exc:
        raise SettingRefused(path, f"{exc}, got {uri[:80]!r}") from exc


def _group(path: str, group: Json, selectors: Selectors) -> Group:
    outer = group.get("OutputGroupSettings") or {}
    if "Type" not in outer:
        raise SettingRefused(f"{path}.outputGroupSettings.type", "a type is needed")
    kind, member, container = _GROUPS[outer["Type"]]
    spelled = f"{path}.outputGroupSettings.{member[0].lower()}{member[1:]}"
    for other in outer:
        if other not in ("Type", member):
            raise SettingRefused(f"{path}.outputGroupSettings", f"{other} does not belong to {outer['Type']}")
    own = outer.get(member) or {}
    uri = own.get("Destination")
    if not uri:
        raise SettingRefused(f"{spelled}.destination", "a destination is needed, for instance s3://bucket/folder/name")
    _address(f"{spelled}.destination", uri)
    _identifiers(f"{spelled}.destination", uri, naming.DESTINATION_IDENTIFIERS)
    outputs = group.get("Outputs") or []
    if not outputs:
        raise SettingRefused(f"{path}.outputs", "at least one output is needed")
    abr = abr_settings.read(path, group, kind)
    if abr is not None:
        outputs = [abr_settings.template(output, abr) for output in outputs]
    read_outputs = tuple(
        _output(f"{path}.outputs[{index}]", kind, container, output, selectors) for index, output in enumerate(outputs)
    )
    if kind == HLS and own.get("CaptionSegmentLengthControl") == "MATCH_VIDEO":
        read_outputs = tuple(_matching(output) for output in read_outputs)
    _distinct(path, read_outputs)
    if kind == HLS:
        _beside_the_group(read_outputs, stacked=abr is not None)
    _sound_groups_are_there(read_outputs)
    if kind == DASH:
        _numbered_alike(spelled, own, read_outputs)
    if kind != FILE and all(isinstance(output, CaptionOutput) for output in read_outputs):
        raise SettingRefused(f"{path}.outputs", "captions need pictures or sound in their group")
    packaged = None if kind == FILE else packaging.read(spelled, kind, own)
    if packaged is not None and packaged.encryption is not None:
        _can_be_encrypted(read_outputs, packaged.encryption.whole_segments)
    if packaged is not None:
        _key_frames_in_the_clear(packaged, read_outputs)
        manifests.check(spelled, packaged.additional, [output.modifier for output in read_outputs])
    return Group(path, kind, uri, read_outputs, packaged, abr)


def _key_frames_in_the_clear(packaged: Packaging, outputs: Sequence[Output | CaptionOutput]) -> None:
    """A range of an encrypted segment cannot be decrypted alone."""
    if packaged.encryption is None or not packaged.encryption.whole_segments:
        return
    for output in outputs:
        if isinstance(output, Output) and output.hls is not None and output.hls.key_frames:
            place = f"{output.path}.outputSettings.hlsSettings.iFrameOnlyManifest"
            raise SettingRefused(place, "INCLUDE does not go with AES128, which encrypts whole segments")


def _can_be_encrypted(outputs: Sequence[Output | CaptionOutput], whole_segments: bool) -> None:
    """AWS encrypts H.264 and H.265 alone; for samples of H.265 in transport streams there is no format."""
    for output in outputs:
        codec = output.video.codec if isinstance(output, Output) and output.video is not None else None
        if isinstance(codec, Av1 | Vp9):
            told = f"{type(codec).__name__.upper()} cannot be encrypted; use H_264 or H_265"
            raise SettingRefused(f"{output.path}.videoDescription.codecSettings.codec", told)
        in_stream = isinstance(output, Output) and output.hls is not None and output.hls.stream is not None
        if isinstance(codec, H265) and in_stream and not whole_segments:
            told = "SAMPLE_AES in transport streams is for H_264; use AES128, or a CMAF group"
            raise SettingRefused(f"{output.path}.videoDescription.codecSettings.codec", told)
        if isinstance(output, Output) and output.hls is not None and not whole_segments:
            _sound_in_samples(output)


def _sound_in_samples(output: Output) -> None:
    for number, track in enumerate(output.audios):
        if track.coding.codec != "AAC":
            place = f"{output.path}.audioDescriptions[{number}].codecSettings.codec"
            raise SettingRefused(place, "SAMPLE_AES in HLS groups is for AAC here; use AES128, or a CMAF group")


def _matching(output: Output | CaptionOutput) -> Output | CaptionOutput:
    if isinstance(output, Output):
        return output
    return replace(output, caption=replace(output.caption, match_video=True))


def _identifiers(path: str, text: str, known: frozenset[str]) -> None:
    unknown = sorted(naming.identifiers(text) - known)
    if unknown:
        raise SettingRefused(path, f"the identifier ${unknown[0]}$ is not offered here")


def _numbered_alike(path: str, own: Json, outputs: Sequence[Output | CaptionOutput]) -> None:
    """AWS: what one output of a group says of its segments' numbers all say."""
    said = {output.path: naming.identifiers(output.modifier) & set(naming.NUMBERED) for output in outputs}
    first = said[outputs[0].path]
    for place, found in said.items():
        if found != first:
            raise SettingRefused(
                f"{place}.nameModifier", "$Number$ or $Time$ must be in all outputs of a group or none"
            )
    if first and own.get("SegmentControl") != "SEGMENTED_FILES":
        raise SettingRefused(f"{path}.segmentControl", f"${min(first)}$ in name modifiers needs SEGMENTED_FILES")
    if first == {"Time"} and own.get("WriteSegmentTimelineInRepresentation") == "DISABLED":
        raise SettingRefused(f"{path}.writeSegmentTimelineInRepresentation", "$Time$ needs ENABLED")


def _distinct(path: str, outputs: Sequence[Output | CaptionOutput]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for output in outputs:
        name = (output.modifier, output.extension)
        if name in seen and not output.modifier:
            raise SettingRefused(f"{output.path}.nameModifier", f"is needed, or its files would be {seen[name]}'s")
        if name in seen:
            raise SettingRefused(f"{output.path}.nameModifier", f"is the same as {seen[name]} has")
        seen[name] = output.path


def _beside_the_group(outputs: Sequence[Output | CaptionOutput], stacked: bool) -> None:
    """The renditions of a stack are numbered, so that their playlists have names in any case."""
    for output in outputs:
        numbered = stacked and isinstance(output, Output) and output.video is not None
        if not output.modifier and not numbered:
            told = "is needed, or the output's playlist would have the group's name"
            raise SettingRefused(f"{output.path}.nameModifier", told)


def _output(path: str, kind: str, container: str, output: Json, selectors: Selectors) -> Output | CaptionOutput:
    modifier = output.get("NameModifier") or ""
    _identifiers(
        f"{path}.nameModifier", modifier, naming.DASH_IDENTIFIERS if kind == DASH else naming.OUTPUT_IDENTIFIERS
    )
    if output.get("CaptionDescriptions") and not output.get("VideoDescription"):
        return _captions(path, kind, container, output, modifier, selectors)
    video = (
        video_settings.read(f"{path}.videoDescription", output["VideoDescription"])
        if output.get("VideoDescription")
        else None
    )
    audios = tuple(
        audio_settings.read(f"{path}.audioDescriptions[{number}]", audio, selectors.audio)
        for number, audio in enumerate(output.get("AudioDescriptions") or [])
    )
    if len(audios) > 1 and kind in (DASH, CMAF):
        raise SettingRefused(f"{path}.audioDescriptions", f"each track needs an output of its own in a {kind}")
    if video is None and not audios:
        raise SettingRefused(path, "an output needs a videoDescription or an audioDescription")
    if kind in (DASH, CMAF) and video is not None and audios:
        raise SettingRefused(path, "video and audio need outputs of their own in DASH and CMAF groups")
    captures = video is not None and isinstance(video.codec, Capture)
    settings = output.get("ContainerSettings") or {}
    if captures and (kind != FILE or audios):
        raise SettingRefused(path, "frame capture needs an output of its own in a file group")
    held = _container(f"{path}.containerSettings", settings, kind, container, video, audios)
    video = _as_held(f"{path}.videoDescription", video, held)
    extension = _extension(f"{path}.extension", output.get("Extension"), kind, held, video is not None)
    hls = None
    if kind == HLS:
        hls = hls_settings.output(path, output, video is not None, len(audios))
        extension = extension if hls.stream else hls_settings.PACKED[audios[0].coding.codec][1]
    elif output.get("OutputSettings"):
        raise SettingRefused(f"{path}.outputSettings", "belongs to HLS groups")
    cmfc = settings.get("CmfcSettings") or {}
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", cmfc.get("AudioGroupId") or "audio"):
        raise SettingRefused(f"{path}.containerSettings.cmfcSettings.audioGroupId", "must be letters, digits and _ . -")
    burn_in, embedded = caption_settings.in_pictures(
        f"{path}.captionDescriptions", output.get("CaptionDescriptions") or [], selectors.captions, kind, video
    )
    return Output(
        path,
        modifier,
        extension,
        video,
        audios,
        held,
        audio_group=cmfc.get("AudioGroupId"),
        audio_default=cmfc.get("AudioTrackType", _DEFAULT_TRACK) == _DEFAULT_TRACK,
        audio_automatic=cmfc.get("AudioTrackType") != "ALTERNATE_AUDIO_NOT_AUTO_SELECT",
        audio_groups=_audio_groups(cmfc) if video is not None else None,
        key_frames=cmfc.get("IFrameOnlyManifest") == "INCLUDE" and video is not None,
        describes_video=cmfc.get("DescriptiveVideoServiceFlag") == "FLAG",
        hls=hls,
        burn_in=burn_in,
        embedded=embedded,
        caption_hints=(settings.get("MpdSettings") or {}).get("AccessibilityCaptionHints") == "INCLUDE",
        # In MXF pictures end with the sound: those after it would be lost.
        sound_ends_with_pictures=held.muxer == "mxf"
        or any(
            isinstance(own, Mapping) and own.get("AudioDuration") == "MATCH_VIDEO_DURATION" for own in settings.values()
        ),
    )


def _captions(path: str, kind: str, container: str, output: Json, modifier: str, selectors: Selectors) -> CaptionOutput:
    if output.get("AudioDescriptions"):
        raise SettingRefused(f"{path}.captionDescriptions", "sidecar captions need an output of their own")
    if output.get("OutputSettings"):
        raise SettingRefused(f"{path}.outputSettings", "does not belong to an output of captions")
    caption = caption_settings.sidecar(path, kind, output, selectors.captions)
    given = (output.get("ContainerSettings") or {}).get("Container")
    if given not in (None, "RAW" if kind == FILE else container):
        raise SettingRefused(f"{path}.containerSettings.container", f"{given} does not hold captions of a {kind}")
    extension = caption.extension
    if output.get("Extension") is not None:
        extension = _own_extension(f"{path}.extension", output["Extension"], kind)
    return CaptionOutput(path, modifier, extension, caption)


_DEFAULT_TRACK = "ALTERNATE_AUDIO_AUTO_SELECT_DEFAULT"


def _audio_groups(cmfc: Json) -> tuple[str, ...] | None:
    given = cmfc.get("AudioRenditionSets")
    return tuple(part.strip() for part in given.split(",")) if given else None


def _sound_groups_are_there(outputs: Sequence[Output | CaptionOutput]) -> None:
    """What a picture of a CMAF group is to play with must be sound of the group."""
    own = [output for output in outputs if isinstance(output, Output)]
    there = {output.audio_group or DEFAULT_SOUND_GROUP for output in own if output.audios}
    for output in own:
        for name in output.audio_groups or ():
            if name not in there:
                place = f"{output.path}.containerSettings.cmfcSettings.audioRenditionSets"
                raise SettingRefused(place, f"no output of the group has the audioGroupId {name[:64]!r}")


def _container(
    path: str, settings: Json, kind: str, container: str, video: Video | None, audios: Sequence[Audio]
) -> Container:
    codings = [audio.coding for audio in audios]
    codec = None if video is None else video.codec
    if kind == FILE:
        return containers.file(path, settings, codec, codings)
    given = settings.get("Container")
    if given is not None and given != container:
        raise SettingRefused(
            f"{path}.container", f"{given} does not belong to this output of a {kind}, {container} does"
        )
    containers.streamed(path, kind, container, codec, codings)
    return Container("mp4", "mp4")


def _as_held(path: str, video: Video | None, held: Container) -> Video | None:
    """A picture's settings with what its container makes of them."""
    if video is None:
        return None
    codec = video.codec
    # Only MP4 and MOV hold parameter sets outside of the stream; from elsewhere nobody could decode one without.
    if isinstance(codec, H265) and held.muxer not in ("mp4", "mov"):
        return replace(video, codec=replace(codec, sample_entry="hev1"))
    # ffmpeg's MXF does not say in which order pictures of H.264 are shown, and gives some one time.
    if isinstance(codec, H264) and held.muxer == "mxf":
        if codec.b_frames:
            place = f"{path}.codecSettings.h264Settings.numberBFramesBetweenReferenceFrames"
            raise SettingRefused(place, f"must be 0 in MXF here, got {codec.b_frames}")
        return replace(video, codec=replace(codec, b_frames=0))
    return video


def _extension(path: str, given: str | None, kind: str, held: Container, has_video: bool) -> str:
    if given is None:
        fixed = {CMAF: "cmfv" if has_video else "cmfa", DASH: "mp4", HLS: "ts", SMOOTH: "ismv"}
        return fixed.get(kind, held.extension)
    return _own_extension(path, given, kind)


def _own_extension(path: str, given: str, kind: str) -> str:
    if kind != FILE:
        raise SettingRefused(path, "belongs to file groups")
    if not re.fullmatch(r"[A-Za-z0-9]{1,16}", given):
        raise SettingRefused(path, f"must be 1 to 16 letters and digits, got {given[:32]!r}")
    return given
