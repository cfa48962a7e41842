"""The functions of the batch tool's module ``investigate``, by their names and parameters, answered by logbraid.

A script changes its import and runs. Answers have the same keys; where the batch tool's are known to be wrong (text that
is not a regex, caps that are not told, entries that multiply), these are right, so that they differ. What was cut says
``truncated``, and an answer may have more keys than the batch tool's.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Optional, Union

from ._errors import Mistake
from ._window import Window, kept

__all__ = [
    "DbTableMapping",
    "InvestigationSession",
    "Investigator",
    "analyze_bottlenecks",
    "analyze_error_flow",
    "build_hierarchy_with_correlation_chains",
    "compare_threads",
    "compare_time_periods",
    "cross_service_timeline",
    "detect_correlation_chains",
    "detect_formats",
    "diff_hierarchies",
    "export_to_jaeger",
    "export_to_zipkin",
    "extract_ids",
    "extract_metrics",
    "find_patterns",
    "follow_thread",
    "follow_thread_hierarchy",
    "format_error_flow",
    "format_hierarchy_diff",
    "get_context",
    "get_hierarchy_summary",
    "get_metadata",
    "mine_log_templates",
    "search",
    "search_db",
    "smart_sample",
]

Answer = dict[str, Any]
#: Results of a search without a limit of its own; what is beyond is told by ``truncated``.
RESULTS_MAX = 10_000

_FORMATS = {"plain": "text", "plaintext": "text", "commonlog": "clf"}


def _mistake(message: str, help: Optional[str] = None) -> Mistake:
    document = {"code": "usage", "message": message}
    if help is not None:
        document["help"] = help
    return Mistake(json.dumps(document))


def _window(files: Any, parser_format: Optional[str] = None, custom_regex: Optional[str] = None) -> Window:
    """The window of ``files``, read once and again when they change."""
    if isinstance(files, Window):
        return files
    name = None if parser_format is None else parser_format.lower()
    if custom_regex is not None:
        settings = {"parse": {"formats": "given", "custom": {"given": {"regex": custom_regex}}}}
        return kept(files, settings)
    if name == "custom":
        raise _mistake("'parser_format' is 'custom', and there is no 'custom_regex'", "give a regex with named groups")
    return kept(files, format=_FORMATS.get(name, name) if name is not None else None)


def _words(text: Union[None, str, Sequence[str]]) -> Optional[list[str]]:
    """Words of a text with commas."""
    if text is None:
        return None
    words = text.split(",") if isinstance(text, str) else list(text)
    return [word.strip() for word in words if word.strip()] or None


def _entry(entry: Answer) -> Answer:
    """An entry under the batch tool's names."""
    source = entry.get("source") or {}
    get = entry.get
    return {
        "id": get("id"),
        "file": source.get("input") or source.get("topic"),
        "line_number": source.get("line"),
        "raw": get("raw"),
        "timestamp": get("timestamp"),
        "level": get("level"),
        "message": get("message", ""),
        "thread_id": get("thread_id"),
        "correlation_id": get("correlation_id"),
        "trace_id": get("trace_id"),
        "span_id": get("span_id"),
        "parent_span_id": get("parent_span_id"),
        "service_name": get("service"),
        "host": get("host"),
        "fields": get("fields") or {},
        "template": get("template"),
        "flags": get("flags") or [],
    }


def _elapsed_ms(began: float) -> int:
    return int((time.perf_counter() - began) * 1000)


# --- Search ---------------------------------------------------------------------------------------------------------


