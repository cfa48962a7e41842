#!/usr/bin/env python3
"""A notebook that was written for the batch tool runs with its import changed, and its answers stand beside.

    python3 soak-tests/check/notebook.py                  # the notebook, and answers that are known to be right
    python3 soak-tests/check/notebook.py --beside         # the batch tool's answers beside, where it can be installed

The cells below are the notebook; `I` is the one import. What the batch tool answers otherwise is listed, with the reason:
these are its defects, or formats that it does not understand. Exit status 0 when every answer of logbraid is right.
"""

import glob
import importlib
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import wheel  # noqa: E402

BATCH_TOOL = "logler"
FILES = sorted(glob.glob(str(wheel.ROOT / "configs" / "demo" / "*.log")))
REQUEST, OTHER = "req-1037", "req-1038"


def notebook(I):
    """Cells, each with the figure that it shows."""
    yield "errors", I.search(FILES, level="ERROR", limit=100, context_lines=0)["total_matches"]
    yield "first error", I.search(FILES, level="ERROR", limit=100, context_lines=0)["results"][0]["entry"]["timestamp"]
    yield "errors of the gateway", I.search(FILES, level="ERROR", service_name="gateway")["total_matches"]
    yield "slots", I.search(FILES, query="connection slots in use", context_lines=0)["total_matches"]
    yield "levels", I.search(FILES, output_format="count", limit=10_000)["by_level"].get("ERROR")
    yield "compact", len(I.search(FILES, level="ERROR", output_format="compact", limit=5)["matches"])
    yield "counted only", I.search(FILES, level="ERROR", count_only=True)["total_matches"]

    followed = I.follow_thread(FILES, correlation_id=REQUEST)
    yield "entries of a request", followed["total_entries"]
    yield "its duration", followed["duration_ms"]
    yield "its first message", followed["entries"][0]["message"]

    hierarchy = I.follow_thread_hierarchy(FILES, REQUEST)
    yield "nodes", hierarchy["total_nodes"]
    yield "depth", hierarchy["max_depth"]
    yield "nodes with errors", len(hierarchy["error_nodes"])
    yield "bottleneck", hierarchy["bottleneck"]["node_name"]
    yield "summary is a text", "POST /checkout" in I.get_hierarchy_summary(hierarchy) or "http-1" in I.get_hierarchy_summary(
        hierarchy
    )
    flow = I.analyze_error_flow(hierarchy)
    yield "root causes", [cause["node_id"] for cause in flow["root_causes"]]
    yield "affected", flow["impact_summary"]["total_affected_nodes"]
    yield "error flow is a text", len(I.format_error_flow(flow)) > 20
    yield "primary bottleneck", I.analyze_bottlenecks(hierarchy)["primary_bottleneck"]["node_id"]
    diff = I.diff_hierarchies(hierarchy, I.follow_thread_hierarchy(FILES, OTHER))
    yield "errors resolved", diff["summary"]["resolved_errors"]
    yield "difference is a text", "→" in I.format_hierarchy_diff(diff) or len(I.format_hierarchy_diff(diff)) > 20
    yield "jaeger spans", len(I.export_to_jaeger(hierarchy)["data"][0]["spans"])
    yield "zipkin spans", len(I.export_to_zipkin(hierarchy))
    chained = I.build_hierarchy_with_correlation_chains(FILES, REQUEST)
    yield "chains of a request", len(chained["correlation_chains"])
    yield "chains", I.detect_correlation_chains(FILES)["total_chains"]
    yield "requests", I.detect_correlation_chains(FILES)["total_correlation_ids"]

    services = {pathlib.Path(name).stem: [name] for name in FILES}
    across = I.cross_service_timeline(services, correlation_id=REQUEST)
    yield "across services", across["total_entries"]
    yield "services", sorted(name for name, count in across["service_breakdown"].items() if count)
    compared = I.compare_threads(FILES, correlation_a=REQUEST, correlation_b=OTHER)
    yield "error difference", compared["differences"]["error_diff"]
    yield "duration difference", compared["differences"]["duration_diff_ms"]
    periods = I.compare_time_periods(
        FILES, "2025-03-04T09:30:00Z", "2025-03-04T09:31:00Z", "2025-03-04T09:31:00Z", "2025-03-04T09:32:00Z"
    )
    yield "errors before", periods["period_a"]["error_count"]
    yield "errors after", periods["period_b"]["error_count"]

    sample = I.smart_sample(FILES, strategy="errors_focused", sample_size=20)
    yield "sample", sample["sample_size"]
    yield "population", sample["total_population"]
    yield "patterns", sorted(pattern["occurrences"] for pattern in I.find_patterns(FILES)["patterns"])
    yield "ids", len(I.extract_ids(FILES)["correlation_ids"])
    yield "metrics", I.extract_metrics(FILES, fields=["status"])["fields"]["status"]["count"]
    yield "formats", sorted({found["format"] for found in I.detect_formats(FILES)["files"].values()})
    yield "templates", len(I.mine_log_templates(FILES)["templates"]) > 10
    metadata = {pathlib.Path(found["path"]).name: found for found in I.get_metadata(FILES)}
    yield "lines of a file", metadata["gateway.log"]["lines"]
    yield "context", len(I.get_context(FILES[1], 5, 2, 2)["context_before"])

    with I.Investigator() as investigator:
        investigator.load_files(FILES)
        yield "investigator", investigator.search(level="ERROR", limit=1)["total_matches"]
        yield "investigator's tree", investigator.build_hierarchy(REQUEST)["total_nodes"]

    session = I.InvestigationSession(files=FILES, name="the incident")
    session.search(level="ERROR")
    session.follow_thread(correlation_id=REQUEST)
    session.add_note("the database ran out of slots")
    yield "undone", session.undo()
    yield "steps left", len(session.get_history())
    yield "redone", session.redo()
    yield "report", "the incident" in session.generate_report()

    # The batch tool cannot load these logs into its database; a notebook of its ends here.
    with I.Investigator() as investigator:
        investigator.load_files(FILES)
        yield "sql", investigator.sql_query("SELECT count(*) AS n FROM logs WHERE level = 'ERROR'")[0]["n"]


