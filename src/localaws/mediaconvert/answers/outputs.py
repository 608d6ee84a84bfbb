"""What becomes of the settings of outputs: names, containers, streams."""

from __future__ import annotations

from localaws.mediaconvert.answers.rules import YES, Rule, Table, ignored, ignored_unless, only, refused, within

_PCR = "the clock travels with the video, or the audio where there is none"
_PSI = "tables begin each segment and come ten times a second"
_LENGTH = within("MATCH_VIDEO_DURATION by what the source says of the length of its pictures")
_NO_CUES = "SCTE-35 messages and cues of the source are not carried over"
_NO_METADATA = "no timed metadata is written"
_NO_KLV = "KLV metadata of the source is not carried over"
_NO_TONES = "tones of Nielsen are not looked for, so no ID3 tags tell of them"
_PRESENTATION: dict[str, Rule] = {
    "AudioDuration": _LENGTH,
    "C2paManifest": only("EXCLUDE"),
    "KlvMetadata": ignored_unless("NONE", _NO_KLV),
    "ManifestMetadataSignaling": ignored_unless("DISABLED", "there are no event messages to signal"),
    "Scte35Esam": only("NONE"),
    "Scte35Source": ignored_unless("NONE", _NO_CUES),
    "TimedMetadata": ignored_unless("NONE", _NO_METADATA),
    "TimedMetadataBoxVersion": ignored(_NO_METADATA),
    "TimedMetadataSchemeIdUri": ignored(_NO_METADATA),
    "TimedMetadataValue": ignored(_NO_METADATA),
}
OUTPUTS: Table = {
    "Output": {
        "AudioDescriptions": within("one in each output of DASH and CMAF groups, and of packed audio"),
        "ContainerSettings": YES,
        "Extension": YES,
        "OutputSettings": YES,
        "Preset": within("system presets set what their names say; AWS does not publish the rest"),
        "NameModifier": within(
            "$dt$ $d$ $t$ $rv$ $ra$ $rc$ $w$ $h$ $f$ $fn$ $ex$ are expanded, in DASH groups $Bandwidth$ $Number$ and "
            "$Time$ too; $Time$ is a segment's start, which manifests need, not its duration"
        ),
        "VideoDescription": YES,
        "CaptionDescriptions": within(
            "one track in an output of its own; in one with pictures, one that is burnt in and two that are embedded"
        ),
    },
    "ContainerSettings": {
        "CmfcSettings": YES,
        "M3u8Settings": YES,
        "Container": only(
            *("CMFC", "GIF", "ISMV", "M2TS", "M3U8", "MOV", "MP4", "MPD", "MXF", "OGG", "RAW", "WEBM", "Y4M")
        ),
        "M2tsSettings": YES,
        "MovSettings": YES,
        "Mp4Settings": YES,
        "MpdSettings": YES,
        "MxfSettings": YES,
        **refused("F4vSettings"),
    },
    "OutputSettings": {"HlsSettings": YES},
    "HlsSettings": {
        "AudioGroupId": YES,
        "AudioOnlyContainer": YES,
        "AudioRenditionSets": YES,
        "AudioTrackType": YES,
        "DescriptiveVideoServiceFlag": YES,
        "IFrameOnlyManifest": only(
            "INCLUDE", "EXCLUDE", limits="INCLUDE not with AES128; AWS does not tell the files' names of INCLUDE_AS_TS"
        ),
        "SegmentModifier": within("$dt$ $d$ $t$ $rv$ $ra$ $rc$ $w$ $h$ $f$ $fn$ $ex$ are expanded"),
    },
    "M3u8Settings": {
        "AudioDuration": _LENGTH,
        "AudioFramesPerPes": ignored("the muxer fills PES packets by size"),
        "AudioPids": YES,
        "AudioPtsOffsetDelta": only(0),
        "DataPTSControl": ignored("no data packets are written"),
        "MaxPcrInterval": ignored(_PCR),
        "NielsenId3": ignored_unless("NONE", _NO_TONES),
        "PatInterval": ignored(_PSI),
        "PcrControl": ignored(_PCR),
        "PcrPid": ignored(_PCR),
        "PmtInterval": ignored(_PSI),
        "PmtPid": YES,
        "PrivateMetadataPid": ignored("no private metadata is written"),
        "ProgramNumber": within("1 and more"),
        "PtsOffset": YES,
        "PtsOffsetMode": within("AUTO is two seconds"),
        "Scte35Pid": ignored("no SCTE-35 is written"),
        "Scte35Source": ignored_unless("NONE", _NO_CUES),
        "TimedMetadata": ignored_unless("NONE", _NO_METADATA),
        "TimedMetadataPid": ignored("no timed metadata is written"),
        "TransportStreamId": within("1 and more"),
        "VideoPid": YES,
    },
    "CmfcSettings": {
        **_PRESENTATION,
        "AudioGroupId": YES,
        "AudioRenditionSets": YES,
        "AudioTrackType": only(
            "ALTERNATE_AUDIO_AUTO_SELECT_DEFAULT", "ALTERNATE_AUDIO_AUTO_SELECT", "ALTERNATE_AUDIO_NOT_AUTO_SELECT"
        ),
        "DescriptiveVideoServiceFlag": YES,
        "IFrameOnlyManifest": within("one key frame of each fragment; AWS does not tell the playlist's name"),
        **refused("CertificateSecret", "SigningKmsKey", why="signing with C2PA needs keys of an AWS account"),
    },
    "MpdSettings": {
        **_PRESENTATION,
        "AccessibilityCaptionHints": YES,
        "CaptionContainerType": within("RAW where it is not set"),
        **refused("CertificateSecret", "SigningKmsKey", why="signing with C2PA needs keys of an AWS account"),
    },
    "Mp4Settings": {
        "AudioDuration": _LENGTH,
        "C2paManifest": only("EXCLUDE"),
        "CslgAtom": ignored("players find the same times without the box"),
        "CttsVersion": YES,
        "FreeSpaceBox": ignored_unless("EXCLUDE", "the box holds nothing that players read"),
        "MoovPlacement": YES,
        "Mp4MajorBrand": YES,
        **refused("CertificateSecret", "SigningKmsKey", why="signing with C2PA needs keys of an AWS account"),
    },
    "MovSettings": {
        "AudioDuration": _LENGTH,
        "ClapAtom": ignored_unless("EXCLUDE", "all of the picture is shown, as without the box"),
        "CslgAtom": ignored("players find the same times without the box"),
        "Mpeg2FourCCControl": only("MPEG"),
        "PaddingControl": only("NONE"),
        "Reference": only("SELF_CONTAINED"),
    },
    "MxfSettings": {
        "AfdSignaling": only("NO_COPY"),
        "Profile": only("OP1A", "XDCAM", limits="an XDCAM file is OP-1a without the labels of Sony's RDD 9"),
        "UncompressedAudioWrapping": only("AUTO"),
        **refused("XavcProfileSettings"),
    },
    "M2tsSettings": {
        "AudioBufferModel": ignored("the muxer interleaves by time"),
        "AudioDuration": _LENGTH,
        "AudioFramesPerPes": ignored("the muxer fills PES packets by size"),
        "AudioPids": YES,
        "AudioPtsOffsetDelta": only(0),
        "Bitrate": within("of a CBR stream; what is too much for it is sent all the same"),
        "BufferModel": ignored("the muxer interleaves by time"),
        "DataPTSControl": ignored("no data packets are written"),
        "DvbSubPids": ignored("there are no DVB subtitles"),
        "DvbTeletextPid": ignored("there is no teletext"),
        "EbpAudioInterval": ignored("no boundary points are written"),
        "EbpPlacement": ignored("no boundary points are written"),
        "EsRateInPes": only("EXCLUDE"),
        "ForceTsVideoEbpOrder": ignored("no boundary points are written"),
        "KlvMetadata": ignored_unless("NONE", _NO_KLV),
        "MaxPcrInterval": YES,
        "MinEbpInterval": ignored("no boundary points are written"),
        "NielsenId3": ignored_unless("NONE", _NO_TONES),
        "NullPacketBitrate": only(0, 0.0),
        "PatInterval": within("of PAT and PMT"),
        "PcrControl": ignored(_PCR),
        "PcrPid": ignored(_PCR),
        "PmtInterval": ignored("the PMT follows the PAT"),
        "PmtPid": YES,
        "PreventBufferUnderflow": only("DISABLED"),
        "PrivateMetadataPid": ignored("no private metadata is written"),
        "ProgramNumber": within("1 and more"),
        "PtsOffset": YES,
        "PtsOffsetMode": within("AUTO is two seconds"),
        "RateMode": YES,
        "Scte35Pid": ignored("no SCTE-35 is written"),
        "Scte35Source": ignored_unless("NONE", _NO_CUES),
        "SegmentationMarkers": only("NONE"),
        "SegmentationStyle": ignored("no segmentation markers are written"),
        "SegmentationTime": ignored("no segmentation markers are written"),
        "TimedMetadataPid": ignored("no timed metadata is written"),
        "TransportStreamId": within("1 and more"),
        "VideoPid": YES,
        **refused("DvbNitSettings", "DvbSdtSettings", "DvbTdtSettings", "FragmentTime", "Scte35Esam"),
    },
}
