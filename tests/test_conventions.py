"""What the documents promise is what the code has."""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from conftest import REPOSITORY
from penstock.settings import PREFIX, Settings

DOCUMENTS = sorted(
    [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"), *(REPOSITORY / "bench").glob("*.md")]
)
SOURCES = sorted((REPOSITORY / "src").rglob("*.py"))


def settings_table() -> str:
    rows = ["| variable | default | what |", "|---|---|---|"]
    for field in fields(Settings):
        default = field.default
        shown = "" if default in (None, "", ()) else f"`{default}`"
        unit = f" ({field.metadata['unit']})" if field.metadata["unit"] else ""
        rows.append(f"| `{PREFIX}{field.name.upper()}` | {shown} | {field.metadata['help']}{unit} |")
    return "\n".join(rows)


def test_operations_lists_every_setting(request: pytest.FixtureRequest) -> None:
    path = REPOSITORY / "docs" / "operations.md"
    marker = "<!-- settings: a test keeps this table equal to penstock/settings.py -->"
    head, _, rest = path.read_text().partition(marker)
    tail = rest[rest.index("\n## ") :]
    wanted = f"{head}{marker}\n{settings_table()}\n{tail}"
    if request.config.getoption("--update-golden"):
        path.write_text(wanted)
    assert path.read_text() == wanted, "settings changed; run pytest --update-golden tests/test_conventions.py"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_changelog_and_version_agree() -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(r"^## \[([^\]]+)\]", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == version


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY / "src")))
def test_source_files_stay_readable(source: Path) -> None:
    text = source.read_text()
    assert len(text.splitlines()) <= 450, "split it by what it contains"
    assert source.name not in ("utils.py", "helpers.py", "common.py"), "name it after what it does"
    if text.strip():
        assert text.startswith('"""') or source.parent.name == "versions", "a module says what it is in its first line"


def test_nothing_reads_the_environment_but_the_settings() -> None:
    allowed = {"settings.py", "stack.py", "machine_commands.py"}
    readers = {
        s.name for s in SOURCES if s.is_relative_to(REPOSITORY / "src" / "penstock") and "os.environ" in s.read_text()
    }
    assert readers <= allowed


def test_lock_files_name_no_addresses() -> None:
    address = re.compile(r"\"resolved\"|index-url|https?://\S+\.(whl|tgz|tar\.gz)")
    for path in [REPOSITORY / "constraints.txt", *REPOSITORY.glob("*/package-lock.json")]:
        assert not address.search(path.read_text()), f"{path.name} says where packages come from"


@pytest.mark.skipif(not os.environ.get("CI"), reason="only CI must have everything")
def test_no_test_is_skipped_in_ci_for_want_of_a_program() -> None:
    path = os.pathsep.join([os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])
    wanted = ("bwrap", "prlimit", "chromium", "initdb", "setpriv", "node", "php")
    missing = [name for name in wanted if not shutil.which(name, path=path)]
    assert not missing, "scripts/system-packages.sh installs them"
