"""Programs in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path


def run_program(
    *words: str | Path, cwd: Path | None = None, expect: int = 0, **environment: str
) -> tuple[str, str]:
    """Run a program and return (stdout, stderr)."""
    done = subprocess.run(
        words,
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout, done.stderr


def run_python(
    code: str, *arguments: str, cwd: Path | None = None, expect: int = 0, **environment: str
) -> tuple[str, str]:
    """Run code with the modules of this process, and return (stdout, stderr)."""
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)} | environment
    words = (sys.executable, "-c", code, *arguments)
    return run_program(*words, cwd=cwd, expect=expect, **environment)