def search(
    files: Any,
    query: Optional[str] = None,
    level: Optional[str] = None,
    exclude_level: Optional[str] = None,
    exclude_query: Optional[str] = None,
    thread_id: Optional[str] = None,
    correlation_id: Optional[str] = None,
    trace_id: Optional[str] = None,
    service_name: Optional[str] = None,
    limit: Optional[int] = None,
    tail: Optional[int] = None,
    time_start: Optional[str] = None,
    time_end: Optional[str] = None,
    context_lines: int = 3,
    output_format: str = "full",
    fields: Optional[Sequence[str]] = None,
    parser_format: Optional[str] = None,
    custom_regex: Optional[str] = None,
    count_only: bool = False,
    offset: int = 0,
) -> Answer:
    """Entries that match. ``query`` is a regex, in upper or lower case; ``level`` may be ``WARN+``."""
    began = time.perf_counter()
    window = _window(files, parser_format, custom_regex)
    if output_format not in ("full", "summary", "count", "compact"):
        raise _mistake(f"there is no output format '{output_format}'", "there are full, summary, count and compact")
    options: Answer = {
        "query": query or None,
        "ignore_case": True if query else None,
        "level": _words(level),
        "exclude_level": _words(exclude_level),
        "exclude_query": exclude_query,
        "thread": thread_id or None,
        "correlation": correlation_id or None,
        "trace": trace_id or None,
        "service": _words(service_name),
        "after": time_start,
        "before": time_end,
    }
    if count_only:
        answer = window.ask("search", count_only=True, **options)
        return {"results": [], "total_matches": _total(answer), "search_time_ms": _elapsed_ms(began)}
    options["limit"] = limit if limit is not None or tail is not None else RESULTS_MAX
    options["tail"] = tail
    options["offset"] = offset or None
    if output_format == "full":
        context = context_lines or None
        answer = window.ask("search", show_raw=True, no_aggregate=True, context=context, **options)
        return _full(answer, fields, began)
    # What is summarised is what matches, not what would be shown of it.
    if output_format == "compact":
        answer = window.ask("search", output_format="compact", **options)
        matches = [{**match, "file": os.path.basename(match.get("file", ""))} for match in answer.get("matches", [])]
        return {"matches": matches, "total": _total(answer), "truncated": answer.get("truncated", False)}
    options.update(limit=None, tail=None, offset=None)
    answer = window.ask("search", output_format=output_format, **options)
    counts = answer.get("aggregations") or {}
    by_level, by_file = counts.get("by_level", {}), counts.get("by_input", {})
    if output_format == "count":
        range_ = answer["summary"].get("time_range")
        return {"total_matches": _total(answer), "by_level": by_level, "by_file": by_file, "time_range": range_}
    return {
        "total_matches": _total(answer),
        "unique_messages": answer["summary"].get("unique_messages"),
        "log_levels": by_level,
        "by_file": by_file,
        "top_messages": [{**top, "message": top.get("example", top.get("pattern"))} for top in answer.get("top_messages", [])],
        "sample_entries": [_entry(entry) for entry in answer.get("sample_entries", [])],
        "full_results_available": True,
    }


def _total(answer: Answer) -> int:
    return answer["summary"]["total_matches"] if "summary" in answer else answer["total_matches"]


def _full(answer: Answer, fields: Optional[Sequence[str]], began: float) -> Answer:
    results = []
    for hit in answer.get("results", []):
        entry = _entry(hit)
        if fields:
            entry = {name: entry.get(name) for name in fields}
        results.append(
            {
                "entry": entry,
                "context_before": [_entry(near) for near in hit.get("context_before", [])],
                "context_after": [_entry(near) for near in hit.get("context_after", [])],
                "relevance_score": 1.0,
            }
        )
    return {
        "results": results,
        "total_matches": _total(answer),
        "truncated": answer.get("truncated", False),
        "search_time_ms": _elapsed_ms(began),
    }


def get_context(file: str, line_number: int, lines_before: int = 10, lines_after: int = 10) -> Answer:
    """A line and its neighbours."""
    return _context(_window([file]), file, line_number, lines_before, lines_after)


def _context(window: Window, file: str, line_number: int, before: int, after: int) -> Answer:
    answer = window.ask("context", file=file, line=line_number, before_context=before, after_context=after)
    near = [*answer.get("context_before", []), *answer.get("context_after", [])]
    target = _entry(answer["target"])
    threads = {entry.get("thread_id") for entry in near} - {None, target["thread_id"]}
    return {
        "target": target,
        "context_before": [_entry(entry) for entry in answer.get("context_before", [])],
        "context_after": [_entry(entry) for entry in answer.get("context_after", [])],
        "related_threads": sorted(threads),
    }


def follow_thread(
    files: Any,
    thread_id: Optional[str] = None,
    correlation_id: Optional[str] = None,
    trace_id: Optional[str] = None,
    parser_format: Optional[str] = None,
    custom_regex: Optional[str] = None,
) -> Answer:
    """Every entry of a thread, a request or a trace, or of all that are given, in the order of time."""
    return _follow(_window(files, parser_format, custom_regex), thread_id, correlation_id, trace_id)


def _follow(
    window: Window,
    thread_id: Optional[str] = None,
    correlation_id: Optional[str] = None,
    trace_id: Optional[str] = None,
    **options: Any,
) -> Answer:
    wanted = {"thread": thread_id, "correlation": correlation_id, "trace": trace_id}
    given = {kind: value for kind, value in wanted.items() if value}
    if not given:
        raise _mistake("nothing to follow", "give a 'thread_id', a 'correlation_id' or a 'trace_id'")
    found: dict[str, Answer] = {}
    for kind, value in given.items():
        answer = window.ask("search", limit=0, show_raw=True, no_aggregate=True, **{kind: value}, **options)
        found.update((entry["id"], entry) for entry in answer.get("results", []))
    entries = list(found.values())
    if len(given) > 1:
        # Times of different precision do not sort as text.
        entries.sort(key=lambda entry: (_moment(entry.get("timestamp")), entry["id"]))
    spans = sorted({entry["span_id"] for entry in entries if entry.get("span_id")})
    return {
        "entries": [_entry(entry) for entry in entries],
        "total_entries": len(entries),
        "duration_ms": _duration_ms(entries),
        "unique_spans": spans,
    }


