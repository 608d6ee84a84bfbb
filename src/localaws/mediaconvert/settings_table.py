"""One table that answers for the members of CreateJob: honoured, within limits, without effect here, or refused.

A member that the table does not name is refused by its path; nothing is dropped in silence. The table knows no values
of a running job and starts nothing. Shapes and members are those of botocore's model of MediaConvert (2017-08-29).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.session import get_session


class SettingRefused(Exception):
    """A setting that cannot be done here. `path` as the request spells it, `reason` a sentence without a full stop."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class Honoured:
    """Does what AWS documents. `only` bounds the values, `limits` says in words what differs."""

    only: frozenset[object] | None = None
    limits: str = ""


@dataclass(frozen=True)
class NoEffect:
    """Accepted because output on one machine is the same with and without it; the job's Messages.Info says so."""

    why: str
    only: frozenset[object] | None = None


Rule = Honoured | NoEffect
YES = Honoured()


def only(*values: object, limits: str = "") -> Honoured:
    return Honoured(frozenset(values), limits)


def within(limits: str) -> Honoured:
    return Honoured(None, limits)


def ignored(why: str, *values: object) -> NoEffect:
    return NoEffect(why, frozenset(values) if values else None)


_TIMECODES = "timecodes are not written"
_PRESENTATION: dict[str, Rule] = {
    "AudioDuration": only("DEFAULT_CODEC_DURATION"),
    "C2paManifest": only("EXCLUDE"),
    "KlvMetadata": only("NONE"),
    "ManifestMetadataSignaling": only("DISABLED"),
    "Scte35Esam": only("NONE"),
    "Scte35Source": only("NONE"),
    "TimedMetadata": only("NONE"),
}
_SEGMENTED_GROUP: dict[str, Rule] = {
    "Destination": within("$dt$ $d$ $t$ $fn$ are expanded"),
    "DestinationSettings": YES,
    "Encryption": YES,
    "DashManifestStyle": only("BASIC", limits="every Representation carries its SegmentTimeline"),
    "FragmentLength": YES,
    "ImageBasedTrickPlay": only("NONE"),
    "MinBufferTime": within("milliseconds, as AWS has it"),
    "MinFinalSegmentLength": only(0, 0.0),
    "MpdManifestBandwidthType": only("AVERAGE", "MAX"),
    "MpdProfile": YES,
    "PtsOffsetHandlingForBFrames": only("ZERO_BASED"),
    "SegmentControl": YES,
    "SegmentLength": YES,
    "SegmentLengthControl": only("EXACT", "GOP_MULTIPLE"),
    "VideoCompositionOffsets": ignored("offsets are written so that presentation starts at zero"),
    "WriteSegmentTimelineInRepresentation": ignored("the SegmentTimeline is always written", "ENABLED", "DISABLED"),
}

