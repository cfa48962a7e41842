#!/usr/bin/env python3
"""Warm calls from Python beside the batch tool's, over the 19 scenarios of its own benchmark, in one run.

    python3 soak-tests/check/python_timings.py                     # up to 50 000 entries
    python3 soak-tests/check/python_timings.py --entries 10000 --out figures.md

The same calls go to both packages, whose functions have the same names: only the import differs. Data come from seed 42;
figures are the medians of several calls after one that is not counted, in milliseconds.
"""

import argparse
import importlib
import json
import pathlib
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import wheel  # noqa: E402

BATCH_TOOL = "logler"
wheel.enter(f"{BATCH_TOOL}==1.3.2", release=True)

PATHS = [f"/api/{name}" for name in "users orders products auth cart payments search reviews stock health".split()]
CODES = [200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 500, 502, 503]
HOSTS = ["db-primary", "cache-01", "auth-svc", "api-gw", "queue-01"]
FAILURES = [
    "Connection refused to {h}:{n}", "Timeout after {h}ms waiting for {n}", "Failed to parse response from {h}",
    "Authentication failed for user {h}", "Rate limit exceeded for client {h}", "Out of memory: heap size {h}MB",
    "Deadlock detected in transaction {h}", "Circuit breaker open for {h}", "SSL handshake failed with {h}",
    "DNS resolution failed for {h}",
]
SERVICES = ["api-gateway", "auth-service", "user-service", "order-service", "cache-service"]


def stamp(millis):
    seconds, rest = divmod(int(millis * 1000), 1_000_000)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1736935200 + seconds))
    return f"{moment}.{rest:06d}Z" if rest else moment + "Z"


def message(random, level):
    if level == "ERROR":
        return random.choice(FAILURES).format(h=random.choice(HOSTS), n=random.randint(1000, 9999))
    if level == "WARN":
        return f"Slow query: SELECT on {random.choice(['users', 'orders'])} took {random.randint(100, 5000)}ms"
    if level == "DEBUG":
        return f"Cache lookup for {random.choice(['user', 'session'])}:{random.randint(1, 100)}"
    verb = random.choice(["GET", "POST", "PUT", "DELETE", "PATCH"])
    return f"{verb} {random.choice(PATHS)} {random.choice(CODES)} {random.randint(1, 500)}ms"


def write(path, count, seed=42, errors=0.1, spans=False, service=None, step=(0.5, 5.0), begin=0.0):
    draw = random.Random(seed)
    rest = 1 - errors
    with open(path, "w", encoding="utf-8") as out:
        for i in range(count):
            level = draw.choices(["ERROR", "DEBUG", "INFO", "WARN"], [errors, rest / 9, rest * 6 / 9, rest * 2 / 9])[0]
            entry = {"timestamp": stamp(begin + i * draw.uniform(*step)), "level": level, "message": message(draw, level)}
            if service is None:
                entry["thread_id"] = f"worker-{draw.randrange(10):03d}"
                entry["correlation_id"], entry["trace_id"] = f"req-{i % 20:06d}", f"trace-{i % 20:04x}"
            else:
                entry["thread_id"] = f"{service}-worker-{i % 3}"
                entry["correlation_id"], entry["trace_id"], entry["service"] = "req-000042", "trace-002a", service
            entry["fields"] = {"duration_ms": round(draw.uniform(0.1, 500), 2)}
            if spans:
                entry["span_id"] = f"span-{i:08x}"
                if i and draw.random() < 0.6:
                    entry["parent_span_id"] = f"span-{draw.randint(max(0, i - 20), i - 1):08x}"
            out.write(json.dumps(entry) + "\n")
    return str(path)


def database(path, count):
    draw = random.Random(42)
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE TABLE qler_jobs (_id INTEGER PRIMARY KEY AUTOINCREMENT, data JSON, _version INT DEFAULT 1, ulid TEXT UNIQUE,"
        " status TEXT, queue_name TEXT, priority INT, eta INT DEFAULT 0, lease_expires_at INT)")
    moment = 1705312800.0
    for i in range(count):
        moment += draw.uniform(0.5, 5.0)
        status = draw.choices(["completed", "failed", "pending", "running", "cancelled"], [65, 15, 10, 5, 5])[0]
        data = {"task": "send_email", "attempts": 1, "correlation_id": f"corr-{i:06d}", "created_at": moment}
        connection.execute(
            "INSERT INTO qler_jobs (data, ulid, status, queue_name, priority) VALUES (?, ?, ?, ?, ?)",
            (json.dumps(data), f"{i:08d}{draw.randrange(10**8):08d}", status, "default", draw.randint(0, 10)))
    connection.commit()
    connection.close()
    return str(path)