def _moment(text: Optional[str]) -> tuple[str, str]:
    """A key that sorts as time does; entries without a time come last."""
    if text is None:
        return ("~", "")
    whole, _, fraction = text.rstrip("Z").partition(".")
    return (whole, fraction.ljust(9, "0"))


def _millis(text: str) -> float:
    whole, _, fraction = text.rstrip("Z").partition(".")
    return _second(whole) * 1000 + (float(f".{fraction}") * 1000 if fraction else 0.0)


@lru_cache(maxsize=4096)
def _second(whole: str) -> int:
    return int(datetime.fromisoformat(whole + "+00:00").timestamp())


def _duration_ms(entries: Sequence[Answer]) -> Optional[int]:
    times = sorted((entry["timestamp"] for entry in entries if entry.get("timestamp")), key=_moment)
    return round(_millis(times[-1]) - _millis(times[0])) if times else None


# --- Hierarchies ----------------------------------------------------------------------------------------------------


class Hierarchy(dict):  # type: ignore[type-arg]
    """A hierarchy that remembers what it was made of, so that it can be asked further."""

    window: Window
    request: Answer
    #: What was asked about it: a window does not change, and neither do its answers.
    answers: dict[str, tuple[bool, str]]

    def ask(self, question: str, **options: Any) -> Any:
        """Asks about this request, once."""
        request = {name: self.request.get(name) for name in ("id", "min_confidence", "method")}
        request.update(options)
        key = json.dumps([question, request])
        if key not in self.answers:
            self.answers[key] = self.window.answer(question, request)
        is_document, text = self.answers[key]
        return json.loads(text) if is_document else text

    @classmethod
    def of(cls, window: Window, request: Answer) -> Hierarchy:
        answer = window.ask("hierarchy", **request)
        made = cls(answer)
        made.window, made.request, made.answers = window, request, {}
        made["roots"] = [_node(root, None) for root in answer.get("roots", [])]
        made["detection_methods"] = [_METHODS.get(name, name) for name in answer.get("detection_methods", [])]
        made["detection_method"] = _METHODS.get(answer.get("detection_method", ""), answer.get("detection_method"))
        made.setdefault("bottleneck", None)
        made.setdefault("error_nodes", [])
        return made


_METHODS = {
    "explicit": "ExplicitParentId",
    "naming": "NamingPattern",
    "temporal": "TemporalInference",
    "mixed": "Mixed",
    "none": "Unknown",
    "unknown": "Unknown",
}


def _node(node: Answer, parent: Optional[str]) -> Answer:
    kind = str(node.get("node_type", ""))
    return {
        **node,
        "node_type": kind[:1].upper() + kind[1:],
        "parent_id": node.get("parent_id", parent),
        "children": [_node(child, node.get("id")) for child in node.get("children", [])],
    }


def _asked(hierarchy: Mapping[str, Any]) -> Hierarchy:
    if isinstance(hierarchy, Hierarchy):
        return hierarchy
    raise _mistake(
        "this hierarchy does not know the logs that it was made of",
        "give what 'follow_thread_hierarchy' or 'build_hierarchy' returned",
    )


def _hierarchy_of(
    window: Window,
    root_identifier: str,
    max_depth: Optional[int],
    use_naming_patterns: bool,
    use_temporal_inference: bool,
    min_confidence: float,
) -> Hierarchy:
    methods = ["explicit"]
    methods += ["naming"] if use_naming_patterns else []
    methods += ["temporal"] if use_temporal_inference else []
    request = {"id": root_identifier, "max_depth": max_depth, "method": methods, "min_confidence": min_confidence or None}
    return Hierarchy.of(window, request)


def follow_thread_hierarchy(
    files: Any,
    root_identifier: str,
    max_depth: Optional[int] = None,
    use_naming_patterns: bool = True,
    use_temporal_inference: bool = True,
    min_confidence: float = 0.0,
    parser_format: Optional[str] = None,
    custom_regex: Optional[str] = None,
) -> Answer:
    """Who called whom in the request with this id of any kind."""
    window = _window(files, parser_format, custom_regex)
    return _hierarchy_of(
        window, root_identifier, max_depth, use_naming_patterns, use_temporal_inference, min_confidence
    )


