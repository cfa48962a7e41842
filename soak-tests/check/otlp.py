#!/usr/bin/env python3
"""OpenTelemetry's SDK for Python sends logs to the source `http`, to `/v1/logs` and over gRPC: they arrive with severity,
ids, fields.

Usage: otlp.py [LOGBRAID]       the program, by default target/debug/logbraid

It makes itself a virtual environment with the packages `opentelemetry-sdk`, `opentelemetry-exporter-otlp-proto-http` and
`opentelemetry-exporter-otlp-proto-grpc`. Where that cannot be had, it says so and ends with 77, which test drivers take for "skipped".
"""
import json
import logging
import os
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PACKAGES = ["opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http", "opentelemetry-exporter-otlp-proto-grpc"]
SKIPPED = 77
RECORDS = 5000
WAYS = ["http", "grpc"]
PATIENCE = 60


def with_client():
    """Goes on in an environment that has the client."""
    try:
        import opentelemetry.exporter.otlp.proto.grpc
        import opentelemetry.exporter.otlp.proto.http  # noqa: F401
        return
    except ImportError:
        pass
    folder = os.environ.get("LOGBRAID_VENV", os.path.join(tempfile.gettempdir(), "logbraid-check-otlp"))
    python = os.path.join(folder, "bin", "python")
    if sys.prefix != sys.base_prefix and os.path.realpath(sys.prefix) == os.path.realpath(folder):
        skip("the packages are installed and cannot be imported")
    try:
        if not os.path.exists(python):
            subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=120)
        subprocess.run([python, "-m", "pip", "-q", "install", *PACKAGES], check=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        skip(f"no environment with {' and '.join(PACKAGES)}: {error}")
    os.execv(python, [python, os.path.abspath(__file__), *sys.argv[1:]])


def skip(why):
    print(f"otlp.py: skipped: {why}")
    sys.exit(SKIPPED)


def start(program, folder):
    """A running logbraid, and the port it listens on."""
    config = os.path.join(folder, "run.yaml")
    with open(config, "w") as file:
        file.write(
            f"checkpoint: '{folder}/state'\ntime: {{ idle_after: 300ms }}\n"
            "sources: [http: { listen: '127.0.0.1:0' }]\n"
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
    sys.exit(f"otlp.py: nobody listens: {text}")


def records(folder):
    """What is written, by message."""
    try:
        with open(os.path.join(folder, "out.ndjson")) as file:
            lines = file.read().split("\n")[:-1]
    except FileNotFoundError:
        return {}
    found = (json.loads(line) for line in lines)
    return {record.get("message"): record for record in found}


def exporter(port, way):
    """The SDK's own exporter, packing."""
    if way == "grpc":
        from grpc import Compression
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
        return OTLPLogExporter(endpoint=f"127.0.0.1:{port}", insecure=True, compression=Compression.Gzip)
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    return OTLPLogExporter(endpoint=f"http://127.0.0.1:{port}/v1/logs", compression=Compression.Gzip)


def send(port, way):
    """Sends through the standard library's logging, within a span."""
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    provider = LoggerProvider(resource=Resource.create({"service.name": "cart", "host.name": "h1"}))
    batches = BatchLogRecordProcessor(exporter(port, way), max_queue_size=2 * RECORDS)
    provider.add_log_record_processor(batches)
    log = logging.getLogger(f"shop.{way}")
    log.propagate = False
    log.setLevel(logging.INFO)
    log.addHandler(LoggingHandler(logger_provider=provider))
    with TracerProvider().get_tracer("check").start_as_current_span("order") as span:
        for number in range(RECORDS):
            log.log(logging.ERROR if number % 2 else logging.INFO, f"{way}%d", number, extra={"order": number})
        trace = format(span.get_span_context().trace_id, "032x")
    provider.shutdown()
    return trace


def check(folder, port, way):
    """Sends one way, and looks at what arrives."""
    began = time.monotonic()
    trace = send(port, way)
    due = {f"{way}{number}" for number in range(RECORDS)}
    found = {}
    while not due <= found.keys() and time.monotonic() - began < PATIENCE:
        time.sleep(0.1)
        found = records(folder)
    arrived = len(due & found.keys())
    assert arrived == RECORDS, f"{way}: {arrived} of {RECORDS} records arrived"
    for number in range(RECORDS):
        record = found[f"{way}{number}"]
        assert record["service"] == "cart" and record["host"] == "h1", record
        assert record["level"] == ("ERROR" if number % 2 else "INFO"), record
        assert record["trace_id"] == trace and len(record["span_id"]) == 16, record
        assert f'"order": {number}' in json.dumps(record["fields"]), record
    print(f"otlp.py: {way}: {RECORDS} records of OpenTelemetry's SDK arrived in {time.monotonic() - began:.1f} s: held")


def main():
    with_client()
    program = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "target", "debug", "logbraid")
    with tempfile.TemporaryDirectory() as folder:
        child, port = start(program, folder)
        try:
            for way in WAYS:
                check(folder, port, way)
        finally:
            child.terminate()
            child.wait(20)


if __name__ == "__main__":
    main()
