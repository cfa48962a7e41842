#!/usr/bin/env python3
"""What logbraid sends on, into servers that others wrote, while both sides are killed.

Usage: ways_out.py [LOGBRAID] [--lines N] [--kills N] [--seed N] [--way forward|syslog]

forward: the sink `forward`, with a shared key and a user, into Fluentd's own library for JavaScript (npm's
@fluent-org/logger): every line must arrive, because each chunk is acknowledged.
syslog: the sink `syslog` into rsyslogd over TCP: what is lost is counted, because nothing is acknowledged.

logbraid reads a file; it and the server are killed with `kill -9` in turn and started again. Where the server cannot be had,
that way is left out; where none can, it ends with 77, which test drivers take for "skipped".
"""
import argparse
import json
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from running import Running, free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77
PATIENCE = 60


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
        return True
    except OSError:
        return False


class Forward:
    """Fluentd's library."""

    def __init__(self, folder):
        self.folder, self.port, self.file = folder, free_port(), folder / "arrived"

    def child(self):
        node, npm = shutil.which("node"), shutil.which("npm")
        if not node or not npm:
            return "there is no `node` with `npm`"
        source = self.folder / "server"
        shutil.copytree(ROOT / "soak-tests/check/ways_out", source)
        try:
            subprocess.run([npm, "install", "--no-audit", "--no-fund", "--silent"], cwd=source, check=True, timeout=300,
                           capture_output=True)
        except (OSError, subprocess.SubprocessError) as error:
            return f"the server's package cannot be had: {error}"
        return Running([node, source / "server.js", str(self.port), self.file, "key"], self.folder / "server.out",
                     lambda: listens(self.port))

    def sink(self):
        return (f"forward: {{ to: '127.0.0.1:{self.port}', take: [entries], shared_key: key, timeout: 2s, "
                "user: { name: logbraid, password: secret }, batch: { records: 200, wait: 0s } }")

    def arrived(self):
        """The ids by message."""
        found = {}
        for line in whole_lines(self.file):
            tag, message, name = json.loads(line)
            assert tag == "logbraid.entry", tag
            found.setdefault(message, []).append(name)
        return found

    may_lose = False


class Syslog:
    """rsyslogd."""

    def __init__(self, folder):
        self.folder, self.port, self.file = folder, free_port(), folder / "arrived"

    def child(self):
        program = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin")
        if not program:
            return "there is no `rsyslogd`"
        config = self.folder / "rsyslog.conf"
        config.write_text(
            f'global(workDirectory="{self.folder}" maxMessageSize="64k")\nmodule(load="imtcp")\n'
            'template(name="json" type="string" string="%app-name% %msgid% %msg%\\n")\n'
            f'input(type="imtcp" address="127.0.0.1" port="{self.port}")\n'
            f'action(type="omfile" file="{self.file}" template="json" asyncWriting="off" flushOnTXEnd="on")\n')
        return Running([program, "-n", "-f", config, "-i", self.folder / "pid"], self.folder / "server.out",
                     lambda: listens(self.port))

    def sink(self):
        return f"syslog: {{ tcp: '127.0.0.1:{self.port}', take: [entries], batch: {{ records: 200, wait: 0s }} }}"

    def arrived(self):
        found = {}
        for line in whole_lines(self.file):
            service, kind, text = line.split(" ", 2)
            assert (service, kind) == ("api", "entry"), line
            record = json.loads(text)
            found.setdefault(record["message"], []).append(record["id"])
        return found

    may_lose = True


def whole_lines(path):
    """Lines that were written to their end: a kill may have cut one."""
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return []
    kept = []
    for line in text.split("\n")[:-1]:
        if line.endswith(("]", "}")):
            kept.append(line)
    return kept


def run(way, program, options, folder):
    """True when it held, None when it was left out."""
    name = type(way).__name__.lower()
    server = way.child()
    if isinstance(server, str):
        print(f"ways_out.py: {name}: skipped: {server}")
        return None
    log = folder / "app.log"
    config = folder / "run.yaml"
    config.write_text(
        f"checkpoint: '{folder}/state'\nsources: [files: {{ paths: ['{log}'], follow: true }}]\n"
        f"time: {{ max_delay: 1s, idle_after: 300ms }}\noperators: []\nsinks: [{way.sink()}]\n")
    said = folder / "logbraid.out"
    logbraid = Running([program, "run", "-c", config], said, lambda: True)
    draw = random.Random(options.seed)
    began = time.monotonic()
    log.write_text("")
    server.start()
    logbraid.start()
    written = 0
    try:
        with log.open("a") as file:
            for turn in range(2 * options.kills + 1):
                # The kills fall among the lines.
                until = options.lines * (turn + 1) // (2 * options.kills + 1)
                for number in range(written, until):
                    at = f"2024-01-15T10:{number // 60000 % 60:02}:{number // 1000 % 60:02}.{number % 1000:03}Z"
                    file.write(json.dumps({"time": at, "service": "api", "message": f"n{number} é"}) + "\n")
                file.flush()
                written = until
                time.sleep(draw.uniform(0.05, 0.8))
                if turn < 2 * options.kills:
                    victim = (server, logbraid)[turn % 2]
                    victim.kill()
                    time.sleep(draw.uniform(0, 0.5))
                    victim.start()
        due, found, last = {f"n{number} é" for number in range(options.lines)}, {}, time.monotonic()
        while time.monotonic() - last < (8 if way.may_lose else PATIENCE):
            now = way.arrived()
            if len(now) != len(found):
                found, last = now, time.monotonic()
            if due <= found.keys():
                break
            time.sleep(0.5)
    finally:
        logbraid.stop()
        server.stop()
    found = way.arrived()
    lost, invented = due - found.keys(), found.keys() - due
    again = sum(len(names) - 1 for names in found.values())
    other = sum(len(set(names)) > 1 for names in found.values())
    print(f"ways_out.py: {name}: lines {options.lines}, kills of the server {options.kills}, of logbraid {options.kills}, "
          f"{time.monotonic() - began:.1f} s; arrived {len(found)}, lost {len(lost)}, again with the same id {again - other}, "
          f"under two ids {other}, invented {len(invented)}")
    held = not invented and not other and bool(found) and (way.may_lose or not lost)
    if not held:
        print("FAILED:", sorted(lost)[:5], sorted(invented)[:5], said.read_text()[-2000:])
    print(f"ways_out.py: {name}: " + ("held" if held else "FAILED"))
    return held


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=ROOT / "target/debug/logbraid", type=pathlib.Path)
    parser.add_argument("--lines", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--way", choices=["forward", "syslog"])
    options = parser.parse_args()
    results = []
    for way in (Forward, Syslog):
        if options.way in (None, way.__name__.lower()):
            with tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                results.append(run(way(folder), options.program.resolve(), options, folder))
    if all(result is None for result in results):
        sys.exit(SKIPPED)
    sys.exit(any(result is False for result in results))


if __name__ == "__main__":
    main()