def build_hierarchy_with_correlation_chains(
    files: Any,
    root_identifier: str,
    include_correlation_chains: bool = True,
    max_depth: Optional[int] = None,
    use_naming_patterns: bool = True,
    use_temporal_inference: bool = True,
    min_confidence: float = 0.0,
) -> Answer:
    """A hierarchy, and the requests that this one started or was started by."""
    hierarchy = _hierarchy_of(
        _window(files), root_identifier, max_depth, use_naming_patterns, use_temporal_inference, min_confidence
    )
    chains = hierarchy.pop("correlation_chains", []) if include_correlation_chains else []
    related = sorted({chain[end] for chain in chains for end in ("parent_correlation_id", "child_correlation_id")})
    hierarchy["correlation_chains"] = chains
    hierarchy["chained_correlation_ids"] = related
    hierarchy["has_correlation_chains"] = bool(chains)
    hierarchy["correlation_chain_count"] = len(chains)
    hierarchy["related_correlation_ids"] = [name for name in related if name != root_identifier]
    return hierarchy


def get_hierarchy_summary(hierarchy: Mapping[str, Any]) -> str:
    """A hierarchy as a drawing."""
    return str(_asked(hierarchy).ask("hierarchy", view="tree"))


class ErrorFlow(dict):  # type: ignore[type-arg]
    """An analysis that remembers what it was made of."""

    hierarchy: Hierarchy


def analyze_error_flow(hierarchy: Mapping[str, Any], include_context: bool = True) -> Answer:
    """Where errors began, and how they spread."""
    asked = _asked(hierarchy)
    answer = asked.ask("error-flow")
    flow = ErrorFlow(answer)
    flow.hierarchy = asked
    nodes = _nodes(hierarchy.get("roots", []))
    kinds = {node["id"]: node["node_type"] for node in nodes}
    errors = {node["id"]: (node.get("error_count", 0), node.get("depth")) for node in nodes}
    flow["root_causes"] = [
        {"node_type": kinds.get(cause.get("node_id")), **cause} for cause in answer.get("root_causes", [])
    ]
    flow["propagation_chains"] = [
        {
            **chain,
            "chain": [
                {
                    "node_id": step.get("node"),
                    "error_count": errors.get(step.get("node"), (1, None))[0],
                    "depth": errors.get(step.get("node"), (1, None))[1],
                }
                for step in chain.get("steps", [])
            ],
        }
        for chain in answer.get("propagation_chains", [])
    ]
    return flow


def _nodes(roots: Sequence[Answer]) -> list[Answer]:
    found, todo = [], list(roots)
    while todo:
        node = todo.pop()
        found.append(node)
        todo.extend(node.get("children", []))
    return found


def format_error_flow(
    error_analysis: Mapping[str, Any], show_chains: bool = True, show_recommendations: bool = True
) -> str:
    """An error flow as text."""
    if isinstance(error_analysis, ErrorFlow) and show_chains and show_recommendations:
        return str(error_analysis.hierarchy.ask("error-flow", output="pretty"))
    if not error_analysis.get("has_errors"):
        return "no errors\n"
    lines = [f"{error_analysis.get('total_error_nodes', 0)} nodes with errors"]
    for cause in error_analysis.get("root_causes", []):
        lines.append(f"began in {cause.get('service') or cause.get('node_id')}: {cause.get('message', '')}".rstrip(": "))
    for chain in error_analysis.get("propagation_chains", []) if show_chains else []:
        lines.append("spread: " + " → ".join(str(step.get("node_id")) for step in chain.get("chain", [])))
    if show_recommendations:
        lines.extend(error_analysis.get("recommendations", []))
    return "\n".join(lines) + "\n"


def analyze_bottlenecks(hierarchy: Mapping[str, Any], threshold_percentage: float = 20.0) -> Answer:
    """Where the time went, by each node's own time, and what could be done about it."""
    answer = _asked(hierarchy).ask("bottleneck", threshold_ms=0, top_n=5)
    advice = answer.get("advice") or {}
    primary = advice.get("primary_bottleneck") or answer.get("hierarchy_bottleneck")
    first = (primary or {}).get("node_id")
    heavy = [node for node in answer.get("bottlenecks", []) if node.get("percentage", 0) >= threshold_percentage]
    return {
        **advice,
        "primary_bottleneck": primary,
        "secondary_bottlenecks": [node for node in heavy if node.get("node_id") != first],
        "optimization_suggestions": [hint.get("text", "") for hint in advice.get("optimization_suggestions", [])],
        "parallelization_opportunities": advice.get("parallelization_opportunities", []),
        "caching_opportunities": advice.get("caching_opportunities", []),
        "estimated_improvement_ms": advice.get("estimated_improvement_ms", 0),
    }


