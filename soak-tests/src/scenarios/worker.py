"""Makes calls of the batch tool's public interface, one a line of JSON, and times each from within.

A request is {"call": NAME, ...}; the reply is {"ms": TIME, "answer": {...}} or {"error": TEXT}. What an answer says is
collected after the clock has stopped. With `--once` the one request is an argument and the whole answer is printed,
as a program that makes a single call would do it. With `--memory` too, what the call grew by is printed instead.
"""

import json
import os
import sys
import time


def resident(name="VmRSS:"):
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0


class Calls:
    def __init__(self):
        from logler import investigate

        self.tool = investigate
        self.kept = {}

    def prepare(self, request):
        """Builds what a call takes as given, outside of its time."""
        if request["call"] in ("error_flow", "tree_summary", "tree"):
            key = (request["file"], request["root"])
            if key not in self.kept:
                self.kept[key] = self.hierarchy(request)
            return self.kept[key]
        return None

    def call(self, request, given):
        return getattr(self, request["call"])(request) if given is None else getattr(self, request["call"])(given)

    def search(self, r):
        options = {k: r[k] for k in ("level", "query", "limit", "output_format") if k in r}
        return self.tool.search([r["file"]], **options)

    def hierarchy(self, r):
        return self.tool.follow_thread_hierarchy(
            [r["file"]], root_identifier=r["root"], use_naming_patterns=True, use_temporal_inference=True
        )

    def error_flow(self, given):
        return self.tool.analyze_error_flow(given)

    def tree_summary(self, given):
        return self.tool.get_hierarchy_summary(given)

    def tree(self, given):
        from logler import tree_formatter

        return tree_formatter.format_tree(given, mode="compact")

    def follow(self, r):
        return self.tool.follow_thread([r["file"]], correlation_id=r["id"])

    def cross_service(self, r):
        return self.tool.cross_service_timeline(r["files"], correlation_id=r["id"])

    def compare(self, r):
        return self.tool.compare_threads([r["file"]], correlation_a=r["a"], correlation_b=r["b"])

    def sample(self, r):
        return self.tool.smart_sample([r["file"]], strategy=r["strategy"], sample_size=r["size"])

    def convert(self, r):
        from logler import db_source

        path = db_source.db_to_jsonl(r["file"])
        self.converted = path
        return path

    def search_db(self, r):
        return self.tool.search_db(r["file"], level=r["level"])


def line_numbers(entries):
    return [(entry.get("entry") or entry).get("line_number") for entry in entries]


def distinct_nodes(answer):
    seen, todo, depth = set(), [(root, 0) for root in answer["roots"]], 0
    while todo:
        node, at = todo.pop()
        depth = max(depth, at)
        seen.add(node["id"])
        todo.extend((child, at + 1) for child in node.get("children", []))
    return len(seen)


def collected(calls, request, answer):
    call = request["call"]
    if call == "search" or call == "search_db":
        form = request.get("output_format", "full")
        out = {}
        if "total_matches" in answer:
            out["matches"] = answer["total_matches"]
        entries = answer.get("results")
        if form == "full" and entries is not None:
            out["returned"] = len(entries)
            if call == "search":
                out["lines"] = line_numbers(entries)
        if form == "compact":
            out["returned"] = len(answer.get("matches", answer.get("results", [])))
        return out
    if call == "hierarchy":
        return {"nodes": answer["total_nodes"], "nodes_in_tree": distinct_nodes(answer)}
    if call == "error_flow":
        return {"error_nodes": answer.get("total_error_nodes"), "root_causes": len(answer.get("root_causes", []))}
    if call in ("tree", "tree_summary"):
        return {"characters": len(answer)}
    if call == "follow":
        return {"entries": answer["total_entries"]}
    if call == "cross_service":
        return {"entries": answer["total_entries"]}
    if call == "compare":
        return {"entries": sum(len(answer[side].get("entries", [])) for side in ("thread_a", "thread_b") if side in answer)}
    if call == "sample":
        entries = answer.get("samples") or answer.get("entries") or answer.get("results") or []
        return {"population": answer.get("total_population"), "returned": len(entries)}
    if call == "convert":
        with open(answer) as converted:
            rows = sum(1 for _ in converted)
        os.unlink(answer)
        return {"rows": rows}
    return {}


def once(request, memory):
    before = None
    if memory:
        import tracemalloc

        from logler import investigate as _loaded  # noqa: F401

        before = resident()
        tracemalloc.start()
    calls = Calls()
    given = calls.prepare(request)
    begin = time.perf_counter()
    answer = calls.call(request, given)
    took = (time.perf_counter() - begin) * 1000
    if memory:
        _, peak = tracemalloc.get_traced_memory()
        print(json.dumps({
            "ms": took, "traced_peak": peak, "rss_before": before, "rss_after": resident(), "rss_peak": resident("VmHWM:"),
            "answer": collected(calls, request, answer),
        }))
    else:
        sys.stdout.write(answer if isinstance(answer, str) else json.dumps(answer, default=str))
        if request["call"] == "convert":
            os.unlink(answer)


def serve():
    calls = Calls()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            given = calls.prepare(request)
            begin = time.perf_counter()
            answer = calls.call(request, given)
            took = (time.perf_counter() - begin) * 1000
            reply = {"ms": took, "answer": collected(calls, request, answer)}
        except Exception as error:  # What the tool cannot do is part of the result.
            reply = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(reply, default=str), flush=True)


if __name__ == "__main__":
    if "--once" in sys.argv:
        once(json.loads(sys.argv[sys.argv.index("--once") + 1]), "--memory" in sys.argv)
    else:
        serve()
