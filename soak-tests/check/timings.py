#!/usr/bin/env python3
"""Times the built binary's questions: cold (a process that reads the file), warm (a running logbraid that holds it), and
what a hundred clients cost a stream.

    cargo build --release -p logbraid -p logbraid-soak
    python3 soak-tests/check/timings.py                      # 50 000 entries
    python3 soak-tests/check/timings.py --entries 1000000 --rounds 3
    python3 soak-tests/check/timings.py --clients 100        # the stream, alone and with clients that ask

Figures are medians, and for warm questions the fastest beside it, which other work on the machine disturbs least; they
are comparable within one run only. Needs Python 3.9 and nothing else.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import pathlib
import socket
import statistics
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]

# What is asked: its name, the words of the command line, the request over HTTP.
QUESTIONS = [
    ("search ERROR, first 100", ["search", "--level", "ERROR", "--limit", "100"],
     ("search", {"level": ["ERROR"], "limit": 100})),
    ("search INFO, first 100", ["search", "--level", "INFO", "--limit", "100"],
     ("search", {"level": ["INFO"], "limit": 100})),
    ("search ERROR and a word", ["search", "--level", "ERROR", "--query", "(?i)timeout", "--limit", "50"],
     ("search", {"level": ["ERROR"], "query": "(?i)timeout", "limit": 50})),
    ("count ERROR", ["search", "--level", "ERROR", "--count-only"],
     ("search", {"level": ["ERROR"], "count_only": True})),
    ("follow a request", ["correlate", "req-000000", "--limit", "100"],
     ("correlate", {"id": "req-000000", "limit": 100})),
    ("compare two requests", ["compare", "req-000000", "req-000001"],
     ("compare", {"id1": "req-000000", "id2": "req-000001"})),
    ("triage", ["triage"], ("triage", {})),
    ("sample, errors first", ["sample", "--strategy", "errors_focused", "--size", "50"],
     ("sample", {"strategy": "errors_focused", "size": 50})),
    ("templates", ["templates"], ("templates", {})),
    ("within 4 KiB", ["search", "--level", "ERROR", "--max-bytes", "4096"],
     ("search", {"level": ["ERROR"], "max_bytes": 4096})),
]


def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def ask(client, question, request):
    """Asks once; what was answered, in bytes. A refusal is an exception: it must not count as a fast answer."""
    client.request("POST", "/query/" + question, json.dumps(request), {"Content-Type": "application/json"})
    response = client.getresponse()
    body = response.read()
    if response.status != 200:
        raise RuntimeError(f"{question} {request}: {response.status} {body[:300]}")
    return len(body)


def stats(client):
    client.request("POST", "/query/stats", "{}", {"Content-Type": "application/json"})
    response = client.getresponse()
    answer = json.loads(response.read())
    return answer.get("total", 0) if response.status == 200 else 0


class Running:
    """A logbraid that keeps what it reads from its stdin."""

    def __init__(self, binary, folder, memory="2GiB"):
        self.port = port()
        config = pathlib.Path(folder) / "timings.yaml"
        config.write_text(
            "sources: [stdin: {}]\n"
            "operators: [{thread: {}}, {correlate: {}}, {hierarchy: {}}, {error_flow: {}}, "
            f"{{index: {{span: 365d, memory: {memory}}}}}]\n"
            "sinks: [{file: {path: /dev/null, take: [findings]}}]\n"
            f"admin: {{listen: '127.0.0.1:{self.port}'}}\n")
        self.process = subprocess.Popen(
            [binary, "run", "-c", config], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            cwd=folder, env={"XDG_STATE_HOME": str(folder)})
        deadline = time.time() + 20
        while time.time() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise SystemExit("nobody listens")

    def client(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def feed(self, path):
        """Seconds until everything has been taken."""
        # Not by this process, whose own threads would hold it up.
        begin = time.perf_counter()
        subprocess.run(["cat", path], stdout=self.process.stdin, check=True)
        return time.perf_counter() - begin

    def stop(self):
        self.process.kill()
        self.process.wait()


def cold(binary, path, rounds):
    for name, words, _ in QUESTIONS:
        took = []
        for _ in range(rounds):
            begin = time.perf_counter()
            done = subprocess.run([binary, *words, str(path), "--output", "json"], capture_output=True)
            took.append(time.perf_counter() - begin)
            if done.returncode not in (0, 1):
                raise SystemExit(f"{words}: {done.stderr.decode()}")
        yield name, statistics.median(took) * 1000


def warm(running, rounds):
    client = running.client()
    for name, _, (question, request) in QUESTIONS:
        took = []
        for _ in range(rounds):
            begin = time.perf_counter()
            ask(client, question, request)
            took.append(time.perf_counter() - begin)
        yield name, (min(took) * 1000, statistics.median(took) * 1000)


def asking(port, clients, count, end):
    """So many clients, each of which asks at most once a second. They stand for other machines: theirs is not the time
    that the stream competes for, but logbraid's own work for them is."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))

    def one(at):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        time.sleep(at / max(clients, 1))
        while not end.is_set():
            question, request = QUESTIONS[at % 5][2]
            begin = time.perf_counter()
            try:
                ask(client, question, request)
                with count.get_lock():
                    count.value += 1
            except (OSError, RuntimeError, http.client.HTTPException):
                client = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            end.wait(max(0.0, 1 - (time.perf_counter() - begin)))

    for at in range(clients):
        threading.Thread(target=one, args=(at,), daemon=True).start()
    end.wait()
    os._exit(0)


