"""Manifests on the web and in S3, and what the command line says."""

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from penstock import cli, smil
from penstock.errors import ManifestError, NotFound, UpstreamError
from penstock.formats import smil as smil_format


class Web:
    """A web server on loopback that remembers what it was asked for."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        self.redirects: dict[str, str] = {}
        web = self

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append(self.path)
                if self.path in web.redirects:
                    self.send_response(302)
                    self.send_header("Location", web.redirects[self.path])
                    self.end_headers()
                else:
                    super().do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def web(segmented: Path) -> Iterator[Web]:
    found = Web(segmented.parent.parent)
    thread = threading.Thread(target=found.server.serve_forever)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def local(segmented: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("local")
    smil.make(str(segmented), str(folder / "film.smil"))
    return folder


def same(folder: Path, local: Path) -> bool:
    names = sorted(path.name for path in folder.iterdir())
    return names == sorted(path.name for path in local.iterdir()) and all(
        (folder / name).read_bytes() == (local / name).read_bytes() for name in names
    )


def test_a_manifest_on_the_web_gives_the_same_bytes_and_asks_for_its_files_once(web, local, segmented, tmp_path):
    smil.make(f"{web.url}/out/main.mpd", str(tmp_path / "film.smil"))
    assert same(tmp_path, local)
    assert all(path.startswith("/out/") for path in web.asked)
    media = [path for path in web.asked if path.endswith(".m4s") and "_0." not in path]
    assert len(media) == len(set(media)) == len(list(segmented.parent.glob("*.m4s"))) - 5


@pytest.mark.parametrize("path", ["/out/main.mpd", "/out/hi_init.mp4", "/out/lo_25600.m4s"])
def test_redirects_are_not_followed(path, web, tmp_path):
    web.redirects[path] = "/out/elsewhere"
    with pytest.raises(UpstreamError, match="redirect"):
        smil.make(f"{web.url}/out/main.mpd", str(tmp_path / "film.smil"))
    assert "/out/elsewhere" not in web.asked
    assert list(tmp_path.iterdir()) == []


def test_no_other_server_is_asked(web, tmp_path, segmented):
    other = Web(segmented.parent)  # not serving: a request would hang
    text = segmented.read_text().replace("<Period", f"<BaseURL>{other.url}/</BaseURL><Period", 1)
    (segmented.parent.parent / "stray.mpd").write_text(text)
    with pytest.raises(ManifestError, match="leads out of"):
        smil.make(f"{web.url}/stray.mpd", str(tmp_path / "film.smil"))
    other.server.server_close()


def test_what_the_web_does_not_have_is_named_without_its_query(web, tmp_path):
    with pytest.raises(NotFound) as caught:
        smil.make(f"{web.url}/out/none.mpd?Signature=secret", str(tmp_path / "film.smil"))
    assert "none.mpd is missing" in caught.value.message
    assert "secret" not in caught.value.message
    web.server.shutdown()
    web.server.server_close()
    with pytest.raises(UpstreamError, match="cannot be fetched"):
        smil.make(f"{web.url}/out/main.mpd", str(tmp_path / "film.smil"))


def test_manifests_in_s3_become_smil_in_s3(stand, segmented, local, tmp_path):
    s3, bucket = stand.clients.s3, stand.settings.media_bucket
    for path in segmented.parent.iterdir():
        s3.upload_file(str(path), bucket, f"some film/stream/{path.name}")
    made = smil.make(f"s3://{bucket}/some film/stream/main.m3u8", f"s3://{bucket}/ready/film.smil", s3=s3)
    names = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix="ready/")["Contents"]]
    assert sorted(names) == sorted(f"ready/{name}" for name in (*made.files, "film.smil"))
    body = s3.get_object(Bucket=bucket, Key="ready/film.smil")["Body"].read()
    assert [video.name for video in smil_format.parse(body).videos] == list(made.files[:2])
    assert made.smil == f"s3://{bucket}/ready/film.smil"
    assert smil.check(made.smil, s3=s3) == []
    s3.delete_object(Bucket=bucket, Key=f"ready/{made.files[0]}")
    [finding] = smil.check(f"s3://{bucket}/ready/film.smil", s3=s3)
    assert finding.found == "the file is missing"
    with pytest.raises(NotFound, match=r"s3://.*none\.mpd is missing"):
        smil.make(f"s3://{bucket}/none.mpd", str(tmp_path / "film.smil"), s3=s3)


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(["smil", *map(str, arguments)])
    output = capsys.readouterr()
    return ended.value.code, output.out, output.err


def test_the_command_makes_and_checks(capsys, segmented, local, tmp_path):
    code, out, _ = run(capsys, segmented, "-o", tmp_path / "film.smil", "--json")
    assert code == 0
    assert json.loads(out)["written"] == json.loads(out)["files"][-1:] + json.loads(out)["files"][:-1]
    assert same(tmp_path, local)
    assert run(capsys, "--check", tmp_path / "film.smil")[0] == 0
    (tmp_path / json.loads(out)["files"][0]).unlink()
    code, out, err = run(capsys, "--check", tmp_path / "film.smil")
    assert (code, "the file is missing" in out, "1 reason to refuse" in err) == (1, True, True)
    code, out, _ = run(capsys, "--check", tmp_path / "film.smil", "--json")
    assert (code, len(json.loads(out)["findings"])) == (1, 1)


def test_wrong_use_is_told(capsys, segmented, tmp_path):
    assert run(capsys)[0] == 2
    assert run(capsys, segmented)[0] == 2
    code, _, err = run(capsys, tmp_path / "none.mpd", "-o", tmp_path / "film.smil")
    assert (code, "none.mpd is missing" in err) == (2, True)
