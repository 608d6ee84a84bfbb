"""The Lambda functions as one zip file: what the handlers import, for another machine, the same bytes each time.

Modules of ours are found by reading their import statements. What they stand on comes as wheels for the function's
platform, in the versions that are installed here, unpacked without the parts that no handler needs. The AWS SDK is
shipped as well, with the descriptions of the services that are called and no others: the SDK of Lambda's own runtime
changes without notice, and an older one refuses job settings that it does not know. Byte code is shipped beside the
sources, because the folder that Lambda unpacks them to cannot be written to: each cold start would compile them anew.
Never imports what it packs, and runs nothing of it.
"""

from __future__ import annotations

import ast
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import penstock
from penstock.errors import Unavailable

ROOT = "penstock.handlers"
REQUIRED = ("boto3", "cryptography", "httpx", "lxml")
SERVICES = ("events", "mediaconvert", "mediapackage-vod", "s3", "secretsmanager", "sso", "sso-oidc", "sts")
"""Of botocore's descriptions: what handlers call, and what credentials may come from."""
MAX_BYTES = 15_000_000
# Zip files know no time before 1980; the same for all entries, so that nothing but the content decides the bytes.
EPOCH = (1980, 1, 1, 0, 0, 0)


GLIBC_OF = {"3.11": 26, "3.12": 34, "3.13": 34, "3.14": 34}
"""Python versions that Lambda offers -> minor version of glibc 2 there: Amazon Linux 2 up to 3.11, then 2023.
Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
"""
_GLIBC = (17, 24, 26, 27, 28, 31, 34)
"""Minor versions that wheels are made for."""


@dataclass(frozen=True)
class Runtime:
    """The machine that is to run the functions. python: "3.12"; machine: as wheels name it; glibc: minor version."""

    python: str
    machine: str
    glibc: int

    @property
    def name(self) -> str:
        """What Lambda calls it."""
        return f"python{self.python}"

    @property
    def tags(self) -> tuple[str, ...]:
        known = [minor for minor in _GLIBC if minor <= self.glibc]
        return (f"manylinux2014_{self.machine}", *(f"manylinux_2_{minor}_{self.machine}" for minor in known))


