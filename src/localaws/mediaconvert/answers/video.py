"""What becomes of the settings of pictures: size, shape, processing, codecs."""

from __future__ import annotations

from localaws.mediaconvert.answers.rules import YES, Rule, Table, ignored, only, refused, within

_SHARED: dict[str, Rule] = {
    "Bitrate": YES,
    "FramerateControl": YES,
    "FramerateConversionAlgorithm": only(
        "DUPLICATE_DROP",
        "INTERPOLATE",
        "FRAMEFORMER",
        limits="INTERPOLATE blends neighbours, FRAMEFORMER moves what moves, by ffmpeg's minterpolate, and is slow",
    ),
    "FramerateDenominator": YES,
    "FramerateNumerator": YES,
    "GopSize": YES,
    "MaxBitrate": YES,
    "RateControlMode": YES,
}
_PIXELS: dict[str, Rule] = {
    "ParControl": within("INITIALIZE_FROM_SOURCE where the picture size is the source's, else square pixels"),
    "ParDenominator": YES,
    "ParNumerator": YES,
}
_PROGRESSIVE: dict[str, Rule] = {
    "InterlaceMode": only("PROGRESSIVE"),
    "ScanTypeConversionMode": ignored("output is progressive"),
    "SlowPal": only("DISABLED"),
    "Telecine": only("NONE"),
}
_FIELDS: dict[str, Rule] = {
    "InterlaceMode": YES,
    "ScanTypeConversionMode": YES,
    "SlowPal": only("DISABLED"),
    "Telecine": only("NONE", "HARD"),
}
_FRAMES = {name: _SHARED[name] for name in (
    "FramerateControl", "FramerateConversionAlgorithm", "FramerateDenominator", "FramerateNumerator")}  # fmt: skip