# What is right, counted from the files or read in them.
RIGHT = {
    "errors": 49,
    "first error": "2025-03-04T09:31:03.928Z",
    "errors of the gateway": 12,
    "levels": 49,
    "compact": 5,
    "counted only": 49,
    "entries of a request": 12,
    "its duration": 286,
    "its first message": "POST /checkout",
    "nodes": 5,
    "depth": 3,
    "nodes with errors": 4,
    "bottleneck": "waiting for a connection slot",
    "root causes": ["conn-1"],
    "affected": 4,
    "primary bottleneck": "conn-1",
    "jaeger spans": 5,
    "zipkin spans": 5,
    "chains": 0,
    "requests": 88,
    "across services": 12,
    "services": ["checkout", "gateway", "inventory", "payments", "payments-db"],
    "error difference": -4,
    "duration difference": -278,
    "errors before": 0,
    "errors after": 49,
    "sample": 20,
    "population": 747,
    "patterns": [12, 12, 12, 13],
    "ids": 88,
    "metrics": 88,
    "lines of a file": 176,
    "context": 2,
    "investigator": 49,
    "investigator's tree": 5,
    "sql": 49,
    "undone": True,
    "steps left": 2,
    "redone": True,
    "report": True,
}
# Cells where the batch tool is right as well, so that both must say the same.
AGREED = ["compact", "its duration", "its first message", "requests", "chains", "errors before", "duration difference",
          "sample", "ids", "metrics", "lines of a file", "context", "undone", "redone", "report"]


def cells(I):
    """All cells; those that end with an exception end the notebook."""
    shown = {}
    try:
        for name, value in notebook(I):
            shown[name] = value
    except Exception as error:  # noqa: BLE001
        shown["ended with"] = f"{type(error).__name__}: {str(error)[:80]}"
    return shown


def main():
    beside = "--beside" in sys.argv
    wheel.enter(*([f"{BATCH_TOOL}==1.3.2"] if beside else []))
    ours = cells(importlib.import_module("logbraid.investigate"))
    theirs = cells(importlib.import_module(f"{BATCH_TOOL}.investigate")) if beside else {}
    wrong = [f"ended with {ours['ended with']}"] if "ended with" in ours else []
    text = lambda value: json.dumps(value) if value is not None else ""  # noqa: E731
    for name, value in {**ours, **{"ended with": None}}.items():
        if name in RIGHT and value != RIGHT[name]:
            wrong.append(f"{name}: {value}, and {RIGHT[name]} is right")
        if beside and name in AGREED and theirs.get(name) != value:
            wrong.append(f"{name}: {value}, and the batch tool says {theirs.get(name)}")
        if beside and (name in theirs or value is not None):
            print(f"{name:24} {text(value)[:60]:62} {text(theirs.get(name))[:60]}")
    missing = sorted(set(RIGHT) - set(ours))
    wrong += [f"never came to: {', '.join(missing)}"] if missing else []
    for line in wrong:
        print(f"WRONG {line}")
    print(f"notebook.py: {len(ours)} cells, {len(RIGHT)} of them known to be right, {len(wrong)} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
