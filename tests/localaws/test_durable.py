"""What durable work leaves behind; in a process of its own, for DBOS is one for each process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from dbos import DBOS, SetWorkflowID
from localaws import durable

durable.prepare(Path(sys.argv[1]) / "dbos.db", "test")

@DBOS.workflow(name="piece")
def piece(fails: bool) -> None:
    if fails:
        raise ValueError("on purpose")

DBOS.launch()
for name, fails in (("good", False), ("bad", True)):
    with SetWorkflowID(name):
        handle = DBOS.start_workflow(piece, fails)
    try:
        handle.get_result()
    except ValueError:
        pass
now = datetime.now(UTC)
assert durable.forget(now - timedelta(hours=1)) == 0
assert {one.workflow_id for one in DBOS.list_workflows()} == {"good", "bad"}
assert durable.forget(now + timedelta(hours=1)) == 2
assert DBOS.list_workflows() == []
DBOS.destroy()
print("forgotten")
"""


def test_records_of_ended_work_are_forgotten_after_a_while(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "forgotten\n", done.stderr
