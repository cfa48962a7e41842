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
import signal
import socket
import subprocess
import sys
import tempfile
import time

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


class Running:
    """A logbraid at one address, which may be started again and again."""

    def __init__(self, program, folder):
        self.program, self.folder, self.child = program, folder, None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        (folder / "run.yaml").write_text(
            f"checkpoint: '{folder}/state'\nwal: {{ disk: 64MiB }}\ntime: {{ max_delay: 1s, idle_after: 1s }}\n"
            f"sources: [lumberjack: {{ listen: '{self.address}' }}]\n"
            f"sinks: [file: {{ path: '{folder}/out.ndjson', take: [entries, late, rejects] }}]\n")

    def start(self):
        said = self.folder / "stderr"
        with said.open("w") as stderr:
            self.child = subprocess.Popen([self.program, "run", "-c", self.folder / "run.yaml"],
                                          stdin=subprocess.DEVNULL, stderr=stderr)
        for _ in range(1500):
            if "ready on " in said.read_text():
                return
            if self.child.poll() is not None:
                break
            time.sleep(0.02)
        sys.exit(f"lumberjack.py: nobody listens: {said.read_text()}")

    def kill(self):
        if self.child.poll() is not None:
            sys.exit(f"lumberjack.py: it ended by itself: {(self.folder / 'stderr').read_text()}")
        self.child.kill()
        self.child.wait()

    def written(self):
        """The ids of each event."""
        found = {}
        try:
            with (self.folder / "out.ndjson").open(errors="replace") as file:
                for line in file:
                    try:
                        record = json.loads(line)
                    except ValueError:
                        continue  # a kill cut it; it is written again
                    found.setdefault(record.get("message"), set()).add(record.get("id"))
        except FileNotFoundError:
            pass
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
        running = Running(options.program.resolve(), folder)
        began = time.monotonic()
        running.start()
        # The kills fall among the lines.
        sender = subprocess.Popen(
            [client, "-address", running.address, "-lines", str(options.lines), "-spread", f"{options.kills * 1.2}s"],
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
            found = running.written()
            if due <= found.keys():
                break
            time.sleep(0.5)
        running.child.send_signal(signal.SIGTERM)
        status = running.child.wait(60)
        found = running.written()
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
