"""Builds the Python package and an environment that has it; for the checks beside this file."""

import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77


def skip(why):
    print(f"{pathlib.Path(sys.argv[0]).name}: skipped: {why}")
    sys.exit(SKIPPED)


def enter(*packages, release=False):
    """Goes on in an environment that has `logbraid`, built from this tree, and `packages`.

    Where it cannot be made, because there is no network, it says so and ends with 77, which test drivers take for
    "skipped". With `release`, the package is as fast as users get it. `LOGBRAID_VENV` is an environment to use instead, as it is.
    """
    ready = os.environ.get("LOGBRAID_VENV")
    if os.environ.get("LOGBRAID_CHECK_INSIDE") or (ready and sys.prefix == ready):
        return
    folder = pathlib.Path(ready or os.path.join(tempfile.gettempdir(), "logbraid-check-python"))
    python = folder / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=120)
        if not ready:
            if packages:
                subprocess.run([python, "-m", "pip", "-q", "install", *packages], check=True, timeout=300)
            wheels = folder / "wheels"
            build = [python, "-m", "pip", "-q", "wheel", "--no-deps", "-w", wheels, ROOT / "pipeline" / "python"]
            if not release:
                # As the tests are built, most of which is there already.
                build += ["--config-settings", "build-args=--profile dev"]
            target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))
            subprocess.run(build, check=True, timeout=1800, env={**os.environ, "CARGO_TARGET_DIR": target})
            newest = max(wheels.glob("logbraid-*.whl"), key=os.path.getmtime)
            install = [python, "-m", "pip", "-q", "install", "--force-reinstall", "--no-deps", newest]
            subprocess.run(install, check=True, timeout=120)
    except (OSError, subprocess.SubprocessError) as error:
        skip(f"no environment: {error}")
    environment = {**os.environ, "LOGBRAID_CHECK_INSIDE": "1"}
    os.execve(python, [str(python), os.path.abspath(sys.argv[0]), *sys.argv[1:]], environment)
