import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

import packaged_media
from penstock.errors import ManifestError
from penstock.formats import dash
from penstock.model import KeyId

LICENSE_URL = "https://video.example/v1/licenses/clearkey"
GOLDEN = Path(__file__).parents[1] / "golden" / "dash"
NS = {"mpd": dash.NAMESPACE, "dashif": dash.DASHIF}


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return packaged_media.source(tmp_path_factory.mktemp("film"))


def mpd(inside, attributes='type="static" mediaPresentationDuration="PT9S"'):
    return f'<MPD xmlns="{dash.NAMESPACE}" xmlns:cenc="{dash.CENC}" {attributes}>{inside}</MPD>'.encode()


def of_template(template, *, period='<Period id="0">', representation='id="v1" bandwidth="500"'):
    return mpd(
        f"{period}<AdaptationSet><Representation {representation}>{template}</Representation></AdaptationSet></Period>"
    )


@pytest.mark.parametrize("options", [(), ("-use_timeline", "0"), ("-single_file", "1")])
def test_every_file_ffmpeg_wrote_is_named(film, tmp_path, options):
    manifest = packaged_media.by_ffmpeg(film, tmp_path / "out", *options)
    assert set(dash.segment_names(manifest.read_bytes())) == packaged_media.media_files(manifest.parent)
    assert dash.duration_s(manifest.read_bytes()) == pytest.approx(5, abs=0.1)
    assert dash.key_ids(manifest.read_bytes()) == []


@pytest.mark.parametrize("segments", [True, False])
def test_every_file_shaka_packager_wrote_is_named_and_so_are_its_keys(film, tmp_path, segments):
    manifest = packaged_media.by_packager(film, tmp_path / "out", segments=segments)
    text = manifest.read_bytes()
    assert set(dash.segment_names(text)) == packaged_media.media_files(manifest.parent)
    assert dash.approximate_segments(text) == set()
    kids = [packaged_media.VIDEO_KID, packaged_media.AUDIO_KID]
    assert sorted(dash.key_ids(text)) == [KeyId.from_uuid(kid) for kid in kids]


def test_viewers_get_clear_key_and_no_other_drm_system(film, tmp_path):
    original = packaged_media.by_packager(film, tmp_path / "out", segments=True).read_bytes()
    root = etree.fromstring(dash.viewer_manifest(original, license_url=LICENSE_URL))
    schemes = [element.get("schemeIdUri") for element in root.iterfind(".//mpd:ContentProtection", NS)]
    assert schemes == [dash.MP4_PROTECTION, dash.CLEAR_KEY] * 2
    assert root.xpath("//dashif:Laurl/text()", namespaces=NS) == [LICENSE_URL] * 2
    viewers = etree.tostring(root)
    assert dash.segment_names(viewers) == dash.segment_names(original)
    assert dash.key_ids(viewers) == dash.key_ids(original)


def test_the_manifest_for_viewers_of_what_shaka_packager_wrote(golden):
    original = (GOLDEN / "packager.mpd").read_bytes()
    golden("dash/packager.viewer.mpd", dash.viewer_manifest(original, license_url=LICENSE_URL).decode())


def test_rewriting_twice_changes_nothing_more():
    once = dash.viewer_manifest((GOLDEN / "packager.mpd").read_bytes(), license_url=LICENSE_URL)
    assert dash.viewer_manifest(once, license_url=LICENSE_URL) == once


def test_systems_of_a_drm_vendor_stay_where_it_gives_the_licenses() -> None:
    original = (GOLDEN / "packager.mpd").read_bytes()
    kept = etree.fromstring(dash.viewer_manifest(original, license_url=None))
    before = [element.get("schemeIdUri") for element in etree.fromstring(original).iter("{*}ContentProtection")]
    assert [element.get("schemeIdUri") for element in kept.iter("{*}ContentProtection")] == before
    assert len(set(before)) > 1


def test_a_clear_presentation_gets_no_protection(film, tmp_path):
    original = packaged_media.by_packager(film, tmp_path / "out", segments=True, protect=False).read_bytes()
    viewers = dash.viewer_manifest(original, license_url=LICENSE_URL)
    assert b"ContentProtection" not in viewers
    assert dash.segment_names(viewers) == dash.segment_names(original)


