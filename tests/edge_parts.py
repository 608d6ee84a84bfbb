"""What tests of the edge share: judgements as they are read, a film of numbered segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def refusal(judge: Any, *asked: Any) -> str | None:
    """Why a judge refuses, None where it does not."""
    answer = judge.judge(*asked)
    return answer if isinstance(answer, str) else None


def segment_template(*, video: Sequence[str], audio: Sequence[str], segment_ms: int, length_s: int) -> bytes:
    """An MPD whose segments are `<rendition>-<number>.m4s`, from 0 on; sound is cut a little elsewhere."""

    def adaptation_set(kind: str, names: Sequence[str], duration: int) -> str:
        representations = "".join(f'<Representation id="{name}" bandwidth="1"/>' for name in names)
        return (
            f'<AdaptationSet contentType="{kind}"><SegmentTemplate timescale="1000" media="$RepresentationID$-$Number$'
            f'.m4s" initialization="$RepresentationID$-init.m4s" startNumber="0" duration="{duration}"/>'
            f"{representations}</AdaptationSet>"
        )

    sets = adaptation_set("video", video, segment_ms) + adaptation_set("audio", audio, segment_ms + 11)
    return (
        f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT{length_s}S">'
        f"<Period>{sets}</Period></MPD>"
    ).encode()
