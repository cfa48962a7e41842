#!/usr/bin/env python3
"""Loads what `logbraid export` writes with the tools it is written for.

    soak-tests/check/exports.py target/debug/logbraid [INPUT ...]

Without inputs, the demo's logs. What is not installed is skipped and said so: `pip install opentelemetry-proto
jsonschema perfetto`, and Chromium for the page. Exit status 1 when something does not load.
"""

import base64
import collections
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

LOGBRAID = sys.argv[1]
INPUTS = sys.argv[2:] or sorted(glob.glob("configs/demo/*.log"))
FOLDER = tempfile.mkdtemp(prefix="exports-")
skipped = []


def export(form, ident="all"):
    path = os.path.join(FOLDER, f"{ident}.{form}")
    command = [LOGBRAID, "export", ident, *INPUTS, "--as", form, "--limit", "0", "--out", path, "--quiet"]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    again = path + ".again"
    command[command.index("--out") + 1] = again
    subprocess.run(command, check=True, capture_output=True)
    with open(path, "rb") as one, open(again, "rb") as other:
        assert one.read() == other.read(), f"{form}: two runs differ"
    assert not told["truncated"], told
    return told, path


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def tree_of(spans, ident, parent, start, end):
    """Parents exist within their trace, and no span ends before it begins."""
    ids = {ident(span) for span in spans}
    assert len(ids) == len(spans), "ids of spans are not unique"
    for span in spans:
        assert parent(span) is None or parent(span) in ids, f"no such parent: {parent(span)}"
        assert start(span) <= end(span), span


def otlp():
    try:
        from google.protobuf import json_format
        from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
    except ImportError:
        return skipped.append("OTLP: opentelemetry-proto is not installed")
    told, path = export("otlp")
    document = load(path)
    # OTLP writes ids in hexadecimal where protobuf's JSON has base64; everything else is as protobuf has it.
    for resource in document["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for key, digits in (("traceId", 32), ("spanId", 16), ("parentSpanId", 16)):
                    if key in span:
                        assert re.fullmatch(f"[0-9a-f]{{{digits}}}", span[key]), span[key]
                        span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
    data = json_format.ParseDict(document, TracesData(), ignore_unknown_fields=False)
    spans = [s for r in data.resource_spans for c in r.scope_spans for s in c.spans]
    assert len(spans) == told["span_count"], (len(spans), told)
    assert sum(len(s.events) for s in spans) == told["entry_count"]
    traces = collections.defaultdict(list)
    for span in spans:
        assert any(span.trace_id) and any(span.span_id)
        traces[span.trace_id].append(span)
    assert len(traces) == told["trace_count"]
    for group in traces.values():
        tree_of(group, lambda s: s.span_id, lambda s: s.parent_span_id or None,
                lambda s: s.start_time_unix_nano, lambda s: s.end_time_unix_nano)
    for resource in data.resource_spans:
        assert any(a.key == "service.name" and a.value.string_value for a in resource.resource.attributes)
    print(f"OTLP: {len(spans)} spans parsed by opentelemetry-proto")


# The types of zipkin2-api.yaml, https://github.com/openzipkin/zipkin-api, as JSON schema.
ZIPKIN = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["id", "traceId"],
        "additionalProperties": False,
        "properties": {
            "traceId": {"type": "string", "minLength": 16, "maxLength": 32, "pattern": "^[a-f0-9]{16,32}$"},
            "name": {"type": "string"},
            "parentId": {"type": "string", "pattern": "^[a-f0-9]{16}$"},
            "id": {"type": "string", "pattern": "^[a-f0-9]{16}$"},
            "kind": {"enum": ["CLIENT", "SERVER", "PRODUCER", "CONSUMER"]},
            "timestamp": {"type": "integer"},
            "duration": {"type": "integer", "minimum": 1},
            "debug": {"type": "boolean"},
            "shared": {"type": "boolean"},
            "localEndpoint": {"type": "object", "properties": {"serviceName": {"type": "string"}}},
            "remoteEndpoint": {"type": "object"},
            "annotations": {
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"timestamp": {"type": "integer"}, "value": {"type": "string"}},
                },
            },
            "tags": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    },
}


