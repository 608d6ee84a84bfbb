"""What becomes of the settings of caption outputs."""

from __future__ import annotations

from localaws.mediaconvert.answers.rules import YES, Table, ignored, only, refused, within

_STYLES = "italics, bold and underline; no colours and positions"
_PACKED = "; captions that are packed into MP4 as TTML have no styles"
CAPTIONS: Table = {
    "CaptionDescription": {
        "CaptionSelectorName": YES,
        "CustomLanguageCode": YES,
        "DestinationSettings": YES,
        "LanguageCode": YES,
        "LanguageDescription": YES,
        "Source": only("INPUT_CAPTION_SELECTOR"),
        **refused("AudioSourceNames", why="subtitles are not made from speech"),
    },
    "CaptionDestinationSettings": {
        "DestinationType": only("WEBVTT", "SRT", "TTML", "IMSC", "SCC", "SMI", "BURN_IN", "EMBEDDED"),
        "BurninDestinationSettings": YES,
        "EmbeddedDestinationSettings": within(
            "in H_264, H_265 and MPEG2; captions that come in pictures pass as they are, EIA-608 and 708; text becomes "
            "EIA-608 pop-on captions at the bottom; the mastering display of HDR pictures does not pass beside them"
        ),
        "ImscDestinationSettings": YES,
        "SccDestinationSettings": within("pop-on captions of channel 1 at the bottom, from timecode zero on"),
        "SrtDestinationSettings": YES,
        "TtmlDestinationSettings": YES,
        "WebvttDestinationSettings": YES,
        **refused("DvbSubDestinationSettings", "TeletextDestinationSettings"),
    },
    "BurninDestinationSettings": {
        "Alignment": within("at the bottom, 6 % from the border, where no position is set"),
        "ApplyFontColor": within("colours are those of whole captions"),
        "BackgroundColor": YES,
        "BackgroundOpacity": within("0 where it is not set"),
        "FallbackFont": ignored("all text is drawn in DejaVu Sans"),
        "FontColor": YES,
        "FontOpacity": YES,
        "FontResolution": only(96),
        "FontScript": only("AUTOMATIC"),
        "FontSize": within("5.5 % of the picture's height where it is 0 or not set"),
        "HexFontColor": YES,
        "OutlineColor": YES,
        "OutlineSize": YES,
        "RemoveRubyReserveAttributes": ignored("ruby is not drawn"),
        "ShadowColor": YES,
        "ShadowOpacity": within("0 where it is not set"),
        "ShadowXOffset": within("2 where it is not set"),
        "ShadowYOffset": within("2 where it is not set"),
        "StylePassthrough": within(
            "italics, bold and underline, the colour of a whole caption and its region in TTML, its place in WebVTT"
        ),
        "TeletextSpacing": ignored("no captions that are read have a grid; text is spaced by its letters"),
        "XPosition": within("kept within the picture"),
        "YPosition": within("kept within the picture"),
        **refused(
            "FontFileBold",
            "FontFileBoldItalic",
            "FontFileItalic",
            "FontFileRegular",
            why="fonts of strangers are not opened",
        ),
    },
    "EmbeddedDestinationSettings": {
        "Destination608ChannelNumber": within("of text; CC1, and CC3 for a second track, where it is not set"),
        **refused("Destination708ServiceNumber", why="text is written as EIA-608 alone"),
    },
    "ImscDestinationSettings": {"Accessibility": YES, "StylePassthrough": within(_STYLES + _PACKED)},
    "SccDestinationSettings": {"Framerate": within("29.97 without drop-frame where it is not set")},
    "SrtDestinationSettings": {"StylePassthrough": within(_STYLES)},
    "TtmlDestinationSettings": {
        "BackgroundColor": YES,
        "BackgroundOpacity": within("together with a colour"),
        "FontColor": YES,
        "FontOpacity": within("together with a colour"),
        "FontSize": YES,
        "FontStyle": YES,
        "FontWeight": YES,
        "StylePassthrough": within(_STYLES + _PACKED),
        "TextDecoration": YES,
    },
    "WebvttDestinationSettings": {
        "Accessibility": YES,
        "StylePassthrough": only("ENABLED", "DISABLED", limits=_STYLES),
    },
}
