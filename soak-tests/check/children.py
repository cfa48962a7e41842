#!/usr/bin/env python3
"""logbraid as the child of rsyslogd and syslog-ng, killed again and again while they run.

Usage: children.py [LOGBRAID] [--lines N] [--kills N] [--seed N] [--way mmexternal|destination|source]

mmexternal: rsyslogd with configs/shippers/rsyslog-annotate.conf as it stands (but for its paths). Each message must be written
once; how many have no mark, because the child was killed, is counted, and each mark must have the request of its message.
destination, source: syslog-ng with the settings of configs/shippers/syslog-ng-program.conf. What is lost is counted, on the
way in and on the way back, because nothing is acknowledged; nothing may be lost without a kill.

Where a daemon cannot be had its ways are left out; where none can, it ends with 77, which test drivers take for "skipped".
"""
import argparse
import collections
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from running import free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
SNIPPETS = ROOT / "configs/shippers"
SKIPPED = 77
# Nothing new for so long: what comes has come.
SILENCE = 8


def connected(port, parent):
    for _ in range(500):
        if parent.poll() is not None:
            break
        try:
            return socket.create_connection(("127.0.0.1", port), 1)
        except OSError:
            time.sleep(0.02)
    return None


def children(parent, program):
    """The processes of `program` below `parent`, which may have a shell between."""
    below = collections.defaultdict(list)
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                below[int(fields[1])].append((int(entry.name), os.readlink(entry / "exe")))
            except OSError:
                continue
    found, todo = [], [parent]
    while todo:
        for number, path in below[todo.pop()]:
            todo.append(number)
            if path == str(program):
                found.append(number)
    return found


def lines_of(path):
    try:
        return path.read_text(errors="replace").split("\n")[:-1]
    except FileNotFoundError:
        return []


def found(name, *more):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def numbered(text):
    """The number of the line, which each has in its message."""
    match = re.search(r"\bn(\d+)\b", text)
    return match and int(match[1])


class Mmexternal:
    """rsyslogd asks `logbraid plugin annotate` about each message."""

    daemon = "rsyslogd"

    def __init__(self, folder, program):
        self.folder, self.program, self.port = folder, program, free_port()
        snippet = (SNIPPETS / "rsyslog-annotate.conf").read_text()
        assert "/usr/bin/logbraid" in snippet and "/var/log/" in snippet
        snippet = snippet.replace("/usr/bin/logbraid", str(program)).replace("/var/log/", f"{folder}/")
        self.config = folder / "rsyslog.conf"
        self.config.write_text(
            f'global(workDirectory="{folder}")\nmodule(load="imtcp")\n'
            f'input(type="imtcp" address="127.0.0.1" port="{self.port}")\n{snippet}')

    def command(self):
        return [found(self.daemon), "-n", "-f", self.config, "-i", self.folder / "pid"]

    def arrived(self):
        return len(lines_of(self.folder / "annotated.json"))

    def held(self, due, kills):
        records = [json.loads(line) for line in lines_of(self.folder / "annotated.json")]
        numbers = [numbered(record["message"]) for record in records]
        marked = [record for record in records if record["template"]]
        wrong = [record for record in marked if record["request"] != f"r{numbered(record['message'])}"]
        told = len(lines_of(self.folder / "not-annotated.log"))
        print(f"children.py: mmexternal: written {len(numbers)}, lost {due - len(set(numbers))}, twice "
              f"{len(numbers) - len(set(numbers))}, without a mark {len(records) - len(marked)}, of which told {told}, "
              f"with another's mark {len(wrong)}")
        return (sorted(numbers) == list(range(due)) and not wrong and told == len(records) - len(marked)
                and bool(marked) and (kills or len(marked) == due))


class SyslogNg:
    daemon = "syslog-ng"

    def __init__(self, folder, program):
        self.folder, self.program, self.port = folder, program, free_port()
        self.config = folder / "syslog-ng.conf"

    def write(self, name, state, changed, rest):
        """A block of the snippet, with `changed` in the place of its configuration."""
        snippet = (SNIPPETS / "syslog-ng-program.conf").read_text()
        block = re.search(rf"^(source|destination) {name} {{\n.*?^}};\n", snippet, re.M | re.S)[0]
        assert "/usr/bin/logbraid" in block and "/var/lib/logbraid" in block
        block = re.sub(r"/etc/logbraid/\S+\.yaml", str(changed), block)
        block = block.replace("/usr/bin/logbraid", str(self.program)).replace("/var/lib/logbraid", str(state))
        self.config.write_text(
            "@version: 3.35\noptions { keep-timestamp(yes); time-reopen(1); stats-freq(0); };\n"
            f'source s_in {{ syslog(ip("127.0.0.1") port({self.port}) transport("tcp")); }};\n'
            f"{block}{rest}")

    def command(self):
        return [found(self.daemon), "-F", "--no-caps", "-f", self.config, "-R", self.folder / "persist", "-c",
                self.folder / "control", "-p", self.folder / "pid"]

    def entries(self):
        numbers = collections.Counter()
        for line in lines_of(self.folder / "entries.ndjson"):
            numbers[numbered(json.loads(line)["message"])] += 1
        return numbers


