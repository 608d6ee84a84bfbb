"""Random job settings as people may write them, of members and values that the table of settings accepts.

One number is one job. What is plausible is weighted: required members are there, rates and sizes are those of tiny
films; the rest is drawn from botocore's model. A job may still contradict itself: it is to be refused by path then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

import any_sources
from localaws.mediaconvert.answers import table
from localaws.mediaconvert.answers.rules import Refused

Json = dict[str, Any]
_BUCKET = "s3://source/inputs"
_RATES = ((24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1), (50, 1), (60000, 1001), (60, 1), (15, 1), (12, 1))
_SIZES = ((160, 90), (128, 72), (96, 54), (64, 36), (80, 80), (54, 96), (320, 180), (160, 120), (48, 48), (128, 128))
_CONTAINERS = {
    "H_264": ("MP4", "MP4", "MOV", "M2TS", "MXF", "RAW"),
    "H_265": ("MP4", "MP4", "MOV", "M2TS", "RAW"),
    "AV1": ("MP4",),
    "VP9": ("WEBM", "WEBM", "MP4"),
    "VP8": ("WEBM",),
    "MPEG2": ("M2TS", "MXF", "MOV", "RAW"),
    "PRORES": ("MOV",),
    "VC3": ("MXF", "RAW"),
    "GIF": ("GIF",),
    "UNCOMPRESSED": ("Y4M",),
    "PASSTHROUGH": ("MP4", "MOV", "M2TS"),
}
_SOUNDS = {
    "MP4": ("AAC", "AAC", "AC3", "EAC3", "MP3", "FLAC", "OPUS"),
    "MOV": ("AAC", "AC3", "EAC3", "MP3", "MP2", "WAV", "AIFF"),
    "M2TS": ("AAC", "AC3", "EAC3", "MP2", "MP3"),
    "MXF": ("WAV", "AIFF"),
    "WEBM": ("OPUS", "VORBIS"),
    "RAW": ("AAC", "AC3", "EAC3", "MP2", "MP3", "WAV", "AIFF", "FLAC"),
    "OGG": ("OPUS", "VORBIS", "FLAC"),
}
_VIDEO_MEMBERS = {
    "H_264": "H264Settings", "H_265": "H265Settings", "AV1": "Av1Settings", "VP9": "Vp9Settings", "VP8": "Vp8Settings",
    "MPEG2": "Mpeg2Settings", "PRORES": "ProresSettings", "VC3": "Vc3Settings", "GIF": "GifSettings",
    "UNCOMPRESSED": "UncompressedSettings", "PASSTHROUGH": "PassthroughSettings",
}  # fmt: skip
_LOSSY = ("H_264", "H_265", "AV1", "VP9", "VP8", "MPEG2")
# Integers by their names, where the model's bounds say nothing of what people write.
_USUAL: dict[str, Sequence[Any]] = {
    "Bitrate": (50_000, 100_000, 300_000, 1_000_000, 5_000_000, 50_000_000),
    "MaxBitrate": (100_000, 500_000, 2_000_000, 10_000_000, 80_000_000),
    "MaxAverageBitrate": (80_000, 300_000, 1_000_000),
    "HrdBufferSize": (0, 100_000, 1_000_000, 20_000_000),
    "GopSize": (1, 2, 0.5, 12, 15, 25, 30, 48, 60, 90, 250, 1.001, 300),
    "MinIInterval": (0, 1, 5, 12),
    "Slices": (1, 2, 3, 4, 8),
    "Width": (64, 96, 128, 160, 176, 320),
    "Height": (36, 48, 64, 90, 96, 120, 180),
    "X": (0, 2, 8, 16),
    "Y": (0, 2, 8, 16),
    "FontSize": (10, 16, 32, 48),
    "SampleRate": (48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 96_000, 8_000),
    "BitDepth": (16, 24),
    "SegmentLength": (1, 2, 3, 4, 6, 10, 30),
    "FragmentLength": (1, 2, 3, 4),
    "MinFinalSegmentLength": (0, 1, 1.5, 2),
    "SegmentsPerSubdirectory": (1, 2, 10),
    "MinBufferTime": (0, 500, 2000),
    "Offset": (-500, -100, 0, 100, 700),
    "AggressiveMode": (0,),
    "ParNumerator": (1, 4, 16, 12, 40),
    "ParDenominator": (1, 3, 11, 33),
    "ThumbnailWidth": (32, 64, 96),
    "ThumbnailHeight": (18, 36, 54),
    "TileWidth": (1, 2, 5),
    "TileHeight": (1, 2, 5),
    "ThumbnailInterval": (0.2, 0.5, 1.0, 2.0),
    "Tracks": (1,),
    "PtsOffset": (0, 1, 10, 500),
    "AudioPids": (482, 500, 501),
    "PatInterval": (0, 100, 500),
    "MaxPcrInterval": (0, 20, 80),
    "ProgramNumber": (0, 1, 7),
    "VideoPid": (481, 100, 256),
    "PmtPid": (480, 4096),
    "TargetLkfs": (-23, -16, -31.5),
    "TruePeakLimiterThreshold": (0, -1, -2.5),
    "Channels": (0, 1, 2, 2, 4, 6, 8),
    "MaxAbrBitrate": (1_000_000, 5_000_000),
    "MinAbrBitrate": (100_000, 300_000),
}
_TEXTS: dict[str, Sequence[str]] = {
    "Prefix": ("TC ", "100% {x}:'q\\"),
    "StreamName": ("English", "Ton für Blinde"),
    "LanguageDescription": ("English", "Français"),
    "CustomLanguageCode": ("eng", "de", "fra", "pt-BR"),
    "SegmentModifier": ("$dt$", "-s", "_$w$x$h$"),
    "HexFontColor": ("ff0000", "00ff0080"),
    "AudioGroupId": ("audio", "program_audio", "a-b.c"),
    "StartTimecode": ("00:00:00:00", "00:00:00:05", "00:00:00:10"),
    "EndTimecode": ("00:00:00:12", "00:00:00:15", "00:00:01:00"),
    "AudioChannelConfigSchemeIdUri": ("urn:mpeg:mpegB:cicp:ChannelConfiguration",),
    "BaseUrl": ("https://cdn.example/films/",),
}
# Members that are drawn by a function of their own, or belong to another test.
_NEVER = frozenset({
    "Encryption", "AdditionalManifests", "DestinationSettings", "Destination", "CodecSettings", "AudioSourceName",
    "RemixSettings", "ImageInserter", "Extension", "Width", "Height", "ImageInput", "AudioRenditionSets", "Preset",
    "CaptionLanguageMappings", "CaptionLanguageSetting", "Hdr10Metadata", "ExternalAudioFileInput",
    "AudioSelectorGroups", "Rules", "TimecodeStart", "Start", "Source", "TimecodeSource", "InputClippings",
    "ImageBasedTrickPlayVariants", "DashIFrameTrickPlayNameModifier", "ImageBasedTrickPlaySettings", "ClipLimits",
    "HdrToSdrToneMapper", "ProgramNumber", "ProgramSelection",
})  # fmt: skip


@dataclass
class AnyJob:
    """Settings, and what the files that they name are: the kind of a source, `captions` or `image`, in their order."""

    settings: Json
    kinds: list[str] = field(default_factory=list)


def job(seed: int) -> AnyJob:
    """The job of a number, the same each time."""
    return _Maker(Random(seed)).job()


class _Maker:
    def __init__(self, random: Random) -> None:
        self._random = random
        self._texts: list[str] = []
        self._images: list[str] = []
        self._selectors: list[str] = []

    def _maybe(self, likelihood: float) -> bool:
        return self._random.random() < likelihood

    def job(self) -> AnyJob:
        count = self._random.choices((1, 2, 3), (8, 2, 1))[0]
        kinds = [self._random.choice(list(any_sources.SOURCES)) for _ in range(count)]
        self._sound_alone = all(kind in any_sources.SOUND_ALONE for kind in kinds)
        if self._maybe(0.3):
            self._selectors.append("Captions 1")
        inputs = [self._input(number, kind) for number, kind in enumerate(kinds)]
        if self._maybe(0.05):
            inputs.insert(self._random.randrange(len(inputs) + 1), self._black())
        groups = [self._group() for _ in range(self._random.choices((1, 2, 3), (6, 2, 1))[0])]
        settings: Json = {"Inputs": inputs, "OutputGroups": groups}
        if self._maybe(0.2):
            source = self._random.choice(("EMBEDDED", "ZEROBASED", "SPECIFIEDSTART"))
            settings["TimecodeConfig"] = {"Source": source}
            if source == "SPECIFIEDSTART":
                settings["TimecodeConfig"]["Start"] = self._random.choice(("01:00:00:00", "23:59:59:20", "00:00:59;28"))
        return AnyJob(settings, [*kinds, *self._texts, *self._images])

    # Inputs

    def _input(self, number: int, kind: str) -> Json:
        found = self._drawn("Input", 0.06)
        found["FileInput"] = f"{_BUCKET}/{kind}-{number}"
        if "Position" in found and number:
            found.pop("Position")
        for member in (
            "AudioSelectors",
            "CaptionSelectors",
            "DynamicAudioSelectors",
            "VideoGenerator",
            "VideoSelector",
        ):
            found.pop(member, None)
        if self._maybe(0.3):
            selector = self._drawn("VideoSelector", 0.25)
            selector.pop("ColorSpace", None)
            found["VideoSelector"] = selector
        if self._maybe(0.25):
            found["InputClippings"] = [self._clip() for _ in range(self._random.choice((1, 1, 2)))]
            found["TimecodeSource"] = self._random.choice(("ZEROBASED", "ZEROBASED", "EMBEDDED"))
        selector = {"DefaultSelection": "DEFAULT"}
        if self._maybe(0.2):
            selector |= {"Offset": self._random.choice(_USUAL["Offset"])}
        if self._maybe(0.2):
            selector |= {"SelectorType": "TRACK", "Tracks": [self._random.choice((1, 1, 1, 2))]}
        found["AudioSelectors"] = {"Audio Selector 1": selector}
        if self._selectors:
            source = {"SourceType": "SRT", "FileSourceSettings": {"SourceFile": f"{_BUCKET}/captions.srt"}}
            found["CaptionSelectors"] = {self._selectors[0]: {"SourceSettings": source}}
            self._texts = ["captions"]
        if self._maybe(0.04):
            found["ImageInserter"] = {"InsertableImages": [self._image()]}
        return found

    def _clip(self) -> Json:
        start = {"StartTimecode": self._random.choice(_TEXTS["StartTimecode"])} if self._maybe(0.6) else {}
        return {**start, "EndTimecode": self._random.choice(_TEXTS["EndTimecode"])}

    def _black(self) -> Json:
        rate = self._random.choice(_RATES)
        generator = {"Duration": self._random.choice((100, 500, 1000)), "FramerateNumerator": rate[0]}
        return {"VideoGenerator": {**generator, "FramerateDenominator": rate[1]}}

    def _image(self) -> Json:
        found = self._drawn("InsertableImage", 0.3)
        found |= {"ImageInserterInput": f"{_BUCKET}/logo.png", "Layer": self._random.randrange(4)}
        found |= {"ImageX": self._random.choice((0, 4, 30)), "ImageY": self._random.choice((0, 4, 30))}
        for member in ("StartTime", "Duration", "FadeIn", "FadeOut", "Width", "Height"):
            found.pop(member, None)
        if self._maybe(0.4):
            found |= {"StartTime": "00:00:00:05", "Duration": 400, "FadeIn": 100, "FadeOut": 100}
        self._images = ["image"]
        return found

    # Groups

    def _group(self) -> Json:
        kind = self._random.choices(("FILE", "HLS", "CMAF", "DASH_ISO", "MS_SMOOTH"), (9, 4, 3, 3, 2))[0]
        member = {"FILE": "FileGroupSettings", "HLS": "HlsGroupSettings", "CMAF": "CmafGroupSettings",
                  "DASH_ISO": "DashIsoGroupSettings", "MS_SMOOTH": "MsSmoothGroupSettings"}[kind]  # fmt: skip
        own = self._drawn(member, 0.12)
        own["Destination"] = f"s3://media/{self._random.randrange(10**6)}/main"
        if kind != "FILE":
            own["FragmentLength"] = self._random.choice((1, 1, 2, 2, 3))
            own["SegmentLength"] = own["FragmentLength"] * self._random.choice((1, 1, 2, 3))
        if kind in ("HLS", "MS_SMOOTH"):
            own.pop("FragmentLength" if kind == "HLS" else "SegmentLength")
        outputs = self._file_outputs() if kind == "FILE" else self._stack(kind)
        for number, output in enumerate(outputs):
            output["NameModifier"] = f"_{number}" + self._random.choice(
                ("", "", "$w$x$h$" if "VideoDescription" in output else "")
            )
        settings = {"Type": f"{kind}_GROUP_SETTINGS", member: own}
        return {"Name": kind, "OutputGroupSettings": settings, "Outputs": outputs}

    def _file_outputs(self) -> list[Json]:
        return [self._file_output() for _ in range(self._random.choices((1, 2, 3), (5, 2, 1))[0])]

    def _file_output(self) -> Json:
        if self._selectors and self._maybe(0.1):
            return self._sidecar(("SRT", "WEBVTT", "TTML", "IMSC", "SCC", "SMI"))
        if self._sound_alone or self._maybe(0.15):
            container = self._random.choice(list(_SOUNDS))
            return {"ContainerSettings": self._container(container), "AudioDescriptions": [self._sound(container)]}
        if self._maybe(0.06):
            capture = {
                "FramerateNumerator": self._random.choice((1, 5, 25)),
                "FramerateDenominator": self._random.choice((1, 2)),
            }
            codec = {
                "Codec": "FRAME_CAPTURE",
                "FrameCaptureSettings": {**capture, "MaxCaptures": self._random.choice((1, 3, 100))},
            }
            return {"ContainerSettings": {"Container": "RAW"}, "VideoDescription": self._video(codec)}
        name = self._random.choices(list(_CONTAINERS), (16, 8, 2, 3, 2, 4, 3, 1, 1, 1, 2))[0]
        container = self._random.choice(_CONTAINERS[name])
        output: Json = {
            "ContainerSettings": self._container(container),
            "VideoDescription": self._video(self._codec(name)),
        }
        if name == "VC3":
            output["VideoDescription"] |= {"Width": 1280, "Height": 720}
        if container in _SOUNDS and container != "RAW" and self._maybe(0.75):
            tracks = self._random.choices((1, 2), (6, 1))[0] if container != "WEBM" else 1
            output["AudioDescriptions"] = [self._sound(container) for _ in range(tracks)]
        self._pictured(output, name)
        return output

    def _pictured(self, output: Json, codec: str) -> None:
        """Captions in pictures."""
        if not self._selectors or not self._maybe(0.2):
            return
        kind = self._random.choice(("BURN_IN", "EMBEDDED")) if codec in ("H_264", "H_265", "MPEG2") else "BURN_IN"
        destination: Json = {"DestinationType": kind}
        if kind == "BURN_IN":
            destination["BurninDestinationSettings"] = self._drawn("BurninDestinationSettings", 0.15)
        described = {"CaptionSelectorName": self._selectors[0], "DestinationSettings": destination}
        output["CaptionDescriptions"] = [described]

    def _sidecar(self, kinds: Sequence[str]) -> Json:
        destination = {"DestinationType": self._random.choice(kinds)}
        described = {
            "CaptionSelectorName": self._selectors[0],
            "LanguageCode": "ENG",
            "DestinationSettings": destination,
        }
        return {"CaptionDescriptions": [described]}

    def _stack(self, kind: str) -> list[Json]:
        """Pictures at one rate of frames and one length of GOPs, as groups need them, and sound."""
        names = {"HLS": ("H_264", "H_264", "H_265"), "MS_SMOOTH": ("H_264", "H_264", "H_265")}.get(
            kind, ("H_264", "H_264", "H_265", "AV1", "VP9")
        )
        container = {"HLS": "M3U8", "CMAF": "CMFC", "DASH_ISO": "MPD", "MS_SMOOTH": "ISMV"}[kind]
        rate = self._random.choice(_RATES) if self._maybe(0.5) else None
        outputs: list[Json] = []
        if not self._sound_alone:
            for _ in range(self._random.choices((1, 2, 3), (4, 3, 1))[0]):
                name = self._random.choice(names)
                codec = self._codec(name)
                own = codec[_VIDEO_MEMBERS[name]]
                for member in (
                    "FramerateControl",
                    "FramerateNumerator",
                    "FramerateDenominator",
                    "Telecine",
                    "InterlaceMode",
                ):
                    own.pop(member, None)
                if name in ("H_264", "H_265"):
                    own |= {"GopSize": 1, "GopSizeUnits": "SECONDS"}
                else:
                    own |= {"GopSize": round((rate or (25, 1))[0] / (rate or (25, 1))[1])}
                if rate is not None:
                    own |= _rate(rate)
                outputs.append({"VideoDescription": self._video(codec)})
                if kind in ("HLS", "MS_SMOOTH") and self._maybe(0.5):
                    outputs[-1]["AudioDescriptions"] = [self._sound("AAC")]
                self._pictured(outputs[-1], name)
        for _ in range(self._random.choices((0, 1, 2), (2, 5, 2))[0] if outputs else 1):
            outputs.append({"AudioDescriptions": [self._sound("AAC" if kind == "MS_SMOOTH" else "M3U8")]})
        member = {"M3U8": "M3u8Settings", "CMFC": "CmfcSettings", "MPD": "MpdSettings"}.get(container)
        for output in outputs:
            output["ContainerSettings"] = {"Container": container}
            if member is not None and self._maybe(0.3):
                output["ContainerSettings"][member] = self._drawn(member, 0.1)
            if kind == "HLS" and self._maybe(0.5):
                output["OutputSettings"] = {"HlsSettings": self._drawn("HlsSettings", 0.2)}
        if self._selectors and self._maybe(0.4):
            kinds = {"HLS": ("WEBVTT",), "CMAF": ("WEBVTT", "IMSC", "TTML"), "DASH_ISO": ("TTML", "IMSC", "WEBVTT")}
            if kind in kinds:
                outputs.append({**self._sidecar(kinds[kind]), "ContainerSettings": {"Container": container}})
        return outputs

    # Pictures and sound

    def _video(self, codec: Json) -> Json:
        found = self._drawn("VideoDescription", 0.06)
        found.pop("VideoPreprocessors", None)
        if self._maybe(0.2):
            found["VideoPreprocessors"] = self._drawn("VideoPreprocessor", 0.3)
        for member in ("TimecodeTrack", "FixedAfd", "AfdSignaling"):
            if self._maybe(0.7):
                found.pop(member, None)
        if self._maybe(0.6):
            size = self._random.choice(_SIZES)
            found |= {"Width": size[0], "Height": size[1]}
            if self._maybe(0.3):
                found.pop(self._random.choice(("Width", "Height")))
        if codec["Codec"] == "PASSTHROUGH":
            found = {}
        if self._maybe(0.05) and codec["Codec"] != "PASSTHROUGH":
            found.setdefault("VideoPreprocessors", {})["ImageInserter"] = {"InsertableImages": [self._image()]}
        return {**found, "CodecSettings": codec}

    def _codec(self, name: str) -> Json:
        member = _VIDEO_MEMBERS[name]
        own = self._drawn(member, self._random.choice((0.0, 0.05, 0.15)))
        for other in ("FramerateControl", "FramerateNumerator", "FramerateDenominator", "GopSize", "GopSizeUnits"):
            own.pop(other, None)
        if name != "PASSTHROUGH" and self._maybe(0.4):
            own |= _rate(self._random.choice(_RATES[:-2] if name in ("MPEG2", "VC3") else _RATES))
        if name in _LOSSY:
            self._rated(name, own)
            if self._maybe(0.6):
                units = self._random.choice(("FRAMES", "SECONDS"))
                sizes = (1, 2, 0.5, 1.5, 3) if units == "SECONDS" else (1, 2, 12, 15, 25, 48, 60, 90, 250)
                own |= {"GopSize": self._random.choice(sizes)}
                if name not in ("VP8", "VP9", "AV1"):
                    own |= {"GopSizeUnits": units}
        if own.get("Telecine") == "HARD":
            own |= {"InterlaceMode": "INTERLACED" if name == "VC3" else "TOP_FIELD", **_rate((30000, 1001))}
        if own.get("ParControl") == "SPECIFIED":
            own |= {"ParNumerator": self._random.choice((1, 4, 16)), "ParDenominator": self._random.choice((1, 3, 11))}
        return {"Codec": name, member: own}

    def _rated(self, name: str, own: Json) -> None:
        modes = {"AV1": ("QVBR", "CBR"), "VP8": ("VBR",), "VP9": ("VBR",), "MPEG2": ("VBR", "CBR")}
        mode = self._random.choice(modes.get(name, ("QVBR", "QVBR", "VBR", "CBR")))
        for member in ("Bitrate", "MaxBitrate", "QvbrSettings"):
            own.pop(member, None)
        own["RateControlMode"] = mode
        if mode == "QVBR":
            own["MaxBitrate"] = self._random.choice(_USUAL["MaxBitrate"])
            if self._maybe(0.4):
                own["QvbrSettings"] = {"QvbrQualityLevel": self._random.randrange(1, 11)}
        else:
            own["Bitrate"] = self._random.choice(_USUAL["Bitrate"])
            if mode == "VBR" and self._maybe(0.4):
                own["MaxBitrate"] = own["Bitrate"] * self._random.choice((1, 2))

    def _sound(self, container: str) -> Json:
        codec = self._random.choice(
            _SOUNDS.get(container, ("AAC",) if container == "AAC" else ("AAC", "AAC", "AC3", "EAC3"))
        )
        member = codec.capitalize() + "Settings"
        own = self._drawn(member, 0.25)
        if (codec == "AAC" and own.get("RateControlMode") != "VBR") or codec in ("MP2", "MP3"):
            own["Bitrate"] = self._random.choice((32_000, 64_000, 96_000, 128_000, 192_000, 256_000, 320_000))
        if codec in ("AC3", "EAC3"):
            own["Bitrate"] = self._random.choice((96_000, 128_000, 192_000, 384_000, 448_000, 640_000))
        if codec == "OPUS":
            own["Bitrate"] = self._random.choice((32_000, 96_000, 192_000))
        if codec in ("AC3", "EAC3", "OPUS"):
            own.pop("SampleRate", None)
        found = self._drawn("AudioDescription", 0.08)
        found |= {"CodecSettings": {"Codec": codec, member: own}}
        found["AudioSourceName"] = "Audio Selector 1"
        if self._maybe(0.15):
            modes = {"CODING_MODE_1_0": 1, "CODING_MODE_2_0": 2, "CODING_MODE_5_1": 6, "CODING_MODE_3_2_LFE": 6}
            wide = modes.get(own.get("CodingMode", "")) or (
                own.get("Channels", 2) if codec not in ("AAC", "AC3", "EAC3") else None
            )
            found["RemixSettings"] = self._remix(wide or self._random.choice((1, 2, 6)))
        return found

    def _remix(self, outs: int) -> Json:
        ins = self._random.choice((1, 2, 6, 8))
        columns = [{"InputChannels": [self._random.choice((-60, 0, 0, -6)) for _ in range(ins)]} for _ in range(outs)]
        return {"ChannelMapping": {"OutputChannels": columns}, "ChannelsIn": ins, "ChannelsOut": outs}

    def _container(self, name: str) -> Json:
        found: Json = {"Container": name}
        member = {"MP4": "Mp4Settings", "MOV": "MovSettings", "M2TS": "M2tsSettings", "MXF": "MxfSettings"}.get(name)
        if member is not None and self._maybe(0.3):
            found[member] = self._drawn(member, 0.1)
        return found

    # Of the model

    def _drawn(self, shape_name: str, likelihood: float) -> Json:
        """Members of a structure, each with a likelihood, with a value that the model and the table have."""
        shape = _structures()[shape_name]
        found = {}
        for name, member in sorted(shape.members.items()):
            rule = table.rule_of(shape_name, name)
            if isinstance(rule, Refused) or name in _NEVER or not self._maybe(likelihood):
                continue
            if rule.only is not None and not isinstance(member, StructureShape | ListShape | MapShape):
                found[name] = self._random.choice(sorted(rule.only, key=str))
            elif (value := self._value(name, member)) not in (None, {}, []):
                found[name] = value
        return found

    def _value(self, name: str, shape: Shape) -> Any:
        if shape.name == "Rectangle":
            width, height = self._random.choice(((64, 36), (32, 32), (96, 54), (16, 16)))
            return {
                "X": self._random.choice((0, 2, 8)),
                "Y": self._random.choice((0, 4)),
                "Width": width,
                "Height": height,
            }
        if isinstance(shape, StructureShape):
            return self._drawn(shape.name, 0.5)
        if isinstance(shape, ListShape):
            return [value for _ in range(2) if (value := self._value(name, shape.member)) is not None]
        if isinstance(shape, MapShape):
            return None
        if shape.type_name in ("integer", "long", "double", "float"):
            return self._number(name, shape)
        if enumeration := getattr(shape, "enum", None):
            return self._random.choice(enumeration)
        return self._random.choice(_TEXTS[name]) if name in _TEXTS else None

    def _number(self, name: str, shape: Shape) -> Any:
        low, high = shape.metadata.get("min", 0), shape.metadata.get("max", 1000)
        fits = [value for value in _USUAL.get(name, ()) if low <= value <= high]
        if shape.type_name in ("integer", "long"):
            fits = [value for value in fits if value == int(value)]
        if fits:
            return self._random.choice(fits)
        if shape.type_name in ("integer", "long"):
            return self._random.choice((low, high, self._random.randint(low, high)))
        return round(self._random.uniform(low, high), 3)


def _rate(rate: tuple[int, int]) -> Json:
    return {"FramerateControl": "SPECIFIED", "FramerateNumerator": rate[0], "FramerateDenominator": rate[1]}


@cache
def _structures() -> dict[str, StructureShape]:
    return {shape.name: shape for _, shape in table.shapes()}
