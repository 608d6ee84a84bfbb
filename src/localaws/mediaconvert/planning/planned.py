"""What a plan says, as values: of each output pictures, sound, container, names. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction

from localaws.media.mastering import Hdr10
from localaws.mediaconvert import naming
from localaws.mediaconvert.planning.film import Opening, Overlay, Scene, Sound, Source
from localaws.mediaconvert.settings import hls as hls_settings
from localaws.mediaconvert.settings.audio_codecs import AudioCoding
from localaws.mediaconvert.settings.captions import BurnIn, Caption, Embedded
from localaws.mediaconvert.settings.codecs import Capture, Coded
from localaws.mediaconvert.settings.containers import Container
from localaws.mediaconvert.settings.intra_codecs import Passthrough
from localaws.mediaconvert.settings.loudness import Normalization
from localaws.mediaconvert.settings.manifests import AdditionalManifest
from localaws.mediaconvert.settings.packaging import Packaging
from localaws.mediaconvert.settings.processing import PLAIN, Processing, TimecodeBurnin

_UNNAMED = naming.segments("")


@dataclass(frozen=True)
class Picture:
    """An output's frames: the scaled content, padded or cropped to the frame. Sizes in px, `sar` of the output.

    left, top: where the content lies, None in the middle.
    """

    width: int
    height: int
    content_width: int
    content_height: int
    frame_rate: Fraction
    sar: Fraction = Fraction(1)
    left: int | None = None
    top: int | None = None


@dataclass(frozen=True)
class Gop:
    """Distance of key frames in frames; `boundary_s` adds one at every multiple of so many seconds.

    closed_every: GOPs from one closed one to the next, 0 where all but the first are open.
    """

    frames: int
    boundary_s: int | None = None
    closed_every: int = 1


@dataclass(frozen=True)
class Timecode:
    """A timecode that is drawn on every frame: that of the first one, and how it looks."""

    start: str
    look: TimecodeBurnin


@dataclass(frozen=True)
class VideoTrack:
    """`active_format` is the code that the stream tells, None for none.

    `scan` is tff or bff, for the field that comes first, and empty for progressive frames. first_timecode: what
    is written of the first frame, None for nothing.
    """

    picture: Picture
    codec: Coded | Capture
    gop: Gop | None
    processing: Processing = PLAIN
    overlays: tuple[Overlay, ...] = ()
    timecode: Timecode | None = None
    active_format: int | None = None
    hdr10: Hdr10 | None = None
    scan: str = ""
    first_timecode: str | None = None

    @property
    def most_bytes_per_s(self) -> int:
        """More than a file of these pictures grows by: twice their rate, or what they are without any coding."""
        if isinstance(self.codec, Coded) and self.codec.peak_bps is not None:
            return self.codec.peak_bps // 4
        return int(4 * self.picture.width * self.picture.height * self.picture.frame_rate)


@dataclass(frozen=True)
class AudioTrack:
    """`sound` counts the plan's sounds. length_s: what it is cut to, or filled up to with silence."""

    sound: int
    channels: int
    coding: AudioCoding
    language: str | None
    label: str | None
    remix: tuple[tuple[float, ...], ...] | None = None
    normalization: Normalization | None = None
    length_s: Fraction | None = None

    @property
    def sample_rate_hz(self) -> int:
        return self.coding.sample_rate_hz