TABLE: Mapping[str, Mapping[str, Rule]] = {
    "CreateJobRequest": {
        "AccelerationSettings": YES,
        "BillingTagsSource": ignored("nothing is billed"),
        "ClientRequestToken": within("remembered for as long as the job is, not for one minute"),
        "HopDestinations": YES,
        "JobEngineVersion": ignored("there is one version of the engine here"),
        "JobTemplate": within("custom templates; there are no system templates here"),
        "Priority": YES,
        "Queue": within("by name; the account and region of an ARN are not looked at"),
        "Role": ignored("roles are not checked"),
        "Settings": YES,
        "SimulateReservedQueue": only("DISABLED"),
        "StatusUpdateInterval": YES,
        "Tags": YES,
        "UserMetadata": YES,
    },
    "HopDestination": {"Priority": YES, "Queue": YES, "WaitMinutes": YES},
    "AccelerationSettings": {"Mode": ignored("encoding uses all cores anyway", "DISABLED", "PREFERRED")},
    "JobSettings": {
        "AdAvailOffset": ignored("there are no ad avails", 0),
        "Inputs": within("one input"),
        "OutputGroups": YES,
        "TimecodeConfig": ignored(_TIMECODES),
    },
    "Input": {
        "AudioSelectors": YES,
        "DeblockFilter": only("DISABLED"),
        "DenoiseFilter": only("DISABLED"),
        "FileInput": within("s3:// only"),
        "FilterEnable": ignored("no input filter is applied", "AUTO", "DISABLE"),
        "FilterStrength": ignored("no input filter is applied"),
        "InputScanType": only("AUTO"),
        "ProgramNumber": only(0, 1),
        "PsiControl": ignored("the container's own tables are used"),
        "TimecodeSource": ignored(_TIMECODES),
        "VideoSelector": YES,
    },
    "AudioSelector": {
        "AudioDurationCorrection": only("DISABLED"),
        "DefaultSelection": YES,
        "Offset": only(0),
        "ProgramSelection": only(0, 1),
        "SelectorType": only("TRACK"),
        "Tracks": within("one track"),
    },
    "VideoSelector": {
        "AlphaBehavior": only("DISCARD"),
        "ColorSpace": only("FOLLOW"),
        "ColorSpaceUsage": ignored("the colour space of the source is followed", "FORCE", "FALLBACK"),
        "PadVideo": only("DISABLED"),
        "ProgramNumber": only(0, 1),
        "Rotate": YES,
        "SampleRange": only("FOLLOW"),
        "SelectorType": only("AUTO"),
    },
    "OutputGroup": {"CustomName": YES, "Name": YES, "OutputGroupSettings": YES, "Outputs": YES},
    "OutputGroupSettings": {
        "Type": only("CMAF_GROUP_SETTINGS", "DASH_ISO_GROUP_SETTINGS", "FILE_GROUP_SETTINGS"),
        "CmafGroupSettings": YES,
        "DashIsoGroupSettings": YES,
        "FileGroupSettings": YES,
    },
    "FileGroupSettings": {"Destination": within("$dt$ $d$ $t$ $fn$ are expanded"), "DestinationSettings": YES},
    "DashIsoGroupSettings": {**_SEGMENTED_GROUP, "HbbtvCompliance": only("NONE")},
    "CmafGroupSettings": {
        **_SEGMENTED_GROUP,
        "ClientCache": only("ENABLED"),
        "CodecSpecification": ignored("codecs are always written as RFC 6381 says"),
        "ManifestCompression": only("NONE"),
        "ManifestDurationFormat": only("FLOATING_POINT"),
        "StreamInfResolution": only("INCLUDE"),
        "TargetDurationCompatibilityMode": only("LEGACY"),
        "WriteDashManifest": YES,
        "WriteHlsManifest": YES,
    },
    "DestinationSettings": {"S3Settings": YES},
    "S3DestinationSettings": {
        "AccessControl": YES,
        "StorageClass": ignored("the store has one storage class"),
    },
    "S3DestinationAccessControl": {
        "CannedAcl": ignored(
            "the store keeps no ACLs, objects stay private", "BUCKET_OWNER_READ", "BUCKET_OWNER_FULL_CONTROL"
        ),
    },
    "DashIsoEncryptionSettings": {
        "PlaybackDeviceCompatibility": only("CENC_V1"),
        "SpekeKeyProvider": YES,
    },
    "CmafEncryptionSettings": {
        "ClearLeadSegments": only(0),
        "ConstantInitializationVector": YES,
        "EncryptionMethod": YES,
        "InitializationVectorInManifest": only("INCLUDE"),
        "SpekeKeyProvider": YES,
        "Type": only("SPEKE"),
    },
    "SpekeKeyProvider": {
        "EncryptionContractConfiguration": YES,
        "ResourceId": YES,
        "SystemIds": YES,
        "Url": within("https, or http to a loopback address"),
    },
    "SpekeKeyProviderCmaf": {
        "DashSignaledSystemIds": YES,
        "EncryptionContractConfiguration": YES,
        "HlsSignaledSystemIds": YES,
        "ResourceId": YES,
        "Url": within("https, or http to a loopback address"),
    },
    "EncryptionContractConfiguration": {
        "SpekeAudioPreset": only("PRESET_AUDIO_1", "SHARED", "UNENCRYPTED"),
        "SpekeVideoPreset": only("PRESET_VIDEO_1", "SHARED", "UNENCRYPTED"),
    },
    "Output": {
        "AudioDescriptions": within("one for each output"),
        "ContainerSettings": YES,
        "Extension": YES,
        "Preset": within("custom presets; there are no system presets here"),
        "NameModifier": within("$dt$ $d$ $t$ $rv$ $ra$ $rc$ $w$ $h$ $f$ $fn$ $ex$ are expanded"),
        "VideoDescription": YES,
    },
    "ContainerSettings": {
        "CmfcSettings": YES,
        "Container": only("CMFC", "MP4", "MPD", "RAW"),
        "Mp4Settings": YES,
        "MpdSettings": YES,
    },
    "CmfcSettings": {
        **_PRESENTATION,
        "AudioGroupId": YES,
        "AudioTrackType": only("ALTERNATE_AUDIO_AUTO_SELECT_DEFAULT", "ALTERNATE_AUDIO_AUTO_SELECT"),
        "DescriptiveVideoServiceFlag": only("DONT_FLAG"),
        "IFrameOnlyManifest": only("EXCLUDE"),
    },
    "MpdSettings": {**_PRESENTATION, "AccessibilityCaptionHints": ignored("there are no captions")},
    "Mp4Settings": {
        "AudioDuration": only("DEFAULT_CODEC_DURATION"),
        "C2paManifest": only("EXCLUDE"),
        "CslgAtom": ignored("players find the same times without the box"),
        "CttsVersion": only(0),
        "FreeSpaceBox": only("EXCLUDE"),
        "MoovPlacement": YES,
        "Mp4MajorBrand": YES,
    },
    "VideoDescription": {
        "AfdSignaling": only("NONE"),
        "AntiAlias": ignored("AWS applies it always and so do we"),
        "CodecSettings": YES,
        "ColorMetadata": ignored("the colour of the source is signalled", "INSERT"),
        "DropFrameTimecode": ignored(_TIMECODES),
        "Height": within("even numbers, as 4:2:0 needs"),
        "RespondToAfd": only("NONE"),
        "ScalingBehavior": only("DEFAULT", "STRETCH_TO_OUTPUT", "FIT", "FIT_NO_UPSCALE", "FILL"),
        "Sharpness": ignored("one bicubic kernel is used for scaling"),
        "TimecodeInsertion": only("DISABLED"),
        "TimecodeTrack": only("DISABLED"),
        "Width": within("even numbers, as 4:2:0 needs"),
    },
    "VideoCodecSettings": {
        "Codec": only("H_264", "FRAME_CAPTURE"),
        "FrameCaptureSettings": YES,
        "H264Settings": YES,
    },
    "FrameCaptureSettings": {
        "FramerateDenominator": YES,
        "FramerateNumerator": YES,
        "MaxCaptures": YES,
        "Quality": YES,
    },
    "H264Settings": {
        "AdaptiveQuantization": YES,
        "Bitrate": YES,
        "CodecLevel": YES,
        "CodecProfile": only("BASELINE", "MAIN", "HIGH"),
        "DynamicSubGop": YES,
        "EndOfStreamMarkers": ignored("MP4 ends without a marker", "INCLUDE", "SUPPRESS"),
        "EntropyEncoding": YES,
        "ExplicitWeightedPrediction": YES,
        "FieldEncoding": ignored("output is progressive"),
        "FlickerAdaptiveQuantization": ignored("x264's rate control spreads I-frame quality already"),
        "FramerateControl": YES,
        "FramerateConversionAlgorithm": only("DUPLICATE_DROP"),
        "FramerateDenominator": YES,
        "FramerateNumerator": YES,
        "GopBReference": YES,
        "GopClosedCadence": only(1, limits="every GOP is closed"),
        "GopSize": YES,
        "GopSizeUnits": YES,
        "HrdBufferInitialFillPercentage": YES,
        "HrdBufferSize": YES,
        "InterlaceMode": only("PROGRESSIVE"),
        "MaxBitrate": YES,
        "MinIInterval": within("key frames come at GOP and segment boundaries only"),
        "NumberBFramesBetweenReferenceFrames": YES,
        "NumberReferenceFrames": YES,
        "ParControl": within("INITIALIZE_FROM_SOURCE where the picture size is the source's, else square pixels"),
        "ParDenominator": only(1),
        "ParNumerator": only(1),
        "QualityTuningLevel": within("MULTI_PASS_HQ is one pass with a long lookahead"),
        "QvbrSettings": YES,
        "RateControlMode": YES,
        "RepeatPps": only("DISABLED"),
        "ScanTypeConversionMode": ignored("output is progressive"),
        "SceneChangeDetect": ignored("key frames stay where the GOP has them, the same in every output"),
        "Slices": YES,
        "SlowPal": only("DISABLED"),
        "Softness": only(0),
        "SpatialAdaptiveQuantization": YES,
        "Syntax": only("DEFAULT"),
        "Telecine": only("NONE"),
        "TemporalAdaptiveQuantization": YES,
        "UnregisteredSeiTimecode": only("DISABLED"),
        "WriteMp4PackagingType": only("AVC1"),
    },
    "H264QvbrSettings": {
        "QvbrQualityLevel": within("7 is x264's CRF 23 and each level is two CRF steps"),
        "QvbrQualityLevelFineTune": YES,
    },
    "AudioDescription": {
        "AudioSourceName": YES,
        "AudioType": ignored("audio type is a field of transport streams"),
        "AudioTypeControl": ignored("audio type is a field of transport streams"),
        "CodecSettings": YES,
        "CustomLanguageCode": YES,
        "LanguageCode": YES,
        "LanguageCodeControl": YES,
        "StreamName": YES,
    },
    "AudioCodecSettings": {"AacSettings": YES, "Codec": only("AAC")},
    "AacSettings": {
        "AudioDescriptionBroadcasterMix": only("NORMAL"),
        "Bitrate": YES,
        "CodecProfile": only("LC"),
        "CodingMode": only("CODING_MODE_1_0", "CODING_MODE_2_0", "CODING_MODE_5_1", "CODING_MODE_AUTO"),
        "PassthroughControl": only("NO_PASSTHROUGH"),
        "RateControlMode": YES,
        "RawFormat": only("NONE"),
        "SampleRate": YES,
        "Specification": only("MPEG4"),
        "VbrQuality": YES,
    },
}


