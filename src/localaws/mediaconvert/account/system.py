"""The presets and job templates that MediaConvert brings along: read from their names. Pure.

AWS publishes neither a list of them nor what they set; a name tells container, codecs, size, rates and quality, and
little is set here that it does not tell. So a job that uses one gets AWS's picture sizes and bit rates, and this
stack's defaults for the rest. Source: examples of `list-presets` and `list-job-templates` in the AWS CLI reference;
names and groups in job files that people have published; outputs in some of them that a console had filled in from a
preset, where 30 Hz is 30000/1001, a rate without a mode is constant, and sound in HLS is HE-AAC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from localaws.mediaconvert.account import arns

Json = dict[str, Any]

MADE_AT = datetime(2019, 9, 12, 20, 56, 29, tzinfo=UTC)
"""When AWS made its own, as the CLI reference shows it."""

_CONTAINERS = {"Mp4": "MP4", "Hls_Ts": "M3U8", "Dash_Mp4": "MPD", "Cmaf_Cmfc": "CMFC"}
_CODECS = {"Avc": "H_264", "Hevc": "H_265", "Hev1": "H_265", "Hvc1": "H_265", "Av1": "AV1"}
_MEMBERS = {"H_264": "H264Settings", "H_265": "H265Settings", "AV1": "Av1Settings"}
_RATES = {"15": Fraction(15_000, 1001), "24": Fraction(24_000, 1001), "30": Fraction(30_000, 1001)}
_LOW_BPS = 1_500_000
"""Pictures of up to this rate have sound of 64 kb/s, others of 96."""
_SIZE = r"(?P<width>\d+)x(?P<height>\d+)p_(?P<rate>\d+)Hz_(?P<bits>[\d.]+)(?P<unit>[MK]bps)"
_QUALITY = r"(?:_(?:Cbr|Qvbr_Vq(?P<quality>\d+)))?"
_WHERE = rf"(?:Generic_(?:Sd|Hd|Uhd)|Ott)_(?P<container>{'|'.join(_CONTAINERS)})"
_VIDEO = re.compile(
    rf"System-{_WHERE}_(?P<codec>{'|'.join(_CODECS)})(?P<sound>_Aac)?_(?:16x9|9x16|4x3)(?:_Sdr)?_{_SIZE}{_QUALITY}"
)
_SOUND = re.compile(rf"System-{_WHERE}_Aac(?P<he>_He)?_(?P<bits>\d+)(?P<unit>Kbps)")
# The first ones, for HLS: frames per second with an underscore, widths by the shape alone.
_FIRST = re.compile(
    r"System-Avc_(?P<shape>16x9|4x3)_(?P<height>\d+)p_(?P<rate>29_97|14_99)fps_(?P<bits>\d+)(?P<unit>kbps)"
)
_FIRST_RATES = {"29_97": _RATES["30"], "14_99": _RATES["15"]}


@dataclass(frozen=True)
class _Template:
    """A job template of one output group. presets: names without `System-`, in the order of the outputs."""

    category: str
    group: str
    member: str
    own: Mapping[str, Any]
    presets: tuple[str, ...]


_HLS = (
    "480x270p_15Hz_0.4Mbps",
    "640x360p_30Hz_0.6Mbps",
    "640x360p_30Hz_1.2Mbps",
    "960x540p_30Hz_3.5Mbps",
    "1280x720p_30Hz_3.5Mbps",
    "1280x720p_30Hz_5.0Mbps",
    "1280x720p_30Hz_6.5Mbps",
    "1920x1080p_30Hz_8.5Mbps",
)
_HEVC = (
    "16x9_640x360p_24Hz_0.8Mbps",
    "16x9_768x432p_24Hz_1.0Mbps",
    "16x9_960x540p_24Hz_1.5Mbps",
    "16x9_1280x720p_24Hz_2.0Mbps",
    "16x9_1280x720p_24Hz_4.0Mbps",
    "16x9_1920x1080p_24Hz_6.0Mbps",
    "4x3_1600x1200p_24Hz_6.0Mbps",
)
_CMAF = (
    "1920x1080p_30Hz_10Mbps",
    "1920x1080p_30Hz_8Mbps",
    "1440x810p_30Hz_6Mbps",
    "1440x810p_30Hz_5Mbps",
    "1280x720p_30Hz_5Mbps",
    "1280x720p_30Hz_4Mbps",
    "960x540p_30Hz_2.5Mbps",
    "768x432p_30Hz_1.2Mbps",
    "640x360p_30Hz_0.8Mbps",
    "416x234p_30Hz_0.36Mbps",
)
_CMAF_QUALITIES = (9, 8, 9, 7, 9, 7, 7, 7, 7, 7)
_CMAF_SOUND = ("Ott_Cmaf_Cmfc_Aac_He_96Kbps", "Ott_Cmaf_Cmfc_Aac_He_64Kbps")
_MP4 = (
    "Hd_Mp4_Avc_Aac_16x9_Sdr_1280x720p_30Hz_5Mbps_Qvbr_Vq9",
    "Hd_Mp4_Avc_Aac_16x9_Sdr_1920x1080p_30Hz_10Mbps_Qvbr_Vq9",
    "Sd_Mp4_Avc_Aac_16x9_Sdr_640x360p_30Hz_0.8Mbps_Qvbr_Vq7",
    "Hd_Mp4_Hev1_Aac_16x9_Sdr_1280x720p_30Hz_4Mbps_Qvbr_Vq9",
    "Hd_Mp4_Hev1_Aac_16x9_Sdr_1920x1080p_30Hz_8Mbps_Qvbr_Vq9",
    "Uhd_Mp4_Hev1_Aac_16x9_Sdr_3840x2160p_30Hz_12Mbps_Qvbr_Vq9",
)
_OTHERS = (
    "System-Avc_16x9_1080p_29_97fps_8500kbps",
    "System-Avc_16x9_720p_29_97fps_6500kbps",
    "System-Avc_16x9_720p_29_97fps_5000kbps",
    "System-Avc_16x9_720p_29_97fps_3500kbps",
    "System-Avc_16x9_540p_29_97fps_3500kbps",
    "System-Avc_16x9_360p_29_97fps_1200kbps",
    "System-Avc_16x9_360p_29_97fps_600kbps",
    "System-Avc_16x9_270p_14_99fps_400kbps",
    "System-Avc_4x3_480p_29_97fps_600kbps",
    "System-Generic_Hd_Mp4_Avc_Aac_16x9_1280x720p_24Hz_4.5Mbps",
    "System-Generic_Hd_Mp4_Avc_Aac_16x9_1920x1080p_24Hz_6Mbps",
    "System-Generic_Hd_Mp4_Av1_Aac_16x9_640x360p_30Hz_250Kbps_Qvbr_Vq6",
    "System-Generic_Uhd_Mp4_Hevc_Aac_16x9_3840x2160p_24Hz_8Mbps",
)
_LONG_SEGMENTS = {"SegmentLength": 30, "FragmentLength": 3, "SegmentControl": "SEGMENTED_FILES"}
_TEMPLATES = {
    "System-Ott_Hls_Ts_Avc_Aac": _Template(
        "OTT-HLS",
        "Apple HLS",
        "HlsGroupSettings",
        {"SegmentLength": 3, "MinSegmentLength": 0},
        tuple(f"Ott_Hls_Ts_Avc_Aac_16x9_{size}" for size in _HLS),
    ),
    "System-Ott_Hls_Ts_Hevc_Aac": _Template(
        "OTT-HLS",
        "Apple HLS",
        "HlsGroupSettings",
        {"SegmentLength": 3, "MinSegmentLength": 0},
        tuple(f"Ott_Hls_Ts_Hevc_Aac_{size}" for size in _HEVC),
    ),
    "System-Ott_Dash_Mp4_Avc_Aac": _Template(
        "OTT-DASH",
        "DASH ISO",
        "DashIsoGroupSettings",
        _LONG_SEGMENTS,
        (*(f"Ott_Dash_Mp4_Avc_16x9_{size}" for size in _HLS), "Ott_Dash_Mp4_Aac_He_96Kbps"),
    ),
    "System-Ott_Cmaf_Cmfc_Avc_Aac_Sdr_Cbr": _Template(
        "OTT-CMAF",
        "CMAF",
        "CmafGroupSettings",
        _LONG_SEGMENTS,
        (*(f"Ott_Cmaf_Cmfc_Avc_16x9_Sdr_{size}_Cbr" for size in _CMAF), *_CMAF_SOUND),
    ),
    "System-Ott_Cmaf_Cmfc_Avc_Aac_Sdr_Qvbr": _Template(
        "OTT-CMAF",
        "CMAF",
        "CmafGroupSettings",
        _LONG_SEGMENTS,
        (
            *(
                f"Ott_Cmaf_Cmfc_Avc_16x9_Sdr_{size}_Qvbr_Vq{quality}"
                for size, quality in zip(_CMAF, _CMAF_QUALITIES, strict=True)
            ),
            *_CMAF_SOUND,
        ),
    ),
    "System-Generic_Mp4_Hev1_Avc_Aac_Sdr_Qvbr": _Template(
        "GENERIC", "File Group", "FileGroupSettings", {}, tuple(f"Generic_{one}" for one in _MP4)
    ),
}
_TYPES = {
    "HlsGroupSettings": "HLS_GROUP_SETTINGS",
    "DashIsoGroupSettings": "DASH_ISO_GROUP_SETTINGS",
    "CmafGroupSettings": "CMAF_GROUP_SETTINGS",
    "FileGroupSettings": "FILE_GROUP_SETTINGS",
}


def resource(kind: str, name: str) -> Json | None:
    """The preset or job template of that name as AWS shows it, without its ARN; None where there is none."""
    found = _preset(name) if kind == arns.PRESETS else _template(name) if kind == arns.TEMPLATES else None
    return None if found is None else {"Type": "SYSTEM", "Name": name, **found}


def names(kind: str) -> list[str]:
    """Those that are known; every preset whose name reads like one of them is there as well."""
    if kind == arns.TEMPLATES:
        return sorted(_TEMPLATES)
    if kind != arns.PRESETS:
        return []
    used = {f"System-{preset}" for template in _TEMPLATES.values() for preset in template.presets}
    return sorted(used | set(_OTHERS))


def _template(name: str) -> Json | None:
    template = _TEMPLATES.get(name)
    if template is None:
        return None
    extension = {"Extension": "mp4"} if template.member == "FileGroupSettings" else {}
    outputs = [
        {"Preset": f"System-{preset}", "NameModifier": _modifier(preset), **extension} for preset in template.presets
    ]
    settings = {"Type": _TYPES[template.member], template.member: dict(template.own)}
    selector = {"Audio Selector 1": {"DefaultSelection": "DEFAULT"}}
    return {
        "Category": template.category,
        "Settings": {
            "Inputs": [{"AudioSelectors": selector, "TimecodeSource": "ZEROBASED"}],
            "OutputGroups": [{"Name": template.group, "OutputGroupSettings": settings, "Outputs": outputs}],
        },
    }


def _modifier(preset: str) -> str:
    """`_Ott_..._30Hz_800Kbps` for a preset of `0.8Mbps`, as AWS's templates name their outputs."""
    # Those of HEVC leave out the sound and call every shape 16x9.
    preset = re.sub(r"Hevc_Aac_(16x9|4x3)", "Hevc_16x9", preset)
    return "_" + re.sub(r"([\d.]+)Mbps", lambda found: f"{_bits(found[1], 'Mbps') // 1000}Kbps", preset)