def test_a_license_url_is_escaped():
    protected = (
        f'<ContentProtection schemeIdUri="{dash.MP4_PROTECTION}" cenc:default_KID="{packaged_media.VIDEO_KID}"/>'
    )
    viewers = dash.viewer_manifest(
        mpd(f"<Period><AdaptationSet>{protected}</AdaptationSet></Period>"), license_url="a?b&<c"
    )
    assert etree.fromstring(viewers).xpath("//dashif:Laurl/text()", namespaces=NS) == ["a?b&<c"]


def test_protection_without_a_key_id_is_refused():
    bare = '<ContentProtection schemeIdUri="urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"/>'
    with pytest.raises(ManifestError, match="MPD/Period/AdaptationSet is protected"):
        dash.viewer_manifest(mpd(f"<Period><AdaptationSet>{bare}</AdaptationSet></Period>"), license_url=LICENSE_URL)


TIMELINE = "<SegmentTimeline>{}</SegmentTimeline>"


@pytest.mark.parametrize(
    ("template", "names"),
    [
        (
            '<SegmentTemplate timescale="10" media="$Time$.m4s">'
            + TIMELINE.format('<S t="5" d="20" r="1"/><S d="10"/>')
            + "</SegmentTemplate>",
            ["5.m4s", "25.m4s", "45.m4s"],
        ),
        (
            '<SegmentTemplate timescale="10" media="$Number$.m4s">'
            + TIMELINE.format('<S d="40" r="-1"/>')
            + "</SegmentTemplate>",
            ["1.m4s", "2.m4s", "3.m4s"],
        ),
        (
            '<SegmentTemplate timescale="10" media="$Time$">'
            + TIMELINE.format('<S d="20" r="-1"/><S t="40" d="20"/>')
            + "</SegmentTemplate>",
            ["0", "20", "40"],
        ),
        (
            '<SegmentTemplate duration="4" startNumber="0" media="$RepresentationID$/$Bandwidth$-$Number%03d$-$$"/>',
            ["v1/500-000-$", "v1/500-001-$", "v1/500-002-$"],
        ),
        ('<SegmentTemplate duration="4" initialization="i" media="$Number$"/>', ["i", "1", "2", "3"]),
        ("<SegmentTemplate media='only.mp4'/>", ["only.mp4"]),
        ("<BaseURL>a/</BaseURL><SegmentTemplate media='only%20one.mp4'/>", ["a/only one.mp4"]),
        ("<BaseURL>a/b.mp4</BaseURL><SegmentBase><Initialization range='0-1'/></SegmentBase>", ["a/b.mp4"]),
        ("<BaseURL>a/b.mp4</BaseURL><SegmentBase><Initialization sourceURL='i'/></SegmentBase>", ["a/i", "a/b.mp4"]),
        ("<BaseURL>b.vtt</BaseURL>", ["b.vtt"]),
        ("<SegmentList><SegmentURL media='1'/><SegmentURL media='x/../2'/></SegmentList>", ["1", "2"]),
    ],
)
def test_each_way_to_name_segments(template, names):
    assert dash.segment_names(of_template(template)) == names


def test_attributes_come_from_every_level_and_bases_add_up():
    document = mpd(
        "<BaseURL>top/</BaseURL><Period><BaseURL>period/</BaseURL>"
        '<SegmentTemplate timescale="1" duration="3"/>'
        '<AdaptationSet><SegmentTemplate startNumber="7" media="$Number$"/>'
        '<Representation><BaseURL>rep/</BaseURL><SegmentTemplate duration="9"/></Representation>'
        "</AdaptationSet></Period>"
    )
    assert dash.segment_names(document) == ["top/period/rep/7"]


def test_periods_end_where_the_next_begins():
    period = '<AdaptationSet><Representation id="{}"><SegmentTemplate duration="2" media="$RepresentationID$$Number$"/>'
    period += "</Representation></AdaptationSet></Period>"
    document = mpd(f'<Period>{period.format("a")}<Period start="PT5S">{period.format("b")}')
    assert dash.segment_names(document) == ["a1", "a2", "a3", "b1", "b2"]
    document = mpd(f'<Period duration="PT2S">{period.format("a")}<Period>{period.format("b")}')
    assert dash.segment_names(document) == ["a1", "b1", "b2", "b3", "b4"]


