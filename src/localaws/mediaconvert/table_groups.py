"""What becomes of the settings of output groups: segments, manifests, destinations, encryption."""

from __future__ import annotations

from localaws.mediaconvert.rules import YES, Rule, Table, ignored, only, refused, within

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

GROUPS: Table = {
    "OutputGroup": {
        "CustomName": YES,
        "Name": YES,
        "OutputGroupSettings": YES,
        "Outputs": YES,
        **refused("AutomatedEncodingSettings"),
    },
    "OutputGroupSettings": {
        "Type": only("CMAF_GROUP_SETTINGS", "DASH_ISO_GROUP_SETTINGS", "FILE_GROUP_SETTINGS"),
        "CmafGroupSettings": YES,
        "DashIsoGroupSettings": YES,
        "FileGroupSettings": YES,
        **refused("HlsGroupSettings", "MsSmoothGroupSettings", "PerFrameMetrics"),
    },
    "FileGroupSettings": {"Destination": within("$dt$ $d$ $t$ $fn$ are expanded"), "DestinationSettings": YES},
    "DashIsoGroupSettings": {
        **_SEGMENTED_GROUP,
        "HbbtvCompliance": only("NONE"),
        **refused(
            "AdditionalManifests",
            "AudioChannelConfigSchemeIdUri",
            "BaseUrl",
            "DashAdaptationSetGrouping",
            "DashIFrameTrickPlayNameModifier",
            "ImageBasedTrickPlaySettings",
            "ImageBasedTrickPlayVariants",
        ),
    },
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
        **refused(
            "AdditionalManifests",
            "BaseUrl",
            "DashAdaptationSetGrouping",
            "DashIFrameTrickPlayNameModifier",
            "ImageBasedTrickPlaySettings",
            "ImageBasedTrickPlayVariants",
        ),
    },
    "DestinationSettings": {"S3Settings": YES},
    "S3DestinationSettings": {
        "AccessControl": YES,
        "StorageClass": ignored("the store has one storage class"),
        **refused("Encryption", why="the store does not encrypt objects"),
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
        **refused("StaticKeyProvider"),
    },
    "SpekeKeyProvider": {
        "EncryptionContractConfiguration": YES,
        "ResourceId": YES,
        "SystemIds": YES,
        "Url": within("https, or http to a loopback address"),
        **refused("CertificateArn", why="certificates are kept in an AWS account; keys travel over TLS or loopback"),
    },
    "SpekeKeyProviderCmaf": {
        "DashSignaledSystemIds": YES,
        "EncryptionContractConfiguration": YES,
        "HlsSignaledSystemIds": YES,
        "ResourceId": YES,
        "Url": within("https, or http to a loopback address"),
        **refused("CertificateArn", why="certificates are kept in an AWS account; keys travel over TLS or loopback"),
    },
    "EncryptionContractConfiguration": {
        "SpekeAudioPreset": only("PRESET_AUDIO_1", "SHARED", "UNENCRYPTED"),
        "SpekeVideoPreset": only("PRESET_VIDEO_1", "SHARED", "UNENCRYPTED"),
    },
}