def concurrent(options, path, folder):
    """The stream alone and beside clients, in turns, so that what else the machine does meets both."""
    times = {0: [], options.clients: []}
    answered = []
    for _ in range(options.rounds):
        for clients in times:
            running = Running(options.logbraid, folder)
            count, end = multiprocessing.Value("Q", 0), multiprocessing.Event()
            others = multiprocessing.Process(target=asking, args=(running.port, clients, count, end))
            others.start()
            times[clients].append(running.feed(path))
            if clients:
                answered.append(count.value / times[clients][-1])
            end.set()
            others.join()
            running.stop()
    alone, beside = (statistics.median(times[clients]) for clients in times)
    print(f"| stream alone | {alone:.2f} s |")
    print(f"| beside {options.clients} clients, {statistics.median(answered):.0f} answers/s | {beside:.2f} s, "
          f"{(beside / alone - 1) * 100:+.0f} % |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, help="default: 50 000; with --clients 2 000 000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=0, help="measure the stream beside so many clients instead")
    parser.add_argument("--logbraid", type=pathlib.Path, default=ROOT / "target/release/logbraid")
    parser.add_argument("--soak", type=pathlib.Path, default=ROOT / "target/release/logbraid-soak")
    options = parser.parse_args()
    options.logbraid = options.logbraid.resolve()
    options.entries = options.entries or (2_000_000 if options.clients else 50_000)
    with tempfile.TemporaryDirectory(prefix="timings-") as folder:
        path = pathlib.Path(folder) / "plain.jsonl"
        subprocess.run([options.soak, "generate", "--entries", str(options.entries), "--out", path], check=True)
        if options.clients:
            return concurrent(options, path, folder)
        running = Running(options.logbraid, folder)
        running.feed(path)
        client = running.client()
        deadline = time.time() + 120
        # The last entries wait for the watermark; everything before them is there.
        while stats(client) < options.entries * 0.9 and time.time() < deadline:
            time.sleep(0.2)
        time.sleep(1)
        warm_ms = dict(warm(running, max(options.rounds, 10)))
        running.stop()
        cold_ms = dict(cold(options.logbraid, path, options.rounds))
        print(f"| question, {options.entries} entries | cold, ms | warm, ms, fastest | median |\n|---|---:|---:|---:|")
        for name in cold_ms:
            fastest, median = warm_ms[name]
            print(f"| {name} | {cold_ms[name]:.0f} | {fastest:.1f} | {median:.1f} |")


main()