def scenarios(folder, entries):
    """Name, and what makes the call of it for a package."""
    plain = write(folder / "plain.jsonl", entries)
    spans = write(folder / "spans.jsonl", min(entries, 10_000), spans=True)
    flow = write(folder / "errflow.jsonl", min(entries, 10_000), errors=0.15, spans=True)
    root = json.loads(open(spans, encoding="utf-8").readline())["thread_id"]
    services = {
        name: [write(folder / f"{name}.jsonl", 200, seed=42 + at, service=name, step=(1.0, 10.0), begin=50.0 * at)]
        for at, name in enumerate(SERVICES)
    }
    jobs = database(folder / "jobs.db", min(entries, 10_000))
    request = "req-000000"
    tree = lambda I: I.follow_thread_hierarchy([flow], root_identifier=root)  # noqa: E731

    def of(call):
        return lambda I: lambda: call(I)

    def built(call):
        def make(I):
            hierarchy = tree(I)
            return lambda: call(I, hierarchy)
        return make

    yield "1 search, ERROR", of(lambda I: I.search([plain], level="ERROR", limit=100))
    for level in ("ERROR", "WARN", "INFO"):
        yield f"2 search by level, {level}", of(lambda I, level=level: I.search([plain], level=level, limit=100))
    for form in ("full", "summary", "count", "compact"):
        yield f"3, 11 output format {form}", of(
            lambda I, form=form: I.search([plain], level="ERROR", limit=100, output_format=form))
    yield "4 search with filters", of(lambda I: I.search([plain], level="ERROR", query="timeout", limit=50))
    yield "5 hierarchy", of(lambda I: I.follow_thread_hierarchy([spans], root_identifier=root))
    yield "6 error flow of a hierarchy", built(lambda I, hierarchy: I.analyze_error_flow(hierarchy))
    yield "7 tree of a hierarchy", built(lambda I, hierarchy: I.get_hierarchy_summary(hierarchy))
    yield "8 follow a request", of(lambda I: I.follow_thread([plain], correlation_id=request))
    yield "9 five services", of(lambda I: I.cross_service_timeline(services, correlation_id="req-000042"))
    yield "10 compare two requests", of(
        lambda I: I.compare_threads([plain], correlation_a=request, correlation_b="req-000001"))
    for size in (1024, 4096, 16384):
        yield f"12 within {size} bytes, a process", size
    for strategy in ("errors_focused", "diverse", "chronological"):
        yield f"13, 14 sample, {strategy}", of(
            lambda I, strategy=strategy: I.smart_sample([plain], strategy=strategy, sample_size=50))
    yield "15, 16 broad search", of(lambda I: I.search([plain], level="INFO", limit=100))
    yield "17-19 search a database", of(lambda I: I.search_db(jobs, level="ERROR"))


def timed(call, rounds):
    call()
    took = []
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        took.append(time.perf_counter() - begin)
    return statistics.median(took) * 1000


def process(words, rounds):
    def run():
        done = subprocess.run([str(word) for word in words], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    return timed(run, rounds)


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--entries", type=int, default=50_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--logbraid", default=str(wheel.ROOT / "target" / "release" / "logbraid"))
    options.add_argument("--out", help="writes the table to this file as well")
    options = options.parse_args()
    ours, theirs = (importlib.import_module(f"{name}.investigate") for name in ("logbraid", BATCH_TOOL))
    lines = [f"| scenario, {options.entries} entries | logbraid ms | batch tool ms | ratio |", "|---|--:|--:|--:|"]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, make in scenarios(folder, options.entries):
            if callable(make):
                mine, other = timed(make(ours), options.rounds), timed(make(theirs), options.rounds)
            else:
                words = ["search", folder / "plain.jsonl", "--level", "ERROR", "--max-bytes", make]
                mine = process([options.logbraid, *words, "--output", "json"], options.rounds)
                other = process([sys.executable, "-m", f"{BATCH_TOOL}.cli", "llm", *words], 3)
            lines.append(f"| {name} | {mine:.3f} | {other:.2f} | {other / mine:.1f} |")
            print(lines[-1], flush=True)
    if options.out:
        pathlib.Path(options.out).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
