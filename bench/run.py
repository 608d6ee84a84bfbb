"""`make bench`: measures, prints, and writes the table in bench/README.md. ARGS names single benchmarks.

Figures are ratios from alternating runs where there is something to compare with: absolute times say more about the
machine of the day than about the code.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

from measuring import Row

BENCHMARKS = (
    "startup",
    "job",
    "queued",
    "memory",
    "edge",
    "admission",
    "licenses",
    "smil",
    "mediapackage",
    "cold_start",
)
README = Path(__file__).with_name("README.md")


def main(names: list[str]) -> int:
    if unknown := set(names) - set(BENCHMARKS):
        print(
            f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}", file=sys.stderr
        )
        return 2
    sections = read_sections()
    for name in names or BENCHMARKS:
        print(f"{name} ...", flush=True)
        benchmark = importlib.import_module(name)
        sections[name] = section(benchmark.__doc__ or "", benchmark.measure())
        print(sections[name], flush=True)
        write(sections)
    return 0


def section(doc: str, rows: list[Row]) -> str:
    lines = [
        " ".join(doc.split()),
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.system()}.",
        "",
    ]
    lines += ["| what | ours | against | ratio | wanted |", "|---|---|---|---|---|"]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        lines.append(f"| {row.what} | {row.ours} | {row.other} | {ratio} | {row.wanted} |")
    return "\n".join(lines)


def read_sections() -> dict[str, str]:
    """The sections of earlier runs, so that one benchmark can be run again by itself."""
    if not README.exists():
        return {}
    _, *parts = README.read_text().split("\n## ")
    return {part.split("\n", 1)[0]: part.split("\n", 1)[1].strip() for part in parts}


def write(sections: dict[str, str]) -> None:
    head = "# Benchmarks\n\n`make bench` writes this page; `make bench ARGS=edge` measures one of them again.\n"
    ordered = [f"\n## {name}\n\n{sections[name]}\n" for name in BENCHMARKS if name in sections]
    README.write_text(head + "".join(ordered))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