def zipkin():
    told, path = export("zipkin")
    spans = load(path)
    try:
        import jsonschema
        jsonschema.validate(spans, ZIPKIN)
    except ImportError:
        skipped.append("Zipkin's schema: jsonschema is not installed")
    assert len(spans) == told["span_count"]
    traces = collections.defaultdict(list)
    for span in spans:
        traces[span["traceId"]].append(span)
    for group in traces.values():
        tree_of(group, lambda s: s["id"], lambda s: s.get("parentId"), lambda s: s["timestamp"],
                lambda s: s["timestamp"] + s["duration"])
    print(f"Zipkin: {len(spans)} spans")


def jaeger():
    told, path = export("jaeger")
    document = load(path)
    kinds = {"string": str, "bool": bool, "int64": int, "float64": (int, float)}
    count = 0
    for trace in document["data"]:
        for span in trace["spans"]:
            count += 1
            assert span["traceID"] == trace["traceID"] and span["processID"] in trace["processes"]
            assert isinstance(span["startTime"], int) and isinstance(span["duration"], int)
            for tag in span["tags"] + [field for log in span["logs"] for field in log["fields"]]:
                assert isinstance(tag["value"], kinds[tag["type"]]), tag
        tree_of(trace["spans"], lambda s: s["spanID"], lambda s: next((r["spanID"] for r in s["references"]), None),
                lambda s: s["startTime"], lambda s: s["startTime"] + s["duration"])
    assert count == told["span_count"] and len(document["data"]) == told["trace_count"]
    print(f"Jaeger: {count} spans")


def perfetto():
    told, path = export("perfetto")
    events = load(path)["traceEvents"]
    assert sum(event["ph"] == "X" for event in events) == told["span_count"]
    # Slices of one thread lie within each other or apart.
    lanes = collections.defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            lanes[event["pid"], event["tid"]].append((event["ts"], -event["dur"]))
    for slices in lanes.values():
        open_ends = []
        for start, length in sorted(slices):
            while open_ends and open_ends[-1] <= start:
                open_ends.pop()
            assert not open_ends or start - length <= open_ends[-1], "slices overlap"
            open_ends.append(start - length)
    try:
        from perfetto.trace_processor import TraceProcessor, TraceProcessorConfig
        binary = os.environ.get("TRACE_PROCESSOR")
        processor = TraceProcessor(trace=path, config=TraceProcessorConfig(bin_path=binary))
    except ImportError:
        return skipped.append("Perfetto: the package perfetto is not installed")
    except Exception as error:  # it fetches its program when it is first used
        return skipped.append(f"Perfetto: the trace processor cannot be had: {str(error)[:120]}")
    row = next(iter(processor.query("select count(*) as n, sum(dur = -1) as unfinished from slice where dur != 0")))
    slices = next(iter(processor.query("select count(*) as n from slice"))).n
    faults = list(processor.query("select name, value from stats where severity = 'error' and value > 0"))
    assert not faults, [(fault.name, fault.value) for fault in faults]
    assert slices == told["span_count"] + told["entry_count"], (slices, told)
    assert not row.unfinished
    processor.close()
    print(f"Perfetto: {slices} slices loaded by its trace processor")


def page():
    told, path = export("html")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    assert text.count("<script") == 2 and text.count("</script") == 2
    assert not re.search(r"""(src|href)\s*=|url\(|@import|https?://""", text.split('id="data">')[0])
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        return skipped.append("the page: Chromium is not installed")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000", "--dump-dom",
               f"file://{path}"]
    dom = subprocess.run(command, check=True, capture_output=True, text=True, timeout=180).stdout
    rows = dom.count('role="option"')
    first = json.loads(text.split('id="data">')[1].split("</script>")[0])["traces"][0]
    assert rows == len(first["spans"]), (rows, len(first["spans"]))
    assert dom.count("<tr class=") == min(2000, len(first["entries"]))
    print(f"page: {told['trace_count']} requests, {rows} spans of the first one drawn by Chromium")


for check in (otlp, zipkin, jaeger, perfetto, page):
    check()
for note in skipped:
    print("skipped:", note)
shutil.rmtree(FOLDER)