class Destination(SyslogNg):
    """syslog-ng writes to the standard input of its child."""

    def __init__(self, folder, program):
        super().__init__(folder, program)
        config = folder / "stdin.yaml"
        config.write_text(
            "sources: [files: { paths: ['-'] }]\ntime: { max_delay: 100ms, idle_after: 500ms }\n"
            "sinks: [file: { path: '${STATE}/entries.ndjson', take: [entries] }]\n")
        self.write("d_logbraid_child", folder, config,
                   "log { source(s_in); destination(d_logbraid_child); flags(flow-control); };\n")

    def arrived(self):
        return len(lines_of(self.folder / "entries.ndjson"))

    def held(self, due, kills):
        numbers = self.entries()
        lost = due - len(numbers)
        print(f"children.py: destination: written {len(numbers)}, lost {lost}, twice {numbers.total() - len(numbers)}")
        return bool(numbers) and max(numbers) < due and numbers.total() == len(numbers) and (kills or lost == 0)


class Source(SyslogNg):
    """A child of syslog-ng listens, and its standard output comes back as messages."""

    def __init__(self, folder, program):
        super().__init__(folder, program)
        listen, config = free_port(), folder / "syslog.yaml"
        config.write_text(
            "checkpoint: '${STATE}/checkpoint'\nwal: { path: '${STATE}/wal', disk: 64MiB }\n"
            f"sources: [syslog: {{ tcp: '127.0.0.1:{listen}' }}]\ntime: {{ max_delay: 100ms, idle_after: 500ms }}\n"
            "sinks:\n  - stdout: { take: [entries] }\n  - file: { path: '${STATE}/entries.ndjson', take: [entries] }\n")
        self.write("s_logbraid", folder, config, f"""
destination d_logbraid {{ syslog("127.0.0.1" port({listen}) transport("tcp")
    disk-buffer(reliable(yes) disk-buf-size(1073741824) mem-buf-size(16777216) dir("{folder}"))); }};
log {{ source(s_in); destination(d_logbraid); flags(flow-control); }};
log {{ source(s_logbraid); destination {{ file("{folder}/back.ndjson" template("$MESSAGE\\n")); }}; flags(flow-control); }};
""")

    def arrived(self):
        return len(lines_of(self.folder / "back.ndjson"))

    def held(self, due, kills):
        numbers, torn, names = self.entries(), 0, collections.defaultdict(list)
        for line in lines_of(self.folder / "back.ndjson"):
            try:
                record = json.loads(line)
                names[numbered(record["message"])].append(record["id"])
            except ValueError:
                torn += 1
        lost, missing = due - len(numbers), len(numbers.keys() - names.keys())
        again = sum(len(ids) - 1 for ids in names.values())
        print(f"children.py: source: written {len(numbers)}, lost {lost} on the way in, {missing} on the way back; came back "
              f"again {again}, under two ids {sum(len(set(ids)) > 1 for ids in names.values())}, cut {torn}")
        return (bool(names) and not names.keys() - set(range(due)) and torn <= kills
                and (kills or lost == missing == again == torn == 0))


def run(way, options):
    began = time.monotonic()
    said = way.folder / "daemon.out"
    draw, killed = random.Random(options.seed), 0
    with said.open("w") as log:
        parent = subprocess.Popen(way.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        sender = connected(way.port, parent)
        if sender is None:
            sys.exit(f"children.py: {way.daemon} does not listen: {said.read_text()}")
        sent = 0
        for turn in range(options.kills + 1):
            until = options.lines * (turn + 1) // (options.kills + 1)
            while sent < until:
                part = []
                for number in range(sent, min(until, sent + 500)):
                    at = f"2024-01-15T10:{number // 60000 % 60:02}:{number // 1000 % 60:02}.{number % 1000:03}Z"
                    message = f"<14>1 {at} web-1 api {number % 7} - - request_id=r{number} n{number}"
                    part.append(f"{len(message)} {message}")
                sender.sendall("".join(part).encode())
                sent += len(part)
                time.sleep(draw.uniform(0, 0.02))
            if turn < options.kills:
                # It may be on its way up after the last kill, within `time-reopen`.
                for _ in range(1000):
                    alive = children(parent.pid, options.program)
                    if alive or parent.poll() is not None:
                        break
                    time.sleep(0.01)
                for number in alive:
                    os.kill(number, signal.SIGKILL)
                    killed += 1
        last, since = -1, time.monotonic()
        while way.arrived() < options.lines and time.monotonic() - since < SILENCE or last != way.arrived():
            if way.arrived() != last:
                last, since = way.arrived(), time.monotonic()
            time.sleep(0.5)
        sender.close()
        if parent.poll() is not None:
            sys.exit(f"children.py: {way.daemon} ended by itself: {said.read_text()}")
    finally:
        parent.terminate()
        try:
            parent.wait(20)
        except subprocess.TimeoutExpired:
            parent.kill()
            parent.wait()
    seconds = time.monotonic() - began
    held = way.held(options.lines, options.kills) and killed >= options.kills
    print(f"children.py: {type(way).__name__.lower()}: lines {options.lines}, kills {killed}, {seconds:.1f} s: "
          + ("held" if held else "FAILED"))
    if not held:
        print(said.read_text()[-2000:])
    return held


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=ROOT / "target/debug/logbraid", type=pathlib.Path)
    parser.add_argument("--lines", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--way", choices=["mmexternal", "destination", "source"])
    options = parser.parse_args()
    options.program = options.program.resolve()
    results = []
    for way in (Mmexternal, Destination, Source):
        if options.way in (None, way.__name__.lower()):
            if not found(way.daemon):
                print(f"children.py: {way.__name__.lower()}: skipped: there is no `{way.daemon}`")
                continue
            with tempfile.TemporaryDirectory() as name:
                results.append(run(way(pathlib.Path(name), options.program), options))
    sys.exit(SKIPPED if not results else not all(results))


if __name__ == "__main__":
    main()
