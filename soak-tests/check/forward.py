#!/usr/bin/env python3
"""The PyPI client `fluent-logger` sends to the source `forward`: what it sends arrives, with time, tag and fields.

Usage: forward.py [LOGBRAID]    the program, by default target/debug/logbraid

It makes itself a virtual environment with the package `fluent-logger`. Where that cannot be had, it says so and ends
with 77, which test drivers take for "skipped".
"""
import json
import os
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIPPED = 77
EVENTS = 5000
PATIENCE = 60


def with_client():
    """Goes on in an environment that has the client."""
    try:
        import fluent.sender  # noqa: F401
        return
    except ImportError:
        pass
    folder = os.environ.get("LOGBRAID_VENV", os.path.join(tempfile.gettempdir(), "logbraid-check-forward"))
    python = os.path.join(folder, "bin", "python")
    if sys.prefix != sys.base_prefix and os.path.realpath(sys.prefix) == os.path.realpath(folder):
        skip("the package `fluent-logger` is installed and cannot be imported")
    try:
        if not os.path.exists(python):
            subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=120)
        subprocess.run([python, "-m", "pip", "-q", "install", "fluent-logger"], check=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        skip(f"no environment with the package `fluent-logger`: {error}")
    os.execv(python, [python, os.path.abspath(__file__), *sys.argv[1:]])


def skip(why):
    print(f"forward.py: skipped: {why}")
    sys.exit(SKIPPED)


def start(program, folder):
    """A running logbraid, and the port it listens on."""
    config = os.path.join(folder, "run.yaml")
    with open(config, "w") as file:
        file.write(
            f"checkpoint: '{folder}/state'\ntime: {{ idle_after: 300ms }}\n"
            "sources: [forward: { listen: '127.0.0.1:0' }]\n"
            f"sinks: [file: {{ path: '{folder}/out.ndjson', take: [entries, late, rejects] }}]\n"
        )
    said = os.path.join(folder, "stderr")
    with open(said, "w") as stderr:
        child = subprocess.Popen([program, "run", "-c", config], stdin=subprocess.DEVNULL, stderr=stderr)
    for _ in range(500):
        with open(said) as file:
            text = file.read()
        if "ready on " in text:
            return child, int(text.split("ready on ")[1].split("\n")[0].rsplit(":", 1)[1])
        time.sleep(0.02)
    child.kill()
    sys.exit(f"forward.py: nobody listens: {text}")


def records(folder):
    """What is written, by message."""
    found = {}
    try:
        with open(os.path.join(folder, "out.ndjson")) as file:
            lines = file.read().split("\n")[:-1]
    except FileNotFoundError:
        return found
    for line in lines:
        record = json.loads(line)
        found[record.get("message")] = record
    return found


def main():
    with_client()
    from fluent import asyncsender, sender

    program = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "target", "debug", "logbraid")
    with tempfile.TemporaryDirectory() as folder:
        child, port = start(program, folder)
        try:
            began = time.monotonic()
            plain = sender.FluentSender("shop", host="127.0.0.1", port=port, nanosecond_precision=True)
            later = asyncsender.FluentSender("shop", host="127.0.0.1", port=port, queue_maxsize=EVENTS)
            for number in range(EVENTS):
                to = plain if number % 2 else later
                event = {"message": f"m{number}", "level": "error", "order": {"id": number, "paid": False}}
                stamp = sender.EventTime(1705312800 + number / 1000)
                assert to.emit_with_time("cart", stamp, event), to.last_error
            plain.close()
            later.close()
            found = {}
            while len(found) < EVENTS and time.monotonic() - began < PATIENCE:
                time.sleep(0.1)
                found = records(folder)
            assert len(found) == EVENTS, f"{len(found)} of {EVENTS} events arrived"
            for number in range(EVENTS):
                record = found[f"m{number}"]
                assert record["service"] == "shop.cart", record
                assert record["level"] == "ERROR" and record["timestamp"].startswith("2024-01-15T10:00:0"), record
                assert record["fields"]["order"] == {"id": number, "paid": False}, record
            print(f"forward.py: {EVENTS} events of fluent-logger arrived in {time.monotonic() - began:.1f} s: held")
        finally:
            child.terminate()
            child.wait(20)


if __name__ == "__main__":
    main()
