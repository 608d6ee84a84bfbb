"""Captions and a second voice, from job settings to the watch page; Studio tells what became of each settings file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

import mediaconvert_jobs as jobs
from browser.pages import Opener, new_session, play
from running_stack import RunningStack
from sample_media import ffmpeg

WEBVTT = "WEBVTT\n\n00:00.000 --> 00:06.000\n{}\n"
SPOKEN = {"english": ("ENG", "English", "The boats come in"), "german": ("DEU", "Deutsch", "Die Boote kommen")}
WIDEVINE = "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"
SHOWN = """() => [...document.querySelector("penstock-player").video.textTracks]
  .filter((one) => one.mode === "showing").flatMap((one) => [...(one.activeCues ?? [])]).map((one) => one.text)"""


def _settings(bucket: str, key_provider: str) -> dict[str, Any]:
    """A CMAF group, encrypted, with two languages of sound and of captions."""
    described, sounds = jobs.tracks(2)
    voices = [
        {"NameModifier": f"_a{place}", "ContainerSettings": {"Container": "CMFC"}, "AudioDescriptions": [one]}
        for place, one in enumerate(described)
    ]
    texts = [
        {
            "NameModifier": f"_{name}",
            "CaptionDescriptions": [
                {
                    "CaptionSelectorName": name,
                    "LanguageCode": code,
                    "LanguageDescription": label,
                    "DestinationSettings": {"DestinationType": "WEBVTT"},
                }
            ],
        }
        for name, (code, label, _) in SPOKEN.items()
    ]
    files = {name: {"SourceFile": f"s3://{bucket}/captions/{name}.vtt"} for name in SPOKEN}
    selectors = {
        name: {"SourceSettings": {"SourceType": "WEBVTT", "FileSourceSettings": file}} for name, file in files.items()
    }
    encryption = jobs.encryption(key_provider, systems=(WIDEVINE,))
    group = jobs.cmaf(jobs.video("_v", Height=90), *voices, *texts, Encryption=encryption)
    return jobs.settings(group, CaptionSelectors=selectors, AudioSelectors=sounds)


@pytest.fixture(scope="module")
def spoken(stack: RunningStack, film: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A published asset of two job settings files, of which one cannot be used."""
    s3, bucket = stack.aws("s3"), stack.env["PENSTOCK_SOURCE_BUCKET"]
    made = {f"captions/{name}.vtt": WEBVTT.format(text) for name, (_, _, text) in SPOKEN.items()}
    settings = _settings(bucket, f"{stack.env['PENSTOCK_URL']}/speke/v2/copyProtection")
    made |= {"jobs/spoken.json": json.dumps(settings), "jobs/broken.json": "{"}
    for key, text in made.items():
        s3.put_object(Bucket=bucket, Key=key, Body=text.encode())
    source = ffmpeg(
        tmp_path_factory.mktemp("spoken") / "two voices.mp4", "-i", str(film), "-map", "0:v", "-map", "0:a", "-map",
        "0:a", "-c", "copy", "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu",
    )  # fmt: skip
    with stack.client as client:
        uploaded = client.upload(source, title="Two voices")
        yield client.wait(uploaded["id"], lambda _: None)
    for key in made:
        s3.delete_object(Bucket=bucket, Key=key)


@pytest.fixture
def watching(stack: RunningStack, open_page: Opener, spoken: dict[str, Any]) -> Page:
    assert spoken["state"] == "published", spoken
    page = open_page(locale="de-DE")
    page.goto(new_session(stack, spoken["id"])["watch_url"])
    expect(page.get_by_role("heading", name="Two voices")).to_be_visible()
    return page


def test_viewer_chooses_captions_and_language(watching: Page) -> None:
    captions, language = (watching.get_by_role("combobox", name=name) for name in ("Captions", "Language"))
    expect(captions.locator("option")).to_have_text(["Off", "English", "Deutsch"])
    expect(captions).to_have_value("-1")
    captions.select_option(label="English")
    watching.wait_for_function(f"() => ({SHOWN})().includes('The boats come in')")
    expect(language.locator("option")).to_have_count(2)
    language.select_option(index=1)
    watching.wait_for_function("() => document.querySelector('penstock-player').video.readyState >= 3")


def test_seek_right_after_another_language_was_chosen_plays_on(watching: Page) -> None:
    slow = {"offline": False, "latency": 150, "downloadThroughput": -1, "uploadThroughput": -1}
    watching.context.new_cdp_session(watching).send("Network.emulateNetworkConditions", slow)
    language = watching.get_by_role("combobox", name="Language")
    expect(language.locator("option")).to_have_count(2)
    other = language.locator("option:not(:checked)").inner_text()
    with watching.expect_request(re.compile(r"init\.cmfa")):
        language.select_option(label=other)
    watching.locator("video").evaluate("video => { video.currentTime = 1.2; }")
    assert play(watching)["frames"] > 5


def test_key_c_shows_captions_in_the_viewers_language_and_hides_them(watching: Page) -> None:
    captions = watching.get_by_role("combobox", name="Captions")
    watching.locator("video").focus()
    watching.keyboard.press("c")
    expect(captions.locator("option:checked")).to_have_text("Deutsch")
    watching.wait_for_function(f"() => ({SHOWN})().includes('Die Boote kommen')")
    watching.keyboard.press("c")
    expect(captions.locator("option:checked")).to_have_text("Off")


def test_studio_tells_what_became_of_each_job_settings_file(studio: Page, spoken: dict[str, Any]) -> None:
    row = studio.get_by_role("listitem").filter(has=studio.get_by_role("heading", name="Two voices", exact=True))
    expect(row).to_contain_text("spoken · Ready to watch")
    expect(row).to_contain_text("broken · Failed · The settings file is not JSON")