def diff_hierarchies(
    hierarchy_a: Mapping[str, Any],
    hierarchy_b: Mapping[str, Any],
    label_a: str = "Before",
    label_b: str = "After",
) -> Answer:
    """What is different between two hierarchies, node by node of the same id."""
    before = {node["id"]: node for node in _nodes(hierarchy_a.get("roots", []))}
    after = {node["id"]: node for node in _nodes(hierarchy_b.get("roots", []))}
    changes = []
    for name in before.keys() & after.keys():
        old, new = before[name].get("duration_ms"), after[name].get("duration_ms")
        if old is not None and new is not None and abs(new - old) > 10:
            share = (new - old) / old * 100 if old else None
            changes.append({"id": name, "before_ms": old, "after_ms": new, "change_ms": new - old, "change_pct": share})
    changes.sort(key=lambda change: (-abs(change["change_ms"]), change["id"]))
    errors_before, errors_after = set(hierarchy_a.get("error_nodes", [])), set(hierarchy_b.get("error_nodes", []))
    old_ms, new_ms = hierarchy_a.get("total_duration_ms"), hierarchy_b.get("total_duration_ms")
    change_ms = None if old_ms is None or new_ms is None else new_ms - old_ms
    appeared, resolved = sorted(errors_after - errors_before), sorted(errors_before - errors_after)
    only = lambda one, other: [  # noqa: E731
        {"id": name, "duration_ms": one[name].get("duration_ms")} for name in sorted(one.keys() - other.keys())
    ]
    return {
        "label_a": label_a,
        "label_b": label_b,
        "summary": {
            "total_duration_change_ms": change_ms,
            "total_duration_change_pct": change_ms / old_ms * 100 if change_ms is not None and old_ms else None,
            "node_count_change": hierarchy_b.get("total_nodes", 0) - hierarchy_a.get("total_nodes", 0),
            "new_errors": len(appeared),
            "resolved_errors": len(resolved),
        },
        "improved_nodes": [change for change in changes if change["change_ms"] < 0],
        "degraded_nodes": [change for change in changes if change["change_ms"] > 0],
        "new_nodes": only(after, before),
        "removed_nodes": only(before, after),
        "error_changes": {"new_errors": appeared, "resolved_errors": resolved},
    }


def format_hierarchy_diff(diff: Mapping[str, Any]) -> str:
    """A difference of hierarchies as text."""
    summary = diff["summary"]
    lines = [f"{diff['label_a']} → {diff['label_b']}"]
    if summary["total_duration_change_ms"] is not None:
        lines.append(f"  duration {summary['total_duration_change_ms']:+} ms")
    lines.append(f"  nodes {summary['node_count_change']:+}")
    for name, sign in (("degraded_nodes", "slower"), ("improved_nodes", "faster")):
        for change in diff[name]:
            lines.append(f"  {sign}: {change['id']} {change['before_ms']} ms → {change['after_ms']} ms")
    for name, sign in (("new_nodes", "new"), ("removed_nodes", "gone")):
        lines.extend(f"  {sign}: {node['id']}" for node in diff[name])
    for name, sign in (("new_errors", "fails now"), ("resolved_errors", "fails no more")):
        lines.extend(f"  {sign}: {node}" for node in diff["error_changes"][name])
    return "\n".join(lines) + "\n"


def detect_correlation_chains(
    files: Any,
    root_correlation_id: Optional[str] = None,
    chain_patterns: Optional[Sequence[str]] = None,
    parser_format: Optional[str] = None,
) -> Answer:
    """Requests that started others, as entries say it in fields such as ``parent_request_id`` or in their texts.

    ``chain_patterns`` are regexes with one group, the other request's id; one whose text contains ``parent`` names the
    parent, any other a child.
    """
    window = _window(files, parser_format)
    chains = window._chains(root_correlation_id) if not chain_patterns else _by_patterns(window, chain_patterns)
    ids = window.ask("ids", type=["correlation"], limit=0)
    known = {found["id"] for found in ids.get("correlation_ids", [])}
    if root_correlation_id is not None and chain_patterns:
        chains = _below(chains, root_correlation_id)
    tree: dict[str, list[str]] = {}
    for chain in chains:
        tree.setdefault(chain["parent_correlation_id"], []).append(chain["child_correlation_id"])
    children = {chain["child_correlation_id"] for chain in chains}
    named = known | set(tree) | children
    roots = [root_correlation_id] if root_correlation_id is not None else sorted(named - children)
    return {
        "chains": chains,
        "root_ids": roots,
        "hierarchy": tree,
        "total_chains": len(chains),
        "total_correlation_ids": len(named),
    }