def check(request: Mapping[str, Any]) -> list[str]:
    """Hold every member of a CreateJob request against the table.

    Returns one sentence for each setting that is accepted and has no effect.
    Raises SettingRefused with the path of the first setting that is not offered.
    """
    return [f"{path} has no effect: {why}" for path, why in _walk(_create_job(), request, "")]


@cache
def _create_job() -> StructureShape:
    shape = get_session().get_service_model("mediaconvert").shape_for("CreateJobRequest")
    assert isinstance(shape, StructureShape)
    return shape


def _walk(shape: Shape, value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(shape, StructureShape):
        for name, member_value in value.items():
            if member_value is not None:
                yield from _member(shape, name, member_value, path)
    elif isinstance(shape, ListShape):
        for index, item in enumerate(value):
            yield from _walk(shape.member, item, f"{path}[{index}]")
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            yield from _walk(shape.value, item, f"{path}.{key}")


def _member(shape: StructureShape, name: str, value: Any, path: str) -> Iterator[tuple[str, str]]:
    member = shape.members[name]
    spelled = member.serialization.get("name", name)
    # The documents people write start inside Settings, so paths do as well.
    inner = "" if (shape.name, name) == ("CreateJobRequest", "Settings") else f"{path}.{spelled}".lstrip(".")
    rule = TABLE.get(shape.name, {}).get(name)
    if rule is None:
        raise SettingRefused(inner, "this setting is not offered yet")
    if rule.only is not None and value not in rule.only:
        raise SettingRefused(inner, f"{value} is not offered yet")
    if isinstance(rule, NoEffect):
        yield inner, rule.why
    else:
        yield from _walk(member, value, inner)