def test_only_the_last_segment_of_an_approximate_template_may_be_missing():
    document = of_template('<SegmentTemplate duration="4" media="$Number$"/>')
    assert dash.approximate_segments(document) == {"3"}
    assert dash.approximate_segments(of_template('<SegmentTemplate duration="40" media="$Number$"/>')) == set()


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html/>",
        b"{}",
        b'<!DOCTYPE MPD [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + mpd("<Period>&x;</Period>"),
        b"<MPD/>",
        mpd(""),
        mpd("<Period/>", 'type="dynamic"'),
        mpd("<Period/>", 'type="static" mediaPresentationDuration="5 s"'),
        of_template("<SegmentTemplate/>"),
        of_template('<SegmentTemplate media="$Number$" duration="4"/>', period='<Period duration="P1Y">'),
        of_template('<SegmentTemplate media="$Number$" duration="x"/>'),
        of_template('<SegmentTemplate media="$Number$" duration="4" timescale="0"/>'),
        of_template('<SegmentTemplate media="$SubNumber$"/>'),
        of_template('<SegmentTemplate media="$Number%99d$$Number%99d$" duration="4"/>' + "<BaseURL>//x/</BaseURL>"),
        of_template('<SegmentTemplate media="../x"/>'),
        of_template('<SegmentTemplate media="%2e%2e/x"/>'),
        of_template('<SegmentTemplate media="/x"/>'),
        of_template('<SegmentTemplate media="https://elsewhere.example/x"/>'),
        of_template('<SegmentTemplate media="http://[x"/>'),
        of_template('<SegmentTemplate media="file:///etc/passwd"/>'),
        of_template("<BaseURL>..</BaseURL>"),
        of_template("<SegmentBase/>"),
        of_template('<SegmentTemplate media="$Number$" timescale="1000000" duration="1"/>'),
        of_template(
            '<SegmentTemplate media="$Time$">'
            + TIMELINE.format('<S d="1" r="99999999999999999999"/>')
            + "</SegmentTemplate>"
        ),
        of_template('<SegmentTemplate media="$Time$">' + TIMELINE.format('<S d="0"/>') + "</SegmentTemplate>"),
        of_template('<SegmentTemplate media="$Time$">' + TIMELINE.format('<S r="2"/>') + "</SegmentTemplate>"),
        of_template('<SegmentTemplate media="$Time$">' + TIMELINE.format('<S d="-4"/>') + "</SegmentTemplate>"),
    ],
)
def test_a_manifest_that_cannot_be_trusted_is_refused(document):
    with pytest.raises(ManifestError) as caught:
        dash.segment_names(document)
    assert caught.value.message


def test_a_key_id_that_is_none_and_a_duration_that_is_missing_are_refused():
    with pytest.raises(ManifestError, match="default_KID"):
        dash.key_ids(mpd('<Period><ContentProtection cenc:default_KID="x"/></Period>'))
    with pytest.raises(ManifestError, match="mediaPresentationDuration"):
        dash.duration_s(mpd("<Period/>", 'type="static"'))


@pytest.mark.parametrize(
    ("text", "seconds"), [("PT5S", 5), ("PT1H2M3.5S", 3723.5), ("P1DT1S", 86401), ("PT0.04S", 0.04), ("PT2M", 120)]
)
def test_durations_are_read(text, seconds):
    assert dash.duration_s(mpd("", f'mediaPresentationDuration="{text}"')) == seconds


@given(st.binary(max_size=300))
def test_any_bytes_give_names_or_a_refusal(data):
    with contextlib.suppress(ManifestError):
        dash.segment_names(data)


attribute_values = st.text(alphabet="0123456789-$%./:aNumberTimed ", max_size=12)


@given(
    st.dictionaries(
        st.sampled_from(["media", "initialization", "duration", "timescale", "startNumber"]), attribute_values
    )
)
def test_any_template_gives_files_in_the_folder_or_a_refusal(attributes):
    element = etree.Element("SegmentTemplate", attributes)
    with contextlib.suppress(ManifestError):
        for name in dash.segment_names(of_template(etree.tostring(element).decode())):
            assert not name.startswith("/") and ".." not in name.split("/")


@given(st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 5)), min_size=1, max_size=20))
def test_a_timeline_names_as_many_segments_as_it_has_runs(runs):
    text = "".join(f'<S d="{duration}" r="{repeat}"/>' for duration, repeat in runs)
    document = of_template(f'<SegmentTemplate media="$Number$-$Time$">{TIMELINE.format(text)}</SegmentTemplate>')
    durations = [duration for duration, repeat in runs for _ in range(repeat + 1)]
    starts = [sum(durations[:index]) for index in range(len(durations))]
    assert dash.segment_names(document) == [f"{number}-{start}" for number, start in enumerate(starts, start=1)]