def lambda_runtime() -> Runtime:
    """Lambda's runtime of this Python version, so that byte code can be made here; the nearest where there is none."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = here if here in GLIBC_OF else max(GLIBC_OF, key=lambda version: int(version.partition(".")[2]))
    return Runtime(python, "aarch64", GLIBC_OF[python])


def build(target: Path, runtime: Runtime | None = None) -> str:
    """Write the zip file for `runtime` (default: Lambda's) and return the SHA-256 of its bytes, in hexadecimal.

    Raises Unavailable when a wheel cannot be had, or the file gets larger than Lambda code should be.
    """
    runtime = runtime or lambda_runtime()
    with tempfile.TemporaryDirectory(prefix="penstock-bundle-") as name:
        folder = Path(name)
        wheels = _download(folder, runtime)
        entries = dict(_own_files())
        for wheel in wheels:
            entries.update(_unpacked(wheel))
        if sys.version_info[:2] == tuple(map(int, runtime.python.split("."))):
            entries.update(_byte_code(entries, folder / "code"))
    _write(target, entries)
    if (size := target.stat().st_size) > MAX_BYTES:
        raise Unavailable(f"the Lambda code has {size} bytes; at most {MAX_BYTES} are wanted")
    return hashlib.sha256(target.read_bytes()).hexdigest()


def modules(root: str = ROOT) -> set[str]:
    """Names of our modules that `root` imports, directly or not; itself and the packages around them included."""
    found: set[str] = set()
    waiting = [root]
    while waiting:
        name = waiting.pop()
        path = _path(name)
        if name in found or path is None:
            continue
        found.add(name)
        waiting += [name.rpartition(".")[0], *_imports(ast.parse(path.read_text(encoding="utf-8")))]
    return found


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _path(module: str) -> Path | None:
    """The source of a module of ours; None for what is none."""
    first, _, rest = module.partition(".")
    if first != penstock.__name__:
        return None
    place = Path(str(penstock.__file__)).parent.joinpath(*rest.split(".") if rest else ())
    candidates = (place.with_suffix(".py"), place / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def _own_files() -> Iterator[tuple[str, bytes]]:
    top = Path(str(penstock.__file__)).parents[1]
    for module in modules():
        path = _path(module)
        assert path is not None
        yield path.relative_to(top).as_posix(), path.read_bytes()
    yield "penstock/prices.json", (top / "penstock" / "prices.json").read_bytes()


def _download(folder: Path, runtime: Runtime) -> list[Path]:
    """Wheels of what is required and of what that requires, in the versions installed here."""
    pins = folder / "versions.txt"
    pins.write_text("".join(f"{each.name}=={each.version}\n" for each in metadata.distributions() if each.name))
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input",
        "--dest", str(folder), "--constraint", str(pins), "--only-binary", ":all:",
        "--implementation", "cp", "--python-version", runtime.python,
        *(part for tag in runtime.tags for part in ("--platform", tag)),
        *REQUIRED,
    ]  # fmt: skip
    completed = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if completed.returncode:
        told = (completed.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise Unavailable(f"the Lambda code cannot be put together: {told[:300]}; can pip reach its package index?")
    return sorted(folder.glob("*.whl"))


def _unpacked(wheel: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if not name.endswith("/") and _needed(name):
                yield name, archive.read(name)


def _needed(name: str) -> bool:
    """Tell whether a file of a wheel is of use at run time; licences stay, for they are to travel with the code."""
    parts = name.split("/")
    if parts[0].endswith(".dist-info"):
        licence = "licen" in name.lower() or "notice" in name.lower()
        return not parts[0].startswith("pycparser") and (licence or parts[-1] == "METADATA")
    if parts[0] in _DROPPED or parts[0].endswith(".data") or name.endswith(_DROPPED_SUFFIXES):
        return False
    if parts[0] == "lxml":
        return len(parts) == 2 and parts[1].startswith(("__init__", "_elementpath", "etree"))
    if parts[:2] == ["boto3", "data"] or parts[:2] == ["boto3", "examples"]:
        return len(parts) > 2 and parts[2] == "s3"
    if parts[:2] == ["botocore", "data"]:
        return len(parts) == 3 or (parts[2] in SERVICES and parts[-1] not in _DROPPED_DESCRIPTIONS)
    return True


_DROPPED = frozenset({"bin", "cffi", "pycparser"})
"""Console scripts; and what only builds C modules: cryptography needs no more than cffi's own, `_cffi_backend`."""
_DROPPED_SUFFIXES = (".c", ".h", ".pxd", ".pxi", ".pyi", ".pyx", ".rst")
_DROPPED_DESCRIPTIONS = frozenset({"examples-1.json", "paginators-1.sdk-extras.json"})


def _byte_code(entries: dict[str, bytes], folder: Path) -> Iterator[tuple[str, bytes]]:
    """Compile the sources in a process of its own, for what one has compiled before can show in its byte code."""
    for name, content in entries.items():
        if name.endswith(".py"):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    # Checked by nobody: the sources cannot change where they are unpacked to, and their times say nothing.
    command = [sys.executable, "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    command += ["-s", str(folder), "-p", "/var/task", str(folder)]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if completed.returncode:
        raise Unavailable(f"the Lambda code does not compile: {completed.stdout[:300]}")
    for path in sorted(folder.rglob("*.pyc")):
        yield path.relative_to(folder).as_posix(), path.read_bytes()


def _write(target: Path, entries: dict[str, bytes]) -> None:
    temporary = target.with_name(f".{target.name}.part")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(entries):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, entries[name])
    temporary.replace(target)