def _by_patterns(window: Window, patterns: Sequence[str]) -> list[Answer]:
    import re

    chains: dict[tuple[str, str], Answer] = {}
    for pattern in patterns:
        compiled = re.compile(pattern)
        answer = window.ask("search", query=pattern, limit=0, no_aggregate=True)
        for entry in answer.get("results", []):
            own, found = entry.get("correlation_id"), compiled.search(entry.get("message", ""))
            if own is None or found is None or not found.groups() or found.group(1) in (None, own):
                continue
            other = found.group(1)
            parent, child = (other, own) if "parent" in pattern else (own, other)
            chains.setdefault(
                (parent, child),
                {
                    "parent_correlation_id": parent,
                    "child_correlation_id": child,
                    "evidence": found.group(0),
                    "timestamp": entry.get("timestamp"),
                    "confidence": 0.85,
                },
            )
    return [chains[link] for link in sorted(chains)]


def _below(chains: Sequence[Answer], root: str) -> list[Answer]:
    below, grown = {root}, True
    while grown:
        more = {chain["child_correlation_id"] for chain in chains if chain["parent_correlation_id"] in below}
        grown = not more <= below
        below |= more
    return [chain for chain in chains if chain["parent_correlation_id"] in below]


def export_to_jaeger(hierarchy: Mapping[str, Any], service_name: str = "logbraid") -> Answer:
    """A hierarchy as Jaeger imports it. Services are those of the entries; ``service_name`` stands where none is known."""
    document = json.loads(_exported(_asked(hierarchy), "jaeger"))
    for trace in document.get("data", []):
        for process in trace.get("processes", {}).values():
            process["serviceName"] = _service(process.get("serviceName"), service_name)
    return document


def export_to_zipkin(hierarchy: Mapping[str, Any], service_name: str = "logbraid") -> list[Answer]:
    """A hierarchy as Zipkin imports it."""
    spans = json.loads(_exported(_asked(hierarchy), "zipkin"))
    for span in spans:
        endpoint = span.setdefault("localEndpoint", {})
        endpoint["serviceName"] = _service(endpoint.get("serviceName"), service_name)
    return spans


def _exported(hierarchy: Hierarchy, form: str) -> str:
    answer = hierarchy.ask("export", **{"as": form})
    return answer if isinstance(answer, str) else json.dumps(answer)


def _service(known: Optional[str], otherwise: str) -> str:
    return known if known and known != "unknown" else otherwise


# --- Across requests, services, times -------------------------------------------------------------------------------


def cross_service_timeline(
    files: Mapping[str, Any],
    time_window: Optional[tuple[str, str]] = None,
    correlation_id: Optional[str] = None,
    trace_id: Optional[str] = None,
    limit: Optional[int] = None,
    parser_format: Optional[str] = None,
    custom_regex: Optional[str] = None,
) -> Answer:
    """What several services logged, in the order of time. The mapping's keys are the services."""
    window = _window(files, parser_format, custom_regex)
    after, before = time_window if time_window is not None else (None, None)
    options: Answer = {"after": after, "before": before}
    if correlation_id is not None:
        options["correlation"] = correlation_id
    elif trace_id is not None:
        options["trace"] = trace_id
    answer = window.ask("search", show_raw=True, no_aggregate=True, limit=limit or 0, **options)
    labels = list(files) if isinstance(files, Mapping) else []
    entries = answer.get("results", [])
    began = next((_millis(entry["timestamp"]) for entry in entries if entry.get("timestamp")), 0.0)
    timeline, breakdown = [], dict.fromkeys(labels, 0)
    for entry in entries:
        moment, service = entry.get("timestamp"), entry.get("service")
        breakdown[service] = breakdown.get(service, 0) + 1
        relative = None if moment is None else round(_millis(moment) - began)
        timeline.append(
            {"service": service, "timestamp": moment, "entry": _entry(entry), "relative_time_ms": relative}
        )
    return {
        "timeline": timeline,
        "services": labels or sorted(filter(None, breakdown)),
        "total_entries": len(timeline),
        "total_matches": _total(answer),
        "duration_ms": _duration_ms(entries) if len(entries) > 1 else None,
        "service_breakdown": breakdown,
    }


