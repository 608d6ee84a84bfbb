from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localaws.edge.targets import is_clean, matcher, spellings


@pytest.mark.parametrize(
    "path", ["/", "/assets/", "/a/x.mp4", "/a b+c%.mp4", "/a/f%20g.mp4", "/ü/فيلم.mp4", "/..a/b..", "/a/...", "/100%25"]
)
def test_a_plain_path_is_taken(path: str) -> None:
    assert is_clean(path)


@pytest.mark.parametrize(
    "path",
    [
        "", "*", "assets/a", "//", "//internal/x", "/assets//x", "/.", "/..", "/a/..", "/a/../b", "/a/./b", "/../etc",
        "/a\\b", "/a\x00b", "/a\nb", "/a\x7f", "/a\ufffdb",
        "/%2e%2e/b", "/a/%2E%2e", "/a%2fb", "/a%5Cb", "/a%00b", "/" + "a" * 2048,
    ],
)  # fmt: skip
def test_a_path_with_two_meanings_is_refused(path: str) -> None:
    assert not is_clean(path)


@given(st.text(max_size=60).map(lambda text: "/" + text))
def test_no_clean_path_has_a_dot_segment_before_or_after_one_more_decoding(path: str) -> None:
    if is_clean(path):
        for read in (path, unquote(path)):
            assert not {".", ".."} & set(read.split("/"))
            assert "\\" not in read
            assert "\x00" not in read


@given(st.text(min_size=1, max_size=60))
def test_every_spelling_is_ascii_and_decodes_to_the_path(text: str) -> None:
    path = "/" + text.encode(errors="replace").decode()
    for spelled in spellings(path):
        assert spelled.isascii()
        assert spelled.isprintable()
        assert unquote(spelled) == path
        assert not {"?", "#", " "} & set(spelled)


def test_sub_delimiters_have_two_spellings() -> None:
    assert spellings("/a+b(1).mp4") == ("/a+b(1).mp4", "/a%2Bb%281%29.mp4")
    assert spellings("/assets/a-b_c.mp4") == ("/assets/a-b_c.mp4",)


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*", "/anything/at/all", True),
        ("/assets/*", "/assets/a/b", True),
        ("/assets/*", "/assets", False),
        ("/assets/*", "/Assets/a", False),
        ("/x", "/x", True),
        ("/x", "/xy", False),
        ("*.mpd", "/a/b.mpd", True),
        ("*.mpd", "/a/b.mpd.txt", False),
        ("/a?c/*", "/abc/d", True),
        ("/a?c/*", "/ac/d", False),
        ("/a.c*", "/abc", False),
        ("/**", "/x", True),
        ("*?", "/", True),
    ],
)
def test_a_pattern_matches_as_in_cloudfront(pattern: str, path: str, expected: bool) -> None:
    assert matcher(pattern)(path) is expected
