"""Reads how sound is coded, and refuses by path what an encoder or AWS does not have. Pure.

Source: botocore's model and the MediaConvert API reference for each member's default; default rates of AC-3 and
E-AC-3 as it quotes them of ETSI TS 102 366.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localaws.media.failures import SettingRefused

Json = Mapping[str, Any]

_AAC_DEFAULT_BPS = {None: 128_000, 1: 64_000, 2: 128_000, 6: 384_000}
_DOLBY_DEFAULT_BPS = {None: None, 1: 96_000, 2: 192_000, 5: 384_000, 6: 384_000}
_DOLBY_BPS = {
    "AC3": {1: (64_000, 128_000), 2: (128_000, 384_000), 6: (384_000, 640_000)},
    "EAC3": {1: (32_000, 3_024_000), 2: (96_000, 3_024_000), 5: (192_000, 3_024_000), 6: (192_000, 3_024_000)},
}
# Levels as the API reference of Eac3Settings has them.
_CENTER_LEVELS_DB = (3.0, 1.5, 0.0, -1.5, -3.0, -4.5, -6.0, -60.0)
_SURROUND_LEVELS_DB = (-1.5, -3.0, -4.5, -6.0, -60.0)
# kb/s of layers II and III (ISO/IEC 11172-3, 2.4.2.3), and of III at half the sample rates (ISO/IEC 13818-3, 2.4.2.3).
_MP2_KBPS = (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
_MP3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MP3_LOW_KBPS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_SURROUND_MODES = {"NOT_INDICATED": None, "DISABLED": "off", "ENABLED": "on"}
_DOWNMIXES = {"NOT_INDICATED": None, "LO_RO": "loro", "LT_RT": "ltrt", "DPL2": "dplii"}
_HE_AAC = {"HEV1": "HE-AAC", "HEV2": "HE-AAC v2"}
_AAC_MODES = {"CODING_MODE_1_0": 1, "CODING_MODE_2_0": 2, "CODING_MODE_5_1": 6, "CODING_MODE_AUTO": None}


@dataclass(frozen=True)
class Dolby:
    """What AC-3 and E-AC-3 say beside the sound. `dialnorm` in dBFS, below 0; levels in dB by the name of the mix."""

    dialnorm: int | None
    surround: str | None
    surround_ex: str | None
    downmix: str | None
    levels: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class AudioCoding:
    """`codec` is MediaConvert's name. `channels` None takes of `follow` the most that the source has.

    `quality` is a step of variable rate on the codec's own scale; `bit_depth` is of codecs without loss. `in_place_of`
    names what was asked for where nothing here encodes it.
    """

    codec: str
    channels: int | None
    sample_rate_hz: int
    bitrate_bps: int | None = None
    quality: str | None = None
    bit_depth: int = 16
    follow: tuple[int, ...] = (1, 2)
    large_file: bool = False
    dolby: Dolby | None = None
    in_place_of: str | None = None

    def width(self, found: int) -> int:
        """The number of channels for a source with `found` channels."""
        return self.channels or max((width for width in self.follow if width <= found), default=self.follow[0])


def read(path: str, settings: Json) -> AudioCoding:
    """Read AudioCodecSettings, found at `path`. Raises SettingRefused."""
    name = settings.get("Codec")
    if name is None:
        raise SettingRefused(f"{path}.codec", "a codec is needed")
    member, reader = _READERS[name]
    return reader(f"{path}.{member[0].lower()}{member[1:]}", settings.get(member) or {})


def _aac(path: str, own: Json) -> AudioCoding:
    channels = _AAC_MODES[own.get("CodingMode") or "CODING_MODE_AUTO"]
    variable = own.get("RateControlMode") == "VBR"
    if not variable and "Bitrate" in own:
        _aac_holds(path, own["Bitrate"], own.get("SampleRate", 48_000), channels)
    return AudioCoding(
        "AAC",
        channels,
        own.get("SampleRate", 48_000),
        None if variable else own.get("Bitrate", _AAC_DEFAULT_BPS[channels]),
        own.get("VbrQuality", "MEDIUM_HIGH") if variable else None,
        follow=(1, 2, 6),
        in_place_of=_HE_AAC.get(own.get("CodecProfile") or "LC"),
    )


def _aac_holds(path: str, bitrate_bps: int, sample_rate_hz: int, channels: int | None) -> None:
    """A frame of 1024 samples has at most 6144 bits for each channel (ISO/IEC 14496-3, 4.5.3.3)."""
    most_bps = 6 * sample_rate_hz * (channels or 6)
    if bitrate_bps > most_bps:
        told = f"AAC has at most {most_bps} at {sample_rate_hz} Hz in this mode, got {bitrate_bps}"
        raise SettingRefused(f"{path}.bitrate", told)


def _ac3(path: str, own: Json) -> AudioCoding:
    modes = {"CODING_MODE_1_0": 1, "CODING_MODE_2_0": 2, "CODING_MODE_3_2_LFE": 6, "CODING_MODE_AUTO": None}
    return _dolby("AC3", path, own, modes[own.get("CodingMode") or "CODING_MODE_AUTO"])


def _eac3(path: str, own: Json) -> AudioCoding:
    surround = 5 if own.get("LfeControl") == "NO_LFE" else 6
    modes = {"CODING_MODE_1_0": 1, "CODING_MODE_2_0": 2, "CODING_MODE_3_2": surround, "CODING_MODE_AUTO": None}
    return _dolby("EAC3", path, own, modes[own.get("CodingMode") or "CODING_MODE_AUTO"])


def _dolby(codec: str, path: str, own: Json, channels: int | None) -> AudioCoding:
    bitrate_bps: int | None = own.get("Bitrate") or _DOLBY_DEFAULT_BPS[channels]
    if own.get("Bitrate") and bitrate_bps is not None:
        least, most = _DOLBY_BPS[codec][channels] if channels else (32_000, 3_024_000)
        if bitrate_bps % 8000 or not least <= bitrate_bps <= most:
            raise SettingRefused(
                f"{path}.bitrate", f"must be a multiple of 8000 from {least} to {most} in this mode, got {bitrate_bps}"
            )
    return AudioCoding(codec, channels, 48_000, bitrate_bps, follow=(1, 2, 6), dolby=_description(path, own, channels))


def _check_levels(path: str, own: Json) -> None:
    for name in ("LoRo", "LtRt"):
        for member, known in (("CenterMixLevel", _CENTER_LEVELS_DB), ("SurroundMixLevel", _SURROUND_LEVELS_DB)):
            level = own.get(f"{name}{member}")
            if level is not None and level not in known:
                told = ", ".join(f"{one:g}" for one in known)
                raise SettingRefused(f"{path}.{name[0].lower()}{name[1:]}{member}", f"must be {told}, got {level}")


def _description(path: str, own: Json, channels: int | None) -> Dolby:
    _check_levels(path, own)
    mixes = {
        "loro_cmixlev": own.get("LoRoCenterMixLevel"),
        "loro_surmixlev": own.get("LoRoSurroundMixLevel"),
        "ltrt_cmixlev": own.get("LtRtCenterMixLevel"),
        "ltrt_surmixlev": own.get("LtRtSurroundMixLevel"),
    }
    wide = channels in (5, 6)
    return Dolby(
        -own["Dialnorm"] if own.get("Dialnorm") else None,
        _SURROUND_MODES[own.get("SurroundMode", "NOT_INDICATED")] if channels == 2 else None,
        _SURROUND_MODES[own.get("SurroundExMode", "NOT_INDICATED")] if wide else None,
        _DOWNMIXES[own.get("StereoDownmix", "NOT_INDICATED")] if wide else None,
        tuple((name, float(level)) for name, level in mixes.items() if level is not None) if wide else (),
    )


def _opus(path: str, own: Json) -> AudioCoding:
    bitrate_bps = own.get("Bitrate", 96_000)
    if bitrate_bps % 8000:
        raise SettingRefused(f"{path}.bitrate", f"must be a multiple of 8000, got {bitrate_bps}")
    rate_hz = _one_of(path, "SampleRate", own, (16_000, 24_000, 48_000))
    return AudioCoding("OPUS", own.get("Channels", 2) or None, rate_hz, bitrate_bps)


def _vorbis(path: str, own: Json) -> AudioCoding:
    rate_hz = _one_of(path, "SampleRate", own, (22_050, 32_000, 44_100, 48_000))
    return AudioCoding("VORBIS", own.get("Channels", 2) or None, rate_hz, quality=str(own.get("VbrQuality", 4)))


def _mp3(path: str, own: Json) -> AudioCoding:
    variable = own.get("RateControlMode") == "VBR"
    if variable and own.get("VbrQuality") is None:
        raise SettingRefused(f"{path}.vbrQuality", "is needed where rateControlMode is VBR")
    rate_hz = _one_of(path, "SampleRate", own, (22_050, 24_000, 32_000, 44_100, 48_000))
    return AudioCoding(
        "MP3",
        own.get("Channels", 2) or None,
        rate_hz,
        None if variable else _step(path, own, 128_000, _MP3_LOW_KBPS if rate_hz < 32_000 else _MP3_KBPS, rate_hz),
        str(own["VbrQuality"]) if variable else None,
    )


def _mp2(path: str, own: Json) -> AudioCoding:
    rate_hz = _one_of(path, "SampleRate", own, (32_000, 44_100, 48_000))
    return AudioCoding("MP2", own.get("Channels", 2) or None, rate_hz, _step(path, own, 192_000, _MP2_KBPS, rate_hz))


def _lossless(codec: str, most_channels: int) -> Callable[[str, Json], AudioCoding]:
    def read_lossless(path: str, own: Json) -> AudioCoding:
        channels = own.get("Channels", 2)
        if channels not in (0, 1) and channels % 2:
            raise SettingRefused(f"{path}.channels", f"must be 0, 1 or an even number, got {channels}")
        return AudioCoding(
            codec,
            channels or None,
            own.get("SampleRate", 48_000),
            bit_depth=_one_of(path, "BitDepth", own, (16, 24), default=16),
            follow=tuple(range(1, most_channels + 1)),
            large_file=own.get("Format") == "RF64",
        )

    return read_lossless


def _step(path: str, own: Json, default: int, steps_kbps: Sequence[int], rate_hz: int) -> int:
    """A rate in bit/s that frames of MPEG audio can have."""
    bitrate_bps: int = own.get("Bitrate", default)
    if bitrate_bps not in (1000 * step for step in steps_kbps):
        told = ", ".join(f"{step}000" for step in steps_kbps)
        raise SettingRefused(f"{path}.bitrate", f"must be one of {told} at {rate_hz} Hz, got {bitrate_bps}")
    return bitrate_bps


def _one_of(path: str, member: str, own: Json, allowed: Sequence[int], default: int | None = None) -> int:
    given = int(own.get(member, default or allowed[-1]))
    if given not in allowed:
        told = ", ".join(str(one) for one in allowed)
        raise SettingRefused(f"{path}.{member[0].lower()}{member[1:]}", f"must be one of {told}, got {given}")
    return given


_READERS: Mapping[str, tuple[str, Callable[[str, Json], AudioCoding]]] = {
    "AAC": ("AacSettings", _aac),
    "AC3": ("Ac3Settings", _ac3),
    "AIFF": ("AiffSettings", _lossless("AIFF", 8)),
    "EAC3": ("Eac3Settings", _eac3),
    "FLAC": ("FlacSettings", _lossless("FLAC", 8)),
    "MP2": ("Mp2Settings", _mp2),
    "MP3": ("Mp3Settings", _mp3),
    "OPUS": ("OpusSettings", _opus),
    "VORBIS": ("VorbisSettings", _vorbis),
    "WAV": ("WavSettings", _lossless("WAV", 8)),
}