@dataclass(frozen=True)
class Output:
    """One output. `label` names its files in the work folder; `modifier` and `extension` its final keys."""

    path: str
    label: str
    modifier: str
    extension: str
    video: VideoTrack | None
    audios: tuple[AudioTrack, ...]
    container: Container
    audio_group: str | None = None
    audio_default: bool = True
    audio_automatic: bool = True
    """Whether players may choose a CMAF group's sound by themselves."""
    audio_groups: tuple[str, ...] | None = None
    """The rendition groups of sound that a CMAF group's pictures play with; None for all."""
    hls: hls_settings.HlsOutput | None = None
    asked_modifier: str = ""
    """The name modifier as the job spells it, which other settings refer to."""
    key_frames: bool = False
    """Whether a CMAF group has a playlist of this output's key frames alone."""
    describes_video: bool = False
    burn_in: BurnIn | None = None
    segments: naming.Segments = _UNNAMED
    """The names of the segments that the packager makes."""
    segment_modifier: naming.SegmentModifier | None = None
    embedded: tuple[Embedded, ...] = ()
    caption_hints: bool = False
    """Whether an MPD tells of the captions in the pictures."""

    @property
    def audio(self) -> AudioTrack | None:
        """The first track of sound: the only one, but for file groups."""
        return self.audios[0] if self.audios else None

    @property
    def burn_in_file(self) -> str:
        """The pictures of captions that are laid over this output's, below the work folder and /in."""
        return f"{self.label}.sup"

    @property
    def carrier_file(self) -> str:
        """The film that brings captions for this output's pictures, below the work folder and /in."""
        return f"{self.label}.h264"

    @property
    def captures(self) -> bool:
        return self.video is not None and isinstance(self.video.codec, Capture)

    @property
    def passes_through(self) -> bool:
        return self.video is not None and isinstance(self.video.codec, Passthrough)

    @property
    def two_passes(self) -> bool:
        return self.video is not None and isinstance(self.video.codec, Coded) and self.video.codec.two_passes

    @property
    def work_file(self) -> str:
        """What ffmpeg writes below the encode folder; a pattern for frame capture."""
        return f"{self.label}.%07d.jpg" if self.captures else f"{self.label}.{self.container.extension}"


@dataclass(frozen=True)
class CaptionOutput:
    """An output that is one track of captions. `label` names its files in the work folder."""

    path: str
    label: str
    modifier: str
    extension: str
    caption: Caption
    asked_modifier: str = ""
    segments: naming.Segments = _UNNAMED

    @property
    def work_file(self) -> str:
        """What a file group uploads or a manifest names, or WebVTT for what is yet to be packed into MP4 or cut."""
        return f"{self.label}.vtt" if self.caption.fragmented else f"{self.label}.{self.extension}"


@dataclass(frozen=True)
class Group:
    type: str
    destination: naming.Destination
    outputs: tuple[Output, ...]
    packaging: Packaging | None
    segment_s: Fraction = Fraction(0)
    fragment_s: Fraction = Fraction(0)
    captions: tuple[CaptionOutput, ...] = ()
    started: datetime | None = None
    """When the job began, which is the date of its first frame where playlists tell one."""
    manifest: str = ""
    """What the name of the manifest that shows it adds to the destination."""

    def ordered(self) -> list[Output | CaptionOutput]:
        """Pictures, sound and captions in the order that the job gives them."""
        return sorted((*self.outputs, *self.captions), key=lambda output: int(output.label.partition("o")[2]))

    def chosen(self, manifest: AdditionalManifest) -> Group:
        """The group as one of its additional manifests shows it."""
        outputs = tuple(output for output in self.outputs if output.asked_modifier in manifest.outputs)
        captions = tuple(output for output in self.captions if output.asked_modifier in manifest.outputs)
        return replace(self, outputs=outputs, captions=captions, manifest=manifest.modifier)

    def reference(self, suffix: str, manifest: str | None = None) -> str:
        """A file of the group as its manifest refers to it, or as the playlist with the suffix `manifest` does."""
        return naming.relative_reference(self.destination.base, suffix, self.manifest if manifest is None else manifest)

    @property
    def trick_play(self) -> Output | None:
        """The output whose key frames alone are a DASH rendition of their own: the first with pictures."""
        if self.packaging is None or self.packaging.mpd.key_frames is None or not self.packaging.dash:
            return None
        return next((output for output in self.outputs if output.video is not None), None)

    def manifests(self) -> dict[str, Group]:
        """Names of the group's manifests in the work folder, the main one first, and what each shows."""
        additional = self.packaging.additional if self.packaging else ()
        return {"manifest": self, **{f"additional{number}": self.chosen(one) for number, one in enumerate(additional)}}

    def manifest_modifier(self, name: str) -> str:
        """What the manifest `name` adds to the group's destination, before its extension."""
        number = name.removeprefix("additional")
        return self.packaging.additional[int(number)].modifier if self.packaging and number != name else ""

    def manifest_suffixes(self) -> list[str]:
        """What the names of the manifests add to the destination, the main ones first."""
        if self.packaging is None:
            return []
        there = {"mpd": self.packaging.dash, "m3u8": self.packaging.hls, "ism": self.packaging.smooth is not None}
        kinds = [kind for kind, made in there.items() if made]
        return [f"{self.manifest_modifier(name)}.{kind}" for name in self.manifests() for kind in kinds]

    def track_types(self) -> set[str]:
        """The tiers of the encryption contract that the group has tracks of, and needs keys for."""
        return {label for output in self.outputs if (label := self.track_type(output)) is not None}

    def track_type(self, output: Output) -> str | None:
        """Which key an output gets; None where it stays in the clear. Sound beside a picture shares the picture's."""
        if self.packaging is None or self.packaging.encryption is None:
            return None
        contract = self.packaging.encryption.contract
        if output.video is not None:
            picture = output.video.picture
            return contract.track_type("video", picture.width * picture.height)
        return None if output.audio is None else contract.track_type("audio", output.audio.channels)


