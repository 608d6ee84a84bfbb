"""What becomes of the settings of sound: selection, channels, loudness, codecs."""

from __future__ import annotations

from localaws.mediaconvert.answers.rules import YES, Rule, Table, ignored, only, refused, within

_NO_COMPRESSION = "the encoder writes no words for dynamic range compression"
_DOLBY: dict[str, Rule] = {
    "Bitrate": YES,
    "Dialnorm": YES,
    "DynamicRangeCompressionLine": ignored(_NO_COMPRESSION),
    "DynamicRangeCompressionRf": ignored(_NO_COMPRESSION),
    "LfeFilter": ignored("the encoder has no such filter"),
    "MetadataControl": ignored("a decoder's metadata is not passed on; what is configured is written"),
    "SampleRate": YES,
}
_COUNTED: dict[str, Rule] = {"Bitrate": YES, "Channels": YES, "SampleRate": YES}
_LOSSLESS: dict[str, Rule] = {
    "BitDepth": only(16, 24),
    "Channels": within("0, 1, 2, 4, 6 and 8, as a layout of loudspeakers"),
    "SampleRate": YES,
}

AUDIO: Table = {
    "AudioDescription": {
        "AudioSourceName": YES,
        "AudioType": ignored("audio type is a field of transport streams"),
        "AudioTypeControl": ignored("audio type is a field of transport streams"),
        "CodecSettings": YES,
        "CustomLanguageCode": YES,
        "LanguageCode": YES,
        "LanguageCodeControl": YES,
        "StreamName": YES,
        "AudioNormalizationSettings": YES,
        "RemixSettings": YES,
        **refused("AudioChannelTaggingSettings", "AudioPitchCorrectionSettings"),
    },
    "AudioNormalizationSettings": {
        "Algorithm": within("1770-2, -3 and -4 measure the same; peaks are always true peaks"),
        "AlgorithmControl": YES,
        "CorrectionGateLevel": YES,
        "LoudnessLogging": only("DONT_LOG"),
        "PeakCalculation": ignored("nothing is logged"),
        "TargetLkfs": YES,
        "TruePeakLimiterThreshold": YES,
    },
    "RemixSettings": {
        "ChannelMapping": YES,
        "ChannelsIn": YES,
        "ChannelsOut": YES,
        **refused("AudioDescriptionAudioChannel", "AudioDescriptionDataChannel"),
    },
    "ChannelMapping": {"OutputChannels": YES},
    "OutputChannelMapping": {"InputChannels": YES, "InputChannelsFineTune": YES},
    "AudioCodecSettings": {
        "AacSettings": YES,
        "Ac3Settings": YES,
        "AiffSettings": YES,
        "Codec": only("AAC", "AC3", "AIFF", "EAC3", "FLAC", "MP2", "MP3", "OPUS", "VORBIS", "WAV"),
        "Eac3Settings": YES,
        "FlacSettings": YES,
        "Mp2Settings": YES,
        "Mp3Settings": YES,
        "OpusSettings": YES,
        "VorbisSettings": YES,
        "WavSettings": YES,
        **refused("Ac4Settings", "Eac3AtmosSettings", why="Dolby's encoder needs a licence"),
    },
    "AacSettings": {
        "AudioDescriptionBroadcasterMix": only("NORMAL"),
        "Bitrate": YES,
        "CodecProfile": only(
            "LC",
            "HEV1",
            "HEV2",
            limits="no free encoder makes HE-AAC; the job warns and gets AAC-LC of the same bit rate",
        ),
        "CodingMode": only("CODING_MODE_1_0", "CODING_MODE_2_0", "CODING_MODE_5_1", "CODING_MODE_AUTO"),
        "PassthroughControl": only("NO_PASSTHROUGH"),
        "RateControlMode": YES,
        "RawFormat": only("NONE"),
        "SampleRate": YES,
        "Specification": only("MPEG4"),
        "VbrQuality": YES,
        **refused("LoudnessMeasurementMode", "RapInterval", "TargetLoudnessRange"),
    },
    "Ac3Settings": {
        **_DOLBY,
        "BitstreamMode": only("COMPLETE_MAIN"),
        "CodingMode": only("CODING_MODE_1_0", "CODING_MODE_2_0", "CODING_MODE_3_2_LFE", "CODING_MODE_AUTO"),
        "DynamicRangeCompressionProfile": ignored(_NO_COMPRESSION),
    },
    "Eac3Settings": {
        **_DOLBY,
        "AttenuationControl": only("NONE"),
        "BitstreamMode": only("COMPLETE_MAIN"),
        "CodingMode": only("CODING_MODE_1_0", "CODING_MODE_2_0", "CODING_MODE_3_2", "CODING_MODE_AUTO"),
        "DcFilter": ignored("the encoder has no such filter"),
        "LfeControl": YES,
        "LoRoCenterMixLevel": YES,
        "LoRoSurroundMixLevel": YES,
        "LtRtCenterMixLevel": YES,
        "LtRtSurroundMixLevel": YES,
        "PassthroughControl": only("NO_PASSTHROUGH"),
        "PhaseControl": ignored("surround channels are not shifted"),
        "StereoDownmix": YES,
        "SurroundExMode": YES,
        "SurroundMode": YES,
    },
    "OpusSettings": _COUNTED,
    "VorbisSettings": {"Channels": YES, "SampleRate": YES, "VbrQuality": YES},
    "Mp2Settings": {**_COUNTED, "AudioDescriptionMix": only("NONE")},
    "Mp3Settings": {**_COUNTED, "RateControlMode": YES, "VbrQuality": YES},
    "WavSettings": {**_LOSSLESS, "Format": only("RIFF", "RF64", limits="24 bits have an extensible header")},
    "FlacSettings": _LOSSLESS,
    "AiffSettings": _LOSSLESS,
}