def compare_threads(
    files: Any,
    thread_a: Optional[str] = None,
    thread_b: Optional[str] = None,
    correlation_a: Optional[str] = None,
    correlation_b: Optional[str] = None,
    trace_a: Optional[str] = None,
    trace_b: Optional[str] = None,
) -> Answer:
    """What is different between two threads, requests or traces."""
    window = _window(files)
    sides = []
    for thread, correlation, trace in ((thread_a, correlation_a, trace_a), (thread_b, correlation_b, trace_b)):
        followed = _follow(window, thread, correlation, trace)
        sides.append(_side(thread or correlation or trace, followed))
    a, b = sides
    levels = sorted({*a["log_levels"], *b["log_levels"]})
    change = {level: b["log_levels"].get(level, 0) - a["log_levels"].get(level, 0) for level in levels}
    known = a["duration_ms"] is not None and b["duration_ms"] is not None
    differences = {
        "duration_diff_ms": b["duration_ms"] - a["duration_ms"] if known else None,
        "error_diff": b["error_count"] - a["error_count"],
        "only_in_a": _only(a["messages"], b["messages"]),
        "only_in_b": _only(b["messages"], a["messages"]),
        "level_changes": {level: count for level, count in change.items() if count},
        "entry_count_diff": b["entry_count"] - a["entry_count"],
    }
    told = []
    if known and differences["duration_diff_ms"]:
        by = differences["duration_diff_ms"]
        told.append(f"B took {abs(by)} ms {'more' if by > 0 else 'less'}")
    if differences["error_diff"]:
        told.append(f"B has {abs(differences['error_diff'])} errors {'more' if differences['error_diff'] > 0 else 'less'}")
    return {"thread_a": a, "thread_b": b, "differences": differences, "summary": "; ".join(told) or "no difference"}


def _only(one: Sequence[str], other: Sequence[str]) -> list[str]:
    known = set(other)
    return [message for message in dict.fromkeys(one) if message not in known][:10]


def _side(name: Optional[str], followed: Answer) -> Answer:
    entries = followed["entries"]
    levels: dict[str, int] = {}
    for entry in entries:
        level = entry["level"] or "UNKNOWN"
        levels[level] = levels.get(level, 0) + 1
    messages = [entry["message"] for entry in entries]
    return {
        "id": name,
        "entries": entries,
        "entry_count": len(entries),
        "duration_ms": followed["duration_ms"],
        "error_count": levels.get("ERROR", 0) + levels.get("FATAL", 0),
        "log_levels": levels,
        "unique_messages": len(set(messages)),
        "messages": messages,
        "services": sorted({entry["service_name"] for entry in entries if entry["service_name"]}),
    }


def compare_time_periods(
    files: Any, period_a_start: str, period_a_end: str, period_b_start: str, period_b_end: str
) -> Answer:
    """What is different between two stretches of time. An entry at a shared boundary belongs to the later one."""
    answer = _window(files).ask(
        "diff",
        before_start=period_a_start,
        before_end=period_a_end,
        after_start=period_b_start,
        after_end=period_b_end,
    )
    periods = {}
    for name, side in (("period_a", "before"), ("period_b", "after")):
        found = answer["comparison"][side]
        periods[name] = {
            **found,
            "total_logs": found.get("total", 0),
            "log_levels": found.get("by_level", {}),
            "top_errors": [error.get("example") or error["pattern"] for error in found.get("top_errors", [])],
            "unique_threads": found.get("unique_threads", 0),
        }
    a, b = periods["period_a"], periods["period_b"]
    changes = dict(answer.get("changes", {}))
    texts = lambda kinds: [kind.get("example") or kind.get("pattern") for kind in kinds]  # noqa: E731
    rate_a, rate_b = a.get("error_rate", 0.0), b.get("error_rate", 0.0)
    volume = (b["total_logs"] - a["total_logs"]) / a["total_logs"] * 100 if a["total_logs"] else None
    changes.update(
        log_volume_change_pct=volume,
        error_rate_multiplier=rate_b / rate_a if rate_a else None,
        error_count_change=b.get("error_count", 0) - a.get("error_count", 0),
        new_errors=texts(changes.get("new_errors", [])),
        resolved_errors=texts(changes.get("resolved_errors", changes.get("gone_errors", []))),
        thread_count_change=b["unique_threads"] - a["unique_threads"],
    )
    return {**periods, "changes": changes, "summary": answer.get("summary", "")}


# --- Overviews ------------------------------------------------------------------------------------------------------


def smart_sample(
    files: Any, level: Optional[str] = None, strategy: str = "representative", sample_size: int = 50
) -> Answer:
    """Some entries that stand for all: representative, diverse, chronological, errors_focused, random, head, tail, edges."""
    window = _window(files)
    answer = window.ask("sample", level=_words(level), strategy=strategy, size=sample_size)
    sample, entries = answer["sample"], [_entry(entry) for entry in answer.get("entries", [])]
    levels: dict[str, int] = dict(sample.get("by_level", {}))
    threads = {entry["thread_id"] for entry in entries if entry["thread_id"]}
    return {
        "samples": entries,
        "total_population": answer["population"]["total_entries"],
        "sample_size": len(entries),
        "strategy": sample.get("strategy", strategy),
        "coverage": {
            **sample.get("coverage", {}),
            "time_coverage": sample.get("coverage", {}).get("time"),
            "level_coverage": levels,
            "unique_threads_in_sample": len(threads),
            "thread_coverage_pct": sample.get("coverage", {}).get("threads"),
        },
    }


