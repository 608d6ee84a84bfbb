"""Makes the playlists of a CMAF group, which the packager wrote, as the group's settings ask. Pure.

Source: RFC 8216; botocore's CmafGroupSettings.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping

from localaws.mediaconvert.settings.hls import HlsGroup

_EXTINF = re.compile(r"^#EXTINF:([0-9.]+),", re.MULTILINE)
_TARGET = re.compile(r"^#EXT-X-TARGETDURATION:\d+$", re.MULTILINE)


def multivariant(text: str, asked: HlsGroup) -> str:
    """Leave out what the settings exclude from variants."""
    return text if asked.resolution else re.sub(r",RESOLUTION=\d+x\d+", "", text)


def with_sound(text: str, wanted: Mapping[str, Collection[str]]) -> str:
    """Leave out the variants with groups of sound that a picture is not to play with. wanted: by media playlist."""
    kept: list[str] = []
    lines = iter(text.splitlines())
    for line in lines:
        if not line.startswith("#EXT-X-STREAM-INF:"):
            kept.append(line)
            continue
        playlist, group = next(lines), re.search(r'AUDIO="([^"]*)"', line)
        if group is None or group[1] in wanted.get(playlist, (group[1],)):
            kept += [line, playlist]
    return "\n".join(kept) + "\n"


def media(text: str, asked: HlsGroup, base_url: str) -> str:
    """Write target and segment durations as asked, forbid caching, and put `base_url` before every file."""
    lengths_s = [float(found) for found in _EXTINF.findall(text)]
    target = target_duration(max(lengths_s, default=1.0), asked)
    text = _TARGET.sub(f"#EXT-X-TARGETDURATION:{target}", text)
    if not asked.may_cache:
        text = text.replace("#EXT-X-PLAYLIST-TYPE:VOD\n", "#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-ALLOW-CACHE:NO\n")
    if asked.whole_durations:
        text = _EXTINF.sub(lambda found: f"#EXTINF:{round(float(found[1]))},", text)
    if base_url:
        text = re.sub(r'^(#EXT-X-MAP:.*URI=")', lambda found: found[1] + base_url, text, flags=re.MULTILINE)
        text = re.sub(r"^(?=[^#\n])", lambda _: base_url, text, flags=re.MULTILINE)
    return text


def target_duration(longest_s: float, asked: HlsGroup) -> int:
    """AWS: LEGACY always rounds up, SPEC_COMPLIANT to the nearest whole second."""
    return max(1, math.ceil(longest_s - 1e-3) if asked.target_rounds_up else math.floor(longest_s + 0.5))