def _bits(number: str, unit: str) -> int:
    return round(Fraction(number) * (1_000_000 if unit == "Mbps" else 1000))


def _preset(name: str) -> Json | None:
    if found := _VIDEO.fullmatch(name):
        rate = _RATES.get(found["rate"], Fraction(found["rate"]))
        settings = _container(_CONTAINERS[found["container"]]) | _picture(found, int(found["width"]), rate)
        if found["sound"]:
            settings |= _aac(160_000, "LC") if found["container"] == "Mp4" else _beside(found)
        return {"Category": _category(found["container"]), "Settings": settings}
    if found := _SOUND.fullmatch(name):
        settings = _container(_CONTAINERS[found["container"]])
        settings |= _aac(_bits(found["bits"], found["unit"]), "HEV1" if found["he"] else "LC")
        return {"Category": _category(found["container"]), "Settings": settings}
    if found := _FIRST.fullmatch(name):
        wide, high = (int(side) for side in found["shape"].split("x"))
        width = 2 * round(int(found["height"]) * wide / high / 2)
        settings = _container("M3U8") | _picture(found, width, _FIRST_RATES[found["rate"]]) | _beside(found)
        return {"Category": "HLS", "Settings": settings}
    return None


def _category(container: str) -> str:
    return "GENERIC" if container == "Mp4" else f"OTT-{container.partition('_')[0].upper()}"