def find_patterns(
    files: Any, min_occurrences: int = 3, parser_format: Optional[str] = None, custom_regex: Optional[str] = None
) -> Answer:
    """Errors that come again and again."""
    return _window(files, parser_format, custom_regex).ask("patterns", min_occurrences=min_occurrences, limit=0)


def mine_log_templates(
    files: Any,
    max_clusters: int = 200,
    sim_threshold: float = 0.5,
    parser_format: Optional[str] = None,
    custom_regex: Optional[str] = None,
) -> Answer:
    """Kinds of messages. ``sim_threshold`` is not needed: templates are found without settings."""
    window = _window(files, parser_format, custom_regex)
    answer = window.ask("templates", max_clusters=max_clusters)
    return {**answer, "files_searched": len(window.ask("detect", sample=1)["files"])}


def extract_ids(files: Any, time_start: Optional[str] = None, time_end: Optional[str] = None) -> Answer:
    """All ids, and how often and when each was seen."""
    return _window(files).ask("ids", limit=0, after=time_start, before=time_end)


def extract_metrics(
    files: Any,
    fields: Optional[Sequence[str]] = None,
    bucket_size: Optional[str] = None,
    anomaly_threshold: float = 2.0,
    query: Optional[str] = None,
    level: Optional[str] = None,
    time_start: Optional[str] = None,
    time_end: Optional[str] = None,
    parser_format: Optional[str] = None,
    custom_regex: Optional[str] = None,
) -> Answer:
    """Numbers in fields and messages, their distribution, and the values that stand out."""
    # Every question takes `fields`; here it is the question's own.
    return _window(files, parser_format, custom_regex).ask(
        "metrics",
        fields=list(fields) if fields else None,
        bucket=bucket_size,
        anomaly_threshold=anomaly_threshold,
        query=query or None,
        ignore_case=True if query else None,
        level=_words(level),
        after=time_start,
        before=time_end,
    )


def detect_formats(files: Any, sample_size: int = 50) -> Answer:
    """The format of each file, and how sure that is."""
    return _window(files).ask("detect", sample=sample_size)


_METADATA = """SELECT input AS path, count(*) AS lines, min(timestamp) AS start, max(timestamp) AS "end",
    count(DISTINCT thread_id) AS unique_threads, count(DISTINCT correlation_id) AS unique_correlation_ids
    FROM logs GROUP BY input ORDER BY input"""
_LEVELS = "SELECT input AS path, coalesce(level, 'UNKNOWN') AS level, count(*) AS entries FROM logs GROUP BY 1, 2"


def get_metadata(files: Any) -> list[Answer]:
    """What is in each file: its size, format, range of time, ids and levels."""
    window = _window(files)
    formats = window.ask("detect")["files"]
    levels: dict[str, dict[str, int]] = {}
    for row in window.ask("sql", query=_LEVELS, limit=0)["results"]:
        levels.setdefault(row["path"], {})[row["level"]] = row["entries"]
    found = []
    for row in window.ask("sql", query=_METADATA, limit=0)["results"]:
        path = row["path"]
        detected = formats.get(path, {})
        found.append(
            {
                "path": path,
                "size_bytes": os.path.getsize(path) if os.path.exists(path) else None,
                "lines": row["lines"],
                "format": detected.get("format"),
                "time_range": {"start": row["start"], "end": row["end"]} if row["start"] else None,
                "available_fields": detected.get("detected_fields", []),
                "unique_threads": row["unique_threads"],
                "unique_correlation_ids": row["unique_correlation_ids"],
                "log_levels": levels.get(path, {}),
            }
        )
    return found


# --- Databases ------------------------------------------------------------------------------------------------------

from ._database import DbTableMapping, database  # noqa: E402


def search_db(
    db_path: str,
    mappings: Optional[Sequence[DbTableMapping]] = None,
    query: Optional[str] = None,
    level: Optional[str] = None,
    correlation_id: Optional[str] = None,
    limit: Optional[int] = None,
) -> Answer:
    """Searches the tables of an SQLite database that look like logs, or those that ``mappings`` name."""
    with database(db_path, mappings) as window:
        return search(window, query=query, level=level, correlation_id=correlation_id, limit=limit, context_lines=0)


from ._session import InvestigationSession, Investigator  # noqa: E402