# Of H.264 and H.265 alike.
_MAX_AVERAGE = within("two passes aim at it, and save bits where quantizers would be far finer than the level's")
_BLOCK_CODEC: dict[str, Rule] = {
    **_SHARED,
    **_PIXELS,
    "AdaptiveQuantization": YES,
    "CodecLevel": YES,
    "DynamicSubGop": YES,
    "EndOfStreamMarkers": ignored("MP4 ends without a marker", "INCLUDE", "SUPPRESS"),
    "FlickerAdaptiveQuantization": ignored("rate control spreads I-frame quality already"),
    "GopBReference": YES,
    "GopClosedCadence": within(
        "in file groups; scene cuts get no I-frames beside open GOPs, and H.265 opens all of them or none"
    ),
    "GopSizeUnits": YES,
    "HrdBufferFinalFillPercentage": ignored("the encoder's buffer ends as full as it happens to be"),
    "HrdBufferInitialFillPercentage": YES,
    "HrdBufferSize": YES,
    "MinIInterval": within("key frames come at GOP and segment boundaries only"),
    "NumberBFramesBetweenReferenceFrames": YES,
    "NumberReferenceFrames": YES,
    "QualityTuningLevel": within(
        "MULTI_PASS_HQ is two passes, which decode the source twice; with QVBR and no average one with a long lookahead"
    ),
    "QvbrSettings": YES,
    "SceneChangeDetect": within("cuts get I-frames; key frames stay where the GOP has them, the same in every output"),
    "Slices": YES,
    "SpatialAdaptiveQuantization": YES,
    "TemporalAdaptiveQuantization": within("the encoder's tree of later references"),
    "UnregisteredSeiTimecode": only("DISABLED"),
    **refused(
        "BandwidthReductionFilter",
        "PerFrameMetrics",
        "SlidingWindowMs",
        "SlidingWindowPeakBitrate",
    ),
}
VIDEO: Table = {
    "VideoDescription": {
        "AfdSignaling": within(
            "H.264 at key frames, H.265 at every frame; AUTO tells how the picture lies in the frame"
        ),
        "AntiAlias": ignored("AWS applies it always and so do we"),
        "ChromaPositionMode": within("said of H.264 and H.265; the samples stay where they are"),
        "CodecSettings": YES,
        "ColorMetadata": YES,
        "DropFrameTimecode": YES,
        "Height": within("even numbers, as 4:2:0 needs"),
        "RespondToAfd": within(
            "the first frame's code, of a film that is one input in one piece; a crop or position is followed instead"
        ),
        "ScalingBehavior": only("DEFAULT", "STRETCH_TO_OUTPUT", "FIT", "FIT_NO_UPSCALE", "FILL"),
        "Sharpness": within("50 is a bicubic kernel; less makes it wider, more sharper"),
        "TimecodeInsertion": within(
            "into MPEG-2 and the files of MPEG-2, ProRes and VC-3; H.264 and H.265 get none, which the job warns of"
        ),
        "TimecodeTrack": within("MP4 and MOV files"),
        "Width": within("even numbers, as 4:2:0 needs"),
        "Crop": within("even numbers, as 4:2:0 needs"),
        "Position": within("even numbers, as 4:2:0 needs; the picture is stretched to it"),
        "VideoPreprocessors": YES,
        "FixedAfd": within("where afdSignaling is FIXED"),
    },
    "VideoPreprocessor": {
        "ColorCorrector": YES,
        "Deinterlacer": YES,
        "NoiseReducer": YES,
        "ImageInserter": YES,
        "TimecodeBurnin": YES,
        **refused("DurationControl"),
        **refused("DolbyVision", "Hdr10Plus", why="dynamic metadata needs a licence of its maker"),
        **refused("PartnerWatermarking", why="a licence of its maker and an account are needed"),
    },
    "ImageInserter": {"InsertableImages": YES, **refused("SdrReferenceWhiteLevel")},
    "InsertableImage": {
        "Duration": YES,
        "FadeIn": YES,
        "FadeOut": YES,
        "Height": YES,
        "ImageInserterInput": within("PNG; addresses as of inputs"),
        "ImageX": YES,
        "ImageY": YES,
        "Layer": YES,
        "Opacity": YES,
        "StartTime": YES,
        "Width": YES,
    },
    "TimecodeBurnin": {
        "FontSize": only(10, 16, 32, 48, limits="of DejaVu Sans"),
        "Position": YES,
        "Prefix": within("at most 64 characters"),
    },
    "Rectangle": {"Height": YES, "Width": YES, "X": YES, "Y": YES},
    "Deinterlacer": {
        "Algorithm": within("one frame for each pair of fields; tickers are treated as everything else"),
        "Control": YES,
        "Mode": within(
            "ADAPTIVE deinterlaces what looks interlaced; INVERSE_TELECINE needs a rate of 24000/1001 to be smooth"
        ),
    },
    "NoiseReducer": {
        "Filter": only(
            *("BILATERAL", "MEAN", "GAUSSIAN", "SHARPEN", "CONSERVE", "SPATIAL", "TEMPORAL", "NONE"),
            limits="CONSERVE holds each sample to the least and the most of its neighbours",
        ),
        "FilterSettings": YES,
        "SpatialFilterSettings": YES,
        "TemporalFilterSettings": YES,
    },
    "NoiseReducerFilterSettings": {"Strength": YES},
    "NoiseReducerSpatialFilterSettings": {
        "PostFilterSharpenStrength": YES,
        "Speed": ignored("the filter has one speed"),
        "Strength": YES,
    },
    "NoiseReducerTemporalFilterSettings": {
        "AggressiveMode": only(0),
        "PostTemporalSharpening": within("AUTO is DISABLED"),
        "PostTemporalSharpeningStrength": YES,
        "Speed": ignored("the filter has one speed"),
        "Strength": YES,
    },
    "ColorCorrector": {
        "Brightness": YES,
        "ClipLimits": YES,
        "ColorSpaceConversion": only(
            *("NONE", "FORCE_601", "FORCE_709", "FORCE_HDR10", "FORCE_HLG_2020", "FORCE_P3D65_SDR", "FORCE_P3D65_HDR")
        ),
        "Contrast": YES,
        "HdrToSdrToneMapper": within("curves of our own, one gentle to highlights, one to middle tones"),
        "Hdr10Metadata": within("of outputs that are converted to HDR10"),
        "Hue": YES,
        "SampleRangeConversion": YES,
        "Saturation": YES,
        "SdrReferenceWhiteLevel": YES,
        **refused("MaxLuminance"),
    },
    "ClipLimits": {
        "MaximumYUV": YES,
        "MinimumYUV": YES,
        **refused(
            "MaximumRGBTolerance", "MinimumRGBTolerance", why="brightness and colour are held to limits, not RGB"
        ),
    },
    "Hdr10Metadata": {
        "BluePrimaryX": YES,
        "BluePrimaryY": YES,
        "GreenPrimaryX": YES,
        "GreenPrimaryY": YES,
        "MaxContentLightLevel": YES,
        "MaxFrameAverageLightLevel": YES,
        "MaxLuminance": within("1000 cd/m2 where it is not set"),
        "MinLuminance": within("0.0001 cd/m2 where it is not set"),
        "RedPrimaryX": YES,
        "RedPrimaryY": YES,
        "WhitePointX": YES,
        "WhitePointY": YES,
    },
    "VideoCodecSettings": {
        "Codec": only(
            *("AV1", "FRAME_CAPTURE", "GIF", "H_264", "H_265", "MPEG2", "PASSTHROUGH", "PRORES", "UNCOMPRESSED"),
            *("VC3", "VP8", "VP9"),
            limits="PASSTHROUGH copies one whole H.264, H.265, ProRes or VC-3 input into a file",
        ),
        "Av1Settings": YES,
        "FrameCaptureSettings": YES,
        "H264Settings": YES,
        "H265Settings": YES,
        "GifSettings": YES,
        "Mpeg2Settings": YES,
        "PassthroughSettings": YES,
        "ProresSettings": YES,
        "UncompressedSettings": YES,
        "Vc3Settings": within("1920x1080 and 1280x720"),
        "Vp8Settings": YES,
        "Vp9Settings": YES,
        **refused("AvcIntraSettings", "XavcSettings"),
    },
    "FrameCaptureSettings": {
        "FramerateDenominator": YES,
        "FramerateNumerator": YES,
        "MaxCaptures": YES,
        "Quality": YES,
    },
    "H264Settings": {
        **_BLOCK_CODEC,
        **_FIELDS,
        "CodecProfile": YES,
        "EntropyEncoding": YES,
        "ExplicitWeightedPrediction": YES,
        "FieldEncoding": ignored("fields lie in frames, whose macroblocks are coded either way (MBAFF)"),
        "NumberBFramesBetweenReferenceFrames": within("0 in MXF"),
        "RepeatPps": only("DISABLED"),
        "Softness": only(0),
        "Syntax": only("DEFAULT"),
        "WriteMp4PackagingType": only("AVC1"),
        **refused("SaliencyAwareEncoding"),
    },
    "H264QvbrSettings": {
        "QvbrQualityLevel": within("7 is x264's CRF 23 and each level is two CRF steps"),
        "QvbrQualityLevelFineTune": YES,
        "MaxAverageBitrate": _MAX_AVERAGE,
    },
    "H265Settings": {
        **_BLOCK_CODEC,
        **_PROGRESSIVE,
        "AlternateTransferFunctionSei": YES,
        "CodecProfile": within("HIGH allows the high tier's rates of a level"),
        "Deblocking": YES,
        "MvOverPictureBoundaries": only("ENABLED"),
        "MvTemporalPredictor": YES,
        "SampleAdaptiveOffsetFilterMode": within("ADAPTIVE and DEFAULT are the same"),
        "TemporalIds": only("DISABLED"),
        "TilePadding": only("NONE"),
        "Tiles": ignored("pictures are not cut into tiles, which only lets more cores decode them"),
        "TreeBlockSize": YES,
        "WriteMp4PackagingType": within("MP4 and MOV; parameter sets are in the stream elsewhere"),
        **refused("TileHeight", "TileWidth"),
    },
    "H265QvbrSettings": {
        "QvbrQualityLevel": within("7 is x265's CRF 28 and each level is two CRF steps"),
        "QvbrQualityLevelFineTune": YES,
        "MaxAverageBitrate": _MAX_AVERAGE,
    },
    "Av1Settings": {
        **_SHARED,
        "AdaptiveQuantization": within("on or off; SVT-AV1 has one strength"),
        "BitDepth": YES,
        "FilmGrainSynthesis": within("a middling grain, 8 of SVT-AV1's 50"),
        "NumberBFramesBetweenReferenceFrames": only(3, 7, 15, limits="SVT-AV1's pyramids"),
        "QvbrSettings": YES,
        "SceneChangeDetect": ignored("SVT-AV1 codes a cut well without another kind of frame"),
        "Slices": within("as many tiles, side by side; with CBR none narrower than 128 pixels"),
        "SpatialAdaptiveQuantization": YES,
        **refused("PerFrameMetrics", "SlidingWindowMs", "SlidingWindowPeakBitrate"),
    },
    "Av1QvbrSettings": {
        "QvbrQualityLevel": within("7 is SVT-AV1's CRF 35 and each level is four CRF steps"),
        "QvbrQualityLevelFineTune": YES,
    },
    "Mpeg2Settings": {
        **_SHARED,
        **_PIXELS,
        **_FIELDS,
        "AdaptiveQuantization": ignored("the encoder has one way to spread bits over a frame"),
        "CodecLevel": YES,
        "CodecProfile": YES,
        "DynamicSubGop": ignored("there are as many B-frames as are asked for"),
        "GopClosedCadence": within("every GOP is closed, however many may be open"),
        "GopSizeUnits": YES,
        "HrdBufferFinalFillPercentage": ignored("the encoder's buffer ends as full as it happens to be"),
        "HrdBufferInitialFillPercentage": ignored("the encoder fills its buffer by three quarters"),
        "HrdBufferSize": YES,
        "IntraDcPrecision": within("AUTO is 8 bits"),
        "MinIInterval": ignored("key frames come at the GOP's distance only"),
        "NumberBFramesBetweenReferenceFrames": YES,
        "QualityTuningLevel": within("MULTI_PASS is two passes, which decode the source twice"),
        "SceneChangeDetect": ignored("a cut within a GOP is coded in the frames that it has"),
        "Softness": only(0),
        "SpatialAdaptiveQuantization": ignored("the encoder has one way to spread bits over a frame"),
        "Syntax": only("DEFAULT"),
        "TemporalAdaptiveQuantization": ignored("the encoder has one way to spread bits over frames"),
        **refused("PerFrameMetrics", "SlidingWindowMs", "SlidingWindowPeakBitrate"),
    },
    "ProresSettings": {
        **_FRAMES,
        **_PIXELS,
        **_FIELDS,
        "ChromaSampling": within("SUBSAMPLE_TO_422 where it is not set; 4444 has no alpha"),
        "CodecProfile": YES,
        **refused("PerFrameMetrics"),
    },
    "Vc3Settings": {**_FRAMES, **_FIELDS, "Vc3Class": YES},
    "UncompressedSettings": {**_FRAMES, **_PROGRESSIVE, "Fourcc": within("in Y4M")},
    "GifSettings": {**_FRAMES, "FramerateConversionAlgorithm": only("DUPLICATE_DROP", "INTERPOLATE")},
    "PassthroughSettings": {
        "FrameControl": ignored("inputs are taken whole"),
        "GopsPerSegment": ignored("there are no segments in a file"),
        "SegmentationMode": ignored("there are no segments in a file"),
        "VideoSelectorMode": ignored("an input has one video here"),
    },
    "Vp8Settings": {
        **_SHARED,
        **_PIXELS,
        "HrdBufferSize": YES,
        "QualityTuningLevel": within("the source is decoded twice, for two passes; MULTI_PASS_HQ is slower"),
    },
    "Vp9Settings": {
        **_SHARED,
        **_PIXELS,
        "HrdBufferSize": YES,
        "QualityTuningLevel": within("the source is decoded twice, for two passes; MULTI_PASS_HQ is slower"),
    },
}
