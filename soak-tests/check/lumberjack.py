#!/usr/bin/env python3
"""Elastic's own client for Lumberjack v2, go-lumber, sends lines to the source `lumberjack` of a logbraid that is killed.

Usage: lumberjack.py [LOGBRAID] [--lines N] [--kills N] [--seed N]       the program, by default target/debug/logbraid

The client (soak-tests/check/lumberjack/main.go) is built in a temporary folder; its module comes through Go's module
proxy. Where Go or the module cannot be had, it says so and ends with 77, which test drivers take for "skipped". It sends
windows, most of them compressed, each until it is acknowledged, while logbraid is killed with `kill -9` and started again.
Whatever was acknowledged must be written; what was sent again may be there under two ids, and is counted.
"""
import argparse
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

from running import Running, free_port, records

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77
PATIENCE = 120


def skip(why):
    print(f"lumberjack.py: skipped: {why}")
    sys.exit(SKIPPED)


def built(folder):
    """The client."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin:/usr/lib/go/bin")
    if not go:
        skip("there is no `go`")
    source = folder / "client"
    shutil.copytree(ROOT / "soak-tests/check/lumberjack", source)
    try:
        for arguments in (["mod", "download"], ["build", "-o", "client", "."]):
            subprocess.run([go, *arguments], cwd=source, check=True, timeout=300, capture_output=True)
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        if arguments[0] == "build":
            sys.exit(f"lumberjack.py: the client cannot be built: {said}")
        skip(f"the client's module cannot be had: {said[-500:]}")
    except (OSError, subprocess.TimeoutExpired) as error:
        skip(f"the client cannot be built: {error}")
    return source / "client"


def logbraid(program, folder, address):
    config = folder / "run.yaml"
    config.write_text(
        f"checkpoint: '{folder}/state'\nwal: {{ disk: 64MiB }}\ntime: {{ max_delay: 1s, idle_after: 1s }}\n"
        f"sources: [lumberjack: {{ listen: '{address}' }}]\n"
        f"sinks: [file: {{ path: '{folder}/out.ndjson', take: [entries, late, rejects] }}]\n")
    return Running([program, "run", "-c", config], folder / "stderr")


def written(folder):
    """The ids of each event."""
    found = {}
    for record, _ in records(folder / "out.ndjson"):
        found.setdefault(record.get("message"), set()).add(record.get("id"))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=ROOT / "target/debug/logbraid", type=pathlib.Path)
    parser.add_argument("--lines", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        client = built(folder)
        address = f"127.0.0.1:{free_port()}"
        running = logbraid(options.program.resolve(), folder, address)
        began = time.monotonic()
        running.start()
        # The kills fall among the lines.
        sender = subprocess.Popen(
            [client, "-address", address, "-lines", str(options.lines), "-spread", f"{options.kills * 1.2}s"],
            stdout=subprocess.PIPE, text=True)
        among = 0
        try:
            for _ in range(options.kills):
                time.sleep(draw.uniform(0.1, 2.0))
                among += sender.poll() is None
                running.kill()
                running.start()
            said, _ = sender.communicate(timeout=600)
        finally:
            if sender.poll() is None:
                sender.kill()
                sender.wait()
        if sender.returncode != 0:
            running.child.kill()
            sys.exit(f"lumberjack.py: the client ended with {sender.returncode}")
        figures = json.loads(said.splitlines()[-1])
        due = {f"n{number}" for number in range(options.lines)}
        found, until = {}, time.monotonic() + PATIENCE
        while time.monotonic() < until:
            found = written(folder)
            if due <= found.keys():
                break
            time.sleep(0.5)
        status = running.stop()
        found = written(folder)
        lost = sorted(due - found.keys())
        invented = sorted(str(message) for message in found.keys() - due)
        twice = sum(len(ids) > 1 for ids in found.values())
        print(f"lumberjack.py: lines {options.lines}, kills {options.kills} ({among} while it sent), "
              f"{time.monotonic() - began:.1f} s; connections {figures['connections']}, sent again {figures['again']}, "
              f"acknowledged in part {figures['partial']}; written {len(found)}, lost {len(lost)}, "
              f"under two ids {twice}, invented {len(invented)}, end {status}")
        held = not lost and not invented and status == 0 and figures["acknowledged"] == options.lines
        if lost or invented:
            print("FAILED:", lost[:10], invented[:10])
        print("lumberjack.py: " + ("held" if held else "FAILED"))
        sys.exit(not held)


if __name__ == "__main__":
    main()
