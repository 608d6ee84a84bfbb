import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import ManifestError
from penstock.formats.references import folder_of, location, path_of, resolve

HERE = "https://cdn.example/films/one/main.mpd"
WITHIN = "https://cdn.example/films/one/"


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("seg.m4s", "https://cdn.example/films/one/seg.m4s"),
        ("v/../seg.m4s?a=b", "https://cdn.example/films/one/seg.m4s?a=b"),
        ("./v//seg.m4s", "https://cdn.example/films/one/v/seg.m4s"),
        ("/films/one/x", "https://cdn.example/films/one/x"),
        ("https://cdn.example/films/one/x", "https://cdn.example/films/one/x"),
        ("//cdn.example/films/one/x", "https://cdn.example/films/one/x"),
        ("a%20b.m4s", "https://cdn.example/films/one/a%20b.m4s"),
        ("", HERE),
        (".", WITHIN),
        ("../one/", WITHIN),
    ],
)
def test_references_are_resolved_as_the_rfc_says(reference, found):
    assert resolve(HERE, reference, within=WITHIN) == found


@pytest.mark.parametrize(
    "reference",
    [
        "../two/x",
        "v/../../two/x",
        "%2e%2e/x",
        "v/%2e%2e/%2e%2e/x",
        "a%2fb",
        "a%00b",
        "/etc/passwd",
        "file:///etc/passwd",
        "s3://cdn.example/films/one/x",
        "http://cdn.example/films/one/x",
        "https://cdn.example.evil.example/films/one/x",
        "https://cdn.example@evil.example/films/one/x",
        "//evil.example/films/one/x",
        "data:text/plain,x",
        "gopher://x/y",
        "..\\..\\x",
        "a\nb",
        "http://[x",
        "x" * 9000,
        "..",
    ],
)
def test_what_leads_out_of_the_folder_is_refused(reference):
    with pytest.raises(ManifestError):
        resolve(HERE, reference, within=WITHIN)


def test_a_wider_folder_allows_what_lies_in_it():
    assert resolve(HERE, "../two/x", within="https://cdn.example/films/") == "https://cdn.example/films/two/x"


def test_a_path_survives_being_a_location():
    here = location("file", "", "/tmp/50% of it?/a #1.mpd")
    assert path_of(here) == "/tmp/50% of it?/a #1.mpd"
    assert path_of(resolve(here, "x.m4s?token", within=folder_of(here))) == "/tmp/50% of it?/x.m4s"


@given(st.text(max_size=60))
def test_nothing_ever_leaves(reference):
    try:
        found = resolve(HERE, reference, within=WITHIN)
    except ManifestError:
        return
    assert path_of(found).startswith("/films/one/")
    assert "/../" not in path_of(found) + "/"
    assert found.startswith("https://cdn.example/")
