#!/usr/bin/env python3
"""The OpenTelemetry Collector reads a log file, sends it to a logbraid, and takes what that finds; both are killed.

Usage: collector.py [LOGBRAID] [--lines N] [--kills N] [--collector-kills N] [--protocol http|grpc] [--seed N]

The program is by default target/debug/logbraid. The Collector (soak-tests/check/collector/main.go) is built from its own
modules and kept in the folder for temporary files; where Go or the modules cannot be had, it says so and ends with 77, which
test drivers take for "skipped".

filelog -> otlphttp or otlp, with a queue on disk -> logbraid's source `http` -> its sink `http`, `format: otlp` -> the same
Collector's receiver otlp. Both are killed with `kill -9` and started again. Each line of the file must be written; what was
sent again may be there under two ids, and is counted. Each kill of the Collector may cost what its receiver has in memory. Each
entry, finding and span that logbraid wrote must be in the Collector, spans below their parents.
"""
import argparse
import hashlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from running import Running, free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "soak-tests/check/collector"
SKIPPED = 77
PATIENCE = 180
# filelog keeps its position while as many lines are in memory only: a kill of the Collector may cost them.
HELD_IN_MEMORY = 100
# A request: who writes each of its lines. Its spans are a chain.
SERVICES = ["front", "api", "db", "db", "api", "front"]
CHAIN = ["front", "api", "db"]


def skip(why):
    print(f"collector.py: skipped: {why}")
    sys.exit(SKIPPED)


def built():
    """The Collector; it is kept between runs, because building it takes minutes."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin:/usr/lib/go/bin")
    if not go:
        skip("there is no `go`")
    sources = [SOURCE / name for name in ("go.mod", "go.sum", "main.go")]
    key = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    folder = pathlib.Path(tempfile.gettempdir()) / f"logbraid-check-collector-{key}"
    program = folder / "collector"
    if program.exists():
        return program
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"collector.{os.getpid()}"
    # Packages are fetched before anything is built, so that what cannot be had is told from what does not compile.
    steps = [["list", "-deps", "."], ["build", "-p", "2", "-ldflags", "-s -w", "-o", fresh, "."]]
    began = time.monotonic()
    try:
        for arguments in steps:
            subprocess.run([go, *arguments], cwd=SOURCE, check=True, timeout=780, capture_output=True)
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        if arguments[0] == "build":
            sys.exit(f"collector.py: the Collector cannot be built: {said}")
        skip(f"the Collector's modules cannot be had: {said[-500:]}")
    except (OSError, subprocess.TimeoutExpired) as error:
        skip(f"the Collector cannot be built: {error}")
    fresh.rename(program)
    print(f"collector.py: built the Collector in {time.monotonic() - began:.0f} s")
    return program


def logbraid(program, folder, port, back):
    (folder / "run.yaml").write_text(
        f"checkpoint: '{folder}/state'\nwal: {{ disk: 64MiB }}\ntime: {{ max_delay: 1s, idle_after: 1s }}\n"
        f"sources: [http: {{ listen: '127.0.0.1:{port}' }}]\n"
        "operators: [correlate: { gap: 2s, max_span: 1m }, hierarchy: {}, error_flow: {}]\n"
        "sinks:\n"
        f"  - file: {{ path: '{folder}/out.ndjson', take: [entries, timelines, findings, late, rejects] }}\n"
        f"  - http: {{ url: 'http://127.0.0.1:{back}', format: otlp, take: [entries, timelines, findings, late] }}\n")
    return Running([program, "run", "-c", folder / "run.yaml"], folder / "logbraid.stderr")


def collector(program, folder, port, back, protocol):
    """With configs/shippers/otel-collector.yaml, at places of this run."""
    text = (ROOT / "configs/shippers/otel-collector.yaml").read_text()
    changes = {
        "/var/lib/otelcol/queue": f"{folder}/storage",
        "/var/log/app/app.log": f"{folder}/app.log",
        "127.0.0.1:8080": f"127.0.0.1:{port}",
        "127.0.0.1:4318": f"127.0.0.1:{back}",
        "debug: {}": f"lines: {{ path: '{folder}/back.ndjson' }}",
        "[debug]": "[lines]",
        "service:\n": "service:\n  telemetry: { metrics: { level: none } }\n",
    }
    if protocol == "grpc":
        changes["[otlphttp/logbraid]"] = "[otlp/logbraid]"
    for was, now in changes.items():
        if was not in text:
            sys.exit(f"collector.py: configs/shippers/otel-collector.yaml has no `{was.strip()}`")
        text = text.replace(was, now)
    (folder / "collector.yaml").write_text(text)
    return Running([program, "--config", folder / "collector.yaml"], folder / "collector.stderr", "Everything is ready")


def lines(count):
    """Lines of requests that follow each other: every second one has ids of spans, the others a request's id alone."""
    for number in range(count):
        request, place = divmod(number, len(SERVICES))
        service = SERVICES[place]
        second, milli = divmod(number, 1000)
        line = {
            "time": f"2024-01-15T{10 + second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{milli:03}Z",
            "service": service,
            "level": "error" if service == "db" and request % 100 == 0 else "info",
            "message": f"n{number}",
        }
        if request % 2:
            depth = CHAIN.index(service)
            line["trace_id"] = f"{request + 1:032x}"
            line["span_id"] = f"{request * 4 + depth + 1:016x}"
            if depth:
                line["parent_span_id"] = f"{request * 4 + depth:016x}"
        else:
            line["request_id"] = f"r{request}"
        yield json.dumps(line) + "\n"


