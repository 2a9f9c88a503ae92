"""Python in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path


def run_python(
    code: str, *arguments: str, cwd: Path | None = None, expect: int = 0, **environment: str
) -> tuple[str, str]:
    """Run code with the modules of this process, and return (stdout, stderr)."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout, done.stderr