@dataclass(frozen=True)
class Plan:
    """`turn` is the clockwise angle to turn frames by; None leaves it to the source's own rotation.

    `source` is the film that the outputs see: the one input, or all scenes as they follow one another.
    """

    source: Source
    turn: int | None
    groups: tuple[Group, ...]
    openings: tuple[Opening, ...]
    scenes: tuple[Scene, ...]
    sounds: tuple[Sound, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    def caption_selectors(self) -> frozenset[str]:
        """The names of the caption selectors whose text outputs show."""
        burnt = [output.burn_in.selector for output in self.outputs() if output.burn_in is not None]
        return frozenset([*burnt, *(output.caption.selector for output in self.captions())])

    def embedded_selectors(self) -> frozenset[str]:
        """The names of the caption selectors that go into pictures' own data."""
        return frozenset(one.selector for output in self.outputs() for one in output.embedded)

    @property
    def stitched(self) -> bool:
        """Whether pictures come from more than one file, or one clip of it, as it is."""
        first = self.scenes[0]
        return len(self.scenes) > 1 or first.opening is None or not first.plain

    @property
    def padding_s(self) -> Fraction:
        """How much black is put where the source has sound and no pictures, as far as it says how long these are."""
        total_s = Fraction(0)
        for scene in self.scenes:
            video = None if scene.opening is None else self.openings[scene.opening].source.video
            if scene.opening is None and scene.size is None and self.source.video is not None:
                total_s += scene.duration_s
            if scene.pad_black and video is not None:
                ends_s = scene.start_s + scene.duration_s
                first_s, last_s = Fraction(video.late_s), ends_s
                if video.duration_s is not None:
                    last_s = first_s + Fraction(video.duration_s)
                shown_s = max(min(last_s, ends_s) - max(first_s, scene.start_s), Fraction(0))
                total_s += scene.duration_s - shown_s
        return total_s

    def outputs(self) -> Iterator[Output]:
        for group in self.groups:
            yield from group.outputs

    def captions(self) -> Iterator[CaptionOutput]:
        for group in self.groups:
            yield from group.captions

    def files(self) -> list[str]:
        """The names below /in of everything that is read."""
        return [*dict.fromkeys(opening.file for opening in self.openings), *self.pictures()]

    def pictures(self) -> list[str]:
        """The names below /in of pictures that are laid over scenes and outputs, or are all that a scene shows."""
        tracks = (output.video for output in self.outputs() if output.video is not None)
        names = [scene.picture for scene in self.scenes if scene.picture is not None]
        names += [overlay.file for scene in self.scenes for overlay in scene.overlays]
        names += [overlay.file for track in tracks for overlay in track.overlays]
        return list(dict.fromkeys(names))

    def two_pass_outputs(self) -> Iterator[Output]:
        return (output for output in self.outputs() if output.two_passes)

    @property
    def counted_rate(self) -> Fraction | None:
        """The frame rate of what ffmpeg counts in its reports, the first video output; None where that captures."""
        first = next((output for output in self.outputs() if output.video is not None), None)
        return first.video.picture.frame_rate if first is not None and first.video and not first.captures else None