def write(path, count, spread):
    """Writes the log file bit by bit."""
    step = max(count // 200, 1)
    with path.open("a") as file:
        for number, line in enumerate(lines(count)):
            file.write(line)
            if number % step == 0:
                file.flush()
                time.sleep(spread / 200)


def place_of(message):
    """The request that a line belongs to."""
    return int(message[1:]) // len(SERVICES) if message and message[1:].isdigit() else None


class Tail:
    """The lines of a file that grows, as JSON; each is read once."""

    def __init__(self, path, take):
        self.path, self.take, self.at = path, take, 0

    def read(self):
        try:
            with self.path.open("rb") as file:
                file.seek(self.at)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self.at += len(line)
                    try:
                        value = json.loads(line)
                    except ValueError:
                        continue  # a kill cut it; it is written again
                    self.take(value)
        except FileNotFoundError:
            pass


class Written:
    """What logbraid wrote in a file."""

    def __init__(self):
        self.lines, self.entries, self.findings, self.timelines, self.late = {}, set(), set(), {}, {}

    def take(self, record):
        kind, ident = record["type"], record.get("id")
        if kind == "timeline":
            if record["revision"] >= self.timelines.get(ident, record)["revision"]:
                self.timelines[ident] = record
        elif kind == "finding":
            self.findings.add((ident, record["revision"]))
        else:
            message = record.get("message")
            self.lines.setdefault(message, set()).add(ident)
            self.entries.add(ident)
            if "late" in record.get("flags", []):
                self.late.setdefault(place_of(message), set()).add(ident)

    def paths(self):
        """The spans of the timelines: names and services from the root down, and the trace id where there is one."""
        found = set()

        def walk(trace, nodes, above):
            for node in nodes:
                path = (*above, (node.get("name", node["id"]), node.get("service", "unknown_service")))
                found.add((trace, path))
                walk(trace, node["children"], path)

        for timeline in self.timelines.values():
            walk(timeline["ids"].get("trace_id", [None])[0], timeline["hierarchy"]["roots"], ())
        return found


class Back:
    """What came back to the Collector."""

    def __init__(self):
        self.entries, self.findings, self.spans, self.again, self.other = set(), set(), {}, 0, 0

    def take(self, request):
        for resource in request.get("resourceLogs", []):
            for record in (record for scope in resource["scopeLogs"] for record in scope["logRecords"]):
                named = {item["key"]: item["value"] for item in record["attributes"]}
                kind, ident = named["logbraid.type"]["stringValue"], named["logbraid.id"]["stringValue"]
                if kind == "entry":
                    self.again += ident in self.entries
                    self.entries.add(ident)
                elif kind == "finding":
                    self.findings.add((ident, int(named["logbraid.revision"]["intValue"])))
                else:
                    self.other += 1
        for resource in request.get("resourceSpans", []):
            service = next(item["value"]["stringValue"] for item in resource["resource"]["attributes"]
                           if item["key"] == "service.name")
            for span in (span for scope in resource["scopeSpans"] for span in scope["spans"]):
                assert len(span["traceId"]) == 32 and len(span["spanId"]) == 16, span
                assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"]), span
                self.spans[(span["traceId"], span["spanId"])] = (span["name"], service, span.get("parentSpanId", ""))

    def paths(self, traces):
        """As `Written.paths`; an id of a trace that no line has was made by logbraid. Spans without their parent are told."""
        found, orphans = set(), 0
        for (trace, ident) in self.spans:
            path, at = [], ident
            while at:
                if (trace, at) not in self.spans:
                    orphans += 1
                    break
                name, service, at = self.spans[(trace, at)]
                path.insert(0, (name, service))
            found.add((trace if trace in traces else None, tuple(path)))
        return found, orphans


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=ROOT / "target/debug/logbraid", type=pathlib.Path)
    parser.add_argument("--lines", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--collector-kills", type=int, default=0)
    parser.add_argument("--protocol", choices=["http", "grpc"], default="http")
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    program = built()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        port, back = free_port(), free_port()
        braid = logbraid(options.program.resolve(), folder, port, back)
        gather = collector(program, folder, port, back, options.protocol)
        try:
            sys.exit(check(options, draw, folder, braid, gather))
        finally:
            for running in (braid, gather):
                running.stop()


def check(options, draw, folder, braid, gather):
    began = time.monotonic()
    braid.start()
    gather.start()
    victims = [braid] * options.kills + [gather] * options.collector_kills
    draw.shuffle(victims)
    # The kills fall among the lines.
    writer = threading.Thread(target=write, args=(folder / "app.log", options.lines, len(victims) * 1.2), daemon=True)
    writer.start()
    among = 0
    for victim in victims:
        time.sleep(draw.uniform(0.1, 2.0))
        among += writer.is_alive()
        victim.kill()
        victim.start()
    writer.join()
    written, back = Written(), Back()
    tails = [Tail(folder / "out.ndjson", written.take), Tail(folder / "back.ndjson", back.take)]
    due = {f"n{number}" for number in range(options.lines)}
    requests = (options.lines + len(SERVICES) - 1) // len(SERVICES)
    may_lose = HELD_IN_MEMORY * options.collector_kills
    until = time.monotonic() + (PATIENCE / 4 if may_lose else PATIENCE)
    while time.monotonic() < until:
        for tail in tails:
            tail.read()
        told = len(written.timelines) + len(written.late) >= requests
        if due <= written.lines.keys() and told and written.entries <= back.entries:
            break
        time.sleep(0.5)
    status = braid.stop(), gather.stop()
    for tail in tails:
        tail.read()

    lost = sorted(due - written.lines.keys())
    hurt = len({place_of(message) for message in lost})
    invented = sorted(str(message) for message in written.lines.keys() - due)
    twice = sum(len(ids) > 1 for ids in written.lines.values())
    late = sum(map(len, written.late.values()))
    traces = {f"{request + 1:032x}" for request in range(1, requests, 2)}
    ours, (theirs, orphans) = written.paths(), back.paths(traces)
    whole = sum([service for _, service in path] == CHAIN for _, path in theirs)
    print(f"collector.py: {options.protocol}: lines {options.lines}, kills of logbraid {options.kills}, of the Collector "
          f"{options.collector_kills} ({among} while lines were written), {time.monotonic() - began:.1f} s; "
          f"written {len(written.lines)}, lost {len(lost)}, under two ids {twice}, late {late}, "
          f"invented {len(invented)}, ends {status[0]} and {status[1]}")
    print(f"collector.py: back: entries {len(back.entries)} of {len(written.entries)} (sent again {back.again}), findings "
          f"{len(back.findings)} of {len(written.findings)}, spans {len(back.spans)} of {len(written.timelines)} requests, "
          f"whole chains {whole}, paths missing {len(ours - theirs)}, others {len(theirs - ours)}, without parent {orphans}")
    wrong = {
        "lost": lost if len(lost) > may_lose else [], "invented": invented, "entries": sorted(back.entries ^ written.entries),
        "findings": sorted(back.findings ^ written.findings), "spans missing": sorted(map(str, ours - theirs)),
        "other spans": sorted(map(str, theirs - ours)), "orphans": [orphans] if orphans else [],
        "other logs": [back.other] if back.other else [], "ends": [status] if status != (0, 0) else [],
        "whole chains": [whole] if whole + len(written.late) + hurt < options.lines // len(SERVICES) else [],
    }
    for what, values in wrong.items():
        if values:
            print(f"FAILED: {what}: {len(values)}, such as {values[:5]}")
    held = not any(wrong.values())
    print("collector.py: " + ("held" if held else "FAILED"))
    return not held


if __name__ == "__main__":
    main()