def _container(name: str) -> Json:
    return {"ContainerSettings": {"Container": name}}


def _picture(found: re.Match[str], width: int, rate: Fraction) -> Json:
    said = found.groupdict()
    codec = _CODECS[said.get("codec") or "Avc"]
    bits = _bits(said["bits"], said["unit"].capitalize())
    coded: Json = {
        "FramerateControl": "SPECIFIED",
        "FramerateNumerator": rate.numerator,
        "FramerateDenominator": rate.denominator,
    }
    if said.get("quality"):
        coded |= {
            "RateControlMode": "QVBR",
            "MaxBitrate": bits,
            "QvbrSettings": {"QvbrQualityLevel": int(said["quality"])},
        }
    else:
        coded |= {"RateControlMode": "CBR", "Bitrate": bits}
    if said.get("codec") == "Hvc1":
        coded["WriteMp4PackagingType"] = "HVC1"
    settings = {"Codec": codec, _MEMBERS[codec]: coded}
    return {"VideoDescription": {"Width": width, "Height": int(said["height"]), "CodecSettings": settings}}


def _beside(found: re.Match[str]) -> Json:
    """The sound of a stream."""
    return _aac(64_000 if _bits(found["bits"], found["unit"].capitalize()) <= _LOW_BPS else 96_000, "HEV1")


def _aac(bits: int, profile: str) -> Json:
    coded = {"Bitrate": bits, "CodecProfile": profile, "CodingMode": "CODING_MODE_2_0", "SampleRate": 48_000}
    codec = {"Codec": "AAC", "AacSettings": coded}
    return {"AudioDescriptions": [{"CodecSettings": codec}]}
