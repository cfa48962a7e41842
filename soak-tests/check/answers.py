#!/usr/bin/env python3
"""Asks the built binary questions about generated logs, and compares each answer with a count made here.

    cargo build --release -p logbraid -p logbraid-soak
    python3 soak-tests/check/answers.py                      # 20 000 entries of each kind
    python3 soak-tests/check/answers.py --entries 1000000    # the article's largest

Nothing of logbraid is used to count: lines are read with `json`, words are masked with `re`. With `--batch-tool PATH` the
batch tool whose options the questions carry (release 1.3.2) is asked as well, where it is right, and timed beside.
Needs Python 3.9 and nothing else. Exit status 0 when every answer is right.
"""

import argparse
import bisect
import collections
import datetime
import json
import math
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
ERRORS = ("ERROR", "FATAL")


class Check:
    """Runs programs, compares what they say, keeps the times."""

    def __init__(self, binary, verbose):
        self.binary, self.verbose = binary, verbose
        self.compared = self.wrong = 0
        self.seconds = []

    def ask(self, *words, program=None):
        begin = time.perf_counter()
        command = [str(program or self.binary), *map(str, words)]
        if program is None:
            command += ["--output", "json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        took = time.perf_counter() - begin
        self.seconds.append((pathlib.Path(command[0]).name + " " + " ".join(map(str, words[:2])), took))
        if done.returncode not in (0, 1):
            raise SystemExit(f"{' '.join(command)}\nexit status {done.returncode}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout), took

    def equal(self, what, found, expected):
        self.compared += 1
        if isinstance(expected, float) or isinstance(found, float):
            same = found is not None and math.isclose(found, expected, rel_tol=1e-6, abs_tol=2e-6)
        else:
            same = found == expected
        if not same:
            self.wrong += 1
            print(f"WRONG {what}\n  answer   {str(found)[:600]}\n  expected {str(expected)[:600]}")
        elif self.verbose:
            print(f"ok    {what}")


def moment(text):
    """Nanoseconds since 1970, exactly."""
    text = text.rstrip("Z")
    whole, _, fraction = text.partition(".")
    seconds = int(datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc).timestamp())
    return seconds * 10**9 + int(fraction.ljust(9, "0") or 0)


def read(path):
    """The entries of a file of JSON lines, in the order of time; entries of one time in the order of the file."""
    entries = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        entry = json.loads(line)
        entry["line"], entry["ns"] = number, moment(entry["timestamp"])
        entries.append(entry)
    entries.sort(key=lambda entry: (entry["ns"], entry["line"]))
    return entries


def mask(message):
    """What varies is `<*>`: quoted text, words with digits, paths, long hexadecimal words; a key before `=` stays."""
    out, rest = "", message.split("\n")[0]
    while rest:
        blank = re.match(r"\s*", rest).group()
        out, rest = out + blank, rest[len(blank):]
        quoted = re.match(r"(['\"`]).*?\1", rest)
        if quoted:
            out, rest = out + "<*>", rest[quoted.end():]
            continue
        word = re.match(r"\S*", rest).group()
        rest = rest[len(word):]
        head = re.match(r"[^=(\[{<]*[=(\[{<]", word)
        head = head.group() if head else ""
        value = word[len(head):]
        inner = value.rstrip(",;:.)]}>!?")
        varies = (
            re.search(r"[0-9]", inner)
            or len(inner) > 1 and (inner.startswith("/") or "://" in inner)
            or re.fullmatch(r"[0-9a-fA-F-]{8,}", inner)
        )
        out += head + ("<*>" if varies else inner) + value[len(inner):]
    return out


def count(values):
    return dict(collections.Counter(values))


def percentile(values, share):
    values, rank = sorted(values), share * (len(values) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (rank - low)


def severity(errors, total):
    for limit, name in ((20, "critical"), (10, "high"), (5, "medium"), (1, "low")):
        if errors * 100 > total * limit:
            return name
    return "healthy"


def text(ns):
    """RFC 3339 with 0, 3, 6 or 9 places."""
    seconds, rest = divmod(ns, 10**9)
    begin = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    if rest == 0:
        return begin + "Z"
    places = 3 if rest % 10**6 == 0 else 6 if rest % 10**3 == 0 else 9
    return f"{begin}.{rest // 10 ** (9 - places):0{places}}Z"


def triage(check, path, entries):
    found, _ = check.ask("triage", path, "--top", 0)
    errors = [entry for entry in entries if entry["level"] in ERRORS]
    check.equal("triage: total", found["metrics"]["total_entries"], len(entries))
    check.equal("triage: errors", found["metrics"]["error_count"], len(errors))
    check.equal("triage: rate", found["metrics"]["error_rate"], round(len(errors) / len(entries), 4))
    check.equal("triage: levels", found["metrics"]["log_levels"], count(entry["level"] for entry in entries))
    check.equal("triage: severity", found["assessment"]["severity"], severity(len(errors), len(entries)))
    kinds = count(mask(entry["message"]) for entry in errors)
    check.equal("triage: issues", {i["pattern"]: i["count"] for i in found["top_issues"]}, kinds)
    for part in found["recent"]:
        since = moment(part["since"])
        recent = [entry for entry in entries if entry["ns"] >= since]
        check.equal(f"triage: last {part['last']}", part["entries"], len(recent))
        check.equal(f"triage: errors of the last {part['last']}", part["errors"],
                    sum(entry["level"] in ERRORS for entry in recent))


def summarize(check, path, entries):
    found, _ = check.ask("summarize", path, "--top", 0, "--limit", 7)
    stats = found["stats"]
    errors = [entry for entry in entries if entry["level"] in ERRORS]
    check.equal("summarize: levels", stats["by_level"], count(entry["level"] for entry in entries))
    check.equal("summarize: requests", stats["unique_correlation_ids"], len({e["correlation_id"] for e in entries}))
    check.equal("summarize: traces", stats["unique_trace_ids"], len({e["trace_id"] for e in entries}))
    check.equal("summarize: threads", stats["unique_threads"], len({e["thread_id"] for e in entries}))
    check.equal("summarize: range", stats["time_range"],
                {"start": text(entries[0]["ns"]), "end": text(entries[-1]["ns"])})
    check.equal("summarize: first errors", [e["source"]["line"] for e in found["errors"]],
                [entry["line"] for entry in errors[:7]])
    messages = count(entry["message"] for entry in errors)
    if len(messages) <= 1 << 14:
        check.equal("summarize: messages", found["unique_error_messages"]["values"], messages)


def templates(check, path, entries):
    found, _ = check.ask("templates", path, "--max-clusters", 0)
    kinds = collections.defaultdict(list)
    for entry in entries:
        kinds[mask(entry["message"])].append(entry)
    check.equal("templates: counts", {t["template"]: t["count"] for t in found["templates"]},
                {pattern: len(of) for pattern, of in kinds.items()})
    check.equal("templates: coverage", found["coverage"], 1.0)
    for template in found["templates"]:
        of = kinds.get(template["template"], [])
        if of:
            check.equal("templates: levels", template["levels"], count(entry["level"] for entry in of))
            check.equal("templates: first and last", (template["first_seen"], template["last_seen"]),
                        (text(of[0]["ns"]), text(of[-1]["ns"])))


def patterns(check, path, entries):
    found, _ = check.ask("patterns", path, "--limit", 0, "--min-occurrences", 3)
    kinds = count(mask(entry["message"]) for entry in entries if entry["level"] in ERRORS)
    check.equal("patterns: counts", {p["pattern"]: p["occurrences"] for p in found["patterns"]},
                {pattern: n for pattern, n in kinds.items() if n >= 3})


def metrics(check, path, entries):
    found, _ = check.ask("metrics", path, "--bucket", "1h")
    for name in ("duration_ms", "status_code"):
        values = [e["fields"][name] for e in entries if name in e["fields"]]
        series = found["fields"].get(f"fields.{name}", {})
        check.equal(f"metrics: {name} count", series.get("count"), len(values))
        stats = series.get("stats", {})
        for key, expected in (
            ("min", min(values)), ("max", max(values)), ("mean", statistics.fmean(values)),
            ("stddev", statistics.pstdev(values)), ("median", percentile(values, 0.5)),
            ("p90", percentile(values, 0.9)), ("p95", percentile(values, 0.95)), ("p99", percentile(values, 0.99)),
        ):
            slack = stats.get("percentile_error", 0.0)
            value = stats.get(key)
            if slack and key[0] in "mp" and key not in ("min", "max", "mean") and value:
                value = expected if abs(value - expected) <= slack * abs(expected) else value
            check.equal(f"metrics: {name} {key}", value, float(expected))
    hour = 3600 * 10**9
    buckets = collections.Counter(entry["ns"] // hour * hour for entry in entries)
    check.equal("metrics: buckets", [(moment(b["start"]), b["count"]) for b in
                                     found["fields"]["fields.duration_ms"]["buckets"]], sorted(buckets.items()))


def diff(check, path, entries):
    begin, end = entries[0]["ns"], entries[-1]["ns"]
    middle = entries[len(entries) // 2]["ns"]
    found, _ = check.ask("diff", path, "--before-start", text(begin), "--before-end", text(middle),
                         "--after-end", text(end), "--top", 0)
    periods = ([e for e in entries if e["ns"] < middle], [e for e in entries if middle <= e["ns"] < end])
    for name, period in zip(("before", "after"), periods):
        side = found["comparison"][name]
        check.equal(f"diff: {name} levels", side["by_level"], count(entry["level"] for entry in period))
        check.equal(f"diff: {name} threads", side["unique_threads"], len({entry["thread_id"] for entry in period}))
        kinds = count(mask(entry["message"]) for entry in period if entry["level"] in ERRORS)
        check.equal(f"diff: {name} errors", {k["pattern"]: k["count"] for k in side["top_errors"]}, kinds)


def sample(check, path, entries):
    by_line = {entry["line"]: entry for entry in entries}
    for strategy in ("random", "representative", "diverse", "chronological", "errors_focused", "head", "tail", "edges"):
        found, _ = check.ask("sample", path, "--strategy", strategy, "--size", 50)
        check.equal(f"sample {strategy}: population", found["population"]["by_level"],
                    count(entry["level"] for entry in entries))
        shown = [(e["source"]["line"], e["timestamp"], e["level"], e["message"]) for e in found["entries"]]
        real = [by_line[line] for line, *_ in shown]
        check.equal(f"sample {strategy}: entries are those of the file", shown,
                    [(e["line"], text(e["ns"]), e["level"], e["message"]) for e in real])
        check.equal(f"sample {strategy}: none twice", len({line for line, *_ in shown}), len(shown))
        span = (real[-1]["ns"] - real[0]["ns"]) / (entries[-1]["ns"] - entries[0]["ns"])
        check.equal(f"sample {strategy}: coverage of time", found["sample"]["coverage"]["time"], round(span, 4))
        kinds = len({mask(e["message"]) for e in real}) / len({mask(e["message"]) for e in entries})
        check.equal(f"sample {strategy}: coverage of templates", found["sample"]["coverage"]["templates"],
                    round(kinds, 4))
        if strategy == "head":
            check.equal("sample head", [e["line"] for e in real], [e["line"] for e in entries[:50]])
        if strategy == "tail":
            check.equal("sample tail", [e["line"] for e in real], [e["line"] for e in entries[-50:]])
        if strategy in ("chronological", "edges"):
            check.equal(f"sample {strategy}: from the first to the last", span, 1.0)


def around(times, moments, window):
    """Entries within `window` of each moment, and those within it of any."""
    sizes, covered, total = [], 0, 0
    for at in moments:
        low, high = bisect.bisect_left(times, at - window), bisect.bisect_right(times, at + window)
        sizes.append(high - low)
        if high - low > 1:
            total += high - max(low, covered)
            covered = high
    return [size for size in sizes if size > 1], total


def correlate_events(check, path, entries):
    times = [entry["ns"] for entry in entries]
    errors = [entry["ns"] for entry in entries if entry["level"] in ERRORS]
    window = 20 * 10**6
    found, _ = check.ask("correlate-events", path, "--trigger-level", "ERROR+", "--window", "20ms", "--limit", 200)
    anchors = []
    for at in errors:
        if not anchors or at - anchors[-1] > window:
            anchors.append(at)
    sizes, total = around(times, anchors, window)
    check.equal("correlate-events: events", found["total_events"], len(errors))
    check.equal("correlate-events: clusters", found["total_clusters"], len(sizes))
    check.equal("correlate-events: entries", found["total_entries_correlated"], total)
    check.equal("correlate-events: sizes", [c["entry_count"] for c in found["clusters"]], sizes[:200])
    slow = [entry["ns"] for entry in entries if entry["fields"]["duration_ms"] > 490]
    found, _ = check.ask("correlate-events", path, "--trigger-field", "fields.duration_ms", "--trigger-condition",
                         ">490", "--window", "20ms", "--every-event", "--limit", 1)
    sizes, total = around(times, slow, window)
    check.equal("correlate-events: slow ones", (found["total_events"], found["total_clusters"]), (len(slow), len(sizes)))
    check.equal("correlate-events: entries near slow ones", found["total_entries_correlated"], total)


def correlation(check, path, entries, folder):
    rules = folder / "rules.yaml"
    rules.write_text(
        "correlations:\n"
        "  threads:\n"
        "    rules:\n"
        "      - {type: field_match, source: {field: thread_id}, target: {file_pattern: '*.jsonl', field: trace_id}}\n"
        "      - {type: field_match, source: {field: correlation_id}, target: {field: correlation_id}}\n"
        "      - {type: temporal, anchor: {level: FATAL+, pattern: .}, window: 20ms}\n"
        "      - {type: temporal, anchor: {level: ERROR, pattern: '^Circuit'}, window: 20ms}\n"
    )
    found, _ = check.ask("correlation", "run", path, "--rules", rules, "--limit", 3, "--entries", 2)
    requests = count(entry["correlation_id"] for entry in entries)
    shared = {name: size for name, size in requests.items() if size > 1}
    times = [entry["ns"] for entry in entries]
    moments = [[entry["ns"] for entry in entries if entry["level"] == "FATAL"],
               [entry["ns"] for entry in entries if entry["level"] == "ERROR" and entry["message"].startswith("Circuit")]]
    near = [around(times, these, 20 * 10**6) for these in moments]
    check.equal("correlation run: clusters", found["total_clusters"],
                len(shared) + sum(len(sizes) for sizes, _ in near))
    check.equal("correlation run: entries", found["total_entries_correlated"],
                sum(shared.values()) + sum(total for _, total in near))
    for cluster in found["clusters"]:
        if "shared_value" in cluster:
            check.equal("correlation run: a shared value", cluster["entry_count"], shared[cluster["shared_value"]])


def verify_pattern(check, path, entries):
    pattern = r"^(GET|PUT|POST|DELETE|PATCH) (\S+) (?P<status>\d+) (?P<ms>\d+)ms$"
    found, _ = check.ask("verify-pattern", path, "--pattern", pattern.replace("?P<", "?<"), "--extract-groups",
                         "--top", 0)
    matches = [(entry, match) for entry in entries if (match := re.search(pattern, entry["message"]))]
    check.equal("verify-pattern: matches", found["statistics"]["total_matches"], len(matches))
    check.equal("verify-pattern: first and last",
                (found["statistics"]["first_match"], found["statistics"]["last_match"]),
                (text(matches[0][0]["ns"]), text(matches[-1][0]["ns"])))
    groups = found["extracted_groups"]
    check.equal("verify-pattern: verbs", groups["group_1"]["values"], count(m.group(1) for _, m in matches))
    check.equal("verify-pattern: statuses", groups["status"]["values"], count(m.group("status") for _, m in matches))
    times = [int(m.group("ms")) for _, m in matches]
    check.equal("verify-pattern: mean", groups["ms"]["mean"], round(statistics.fmean(times), 6))
    check.equal("verify-pattern: threads", found["distribution"]["by_thread"]["values"],
                count(entry["thread_id"] for entry, _ in matches))


def basics(check, path, entries):
    for level in ("ERROR", "WARN"):
        found, _ = check.ask("search", path, "--level", level, "--limit", 10)
        these = [entry["line"] for entry in entries if entry["level"] == level]
        check.equal(f"search {level}: total", found["summary"]["total_matches"], len(these))
        check.equal(f"search {level}: first", [e["source"]["line"] for e in found["results"]], these[:10])
    found, _ = check.ask("search", path, "--query", r"timeout|refused", "-i", "--limit", 1)
    check.equal("search --query", found["summary"]["total_matches"],
                sum(bool(re.search(r"timeout|refused", entry["message"], re.I)) for entry in entries))
    request = entries[len(entries) // 2]["correlation_id"]
    found, _ = check.ask("search", path, "--correlation", request, "--limit", 1)
    check.equal("search --correlation", found["summary"]["total_matches"],
                sum(entry["correlation_id"] == request for entry in entries))
    found, _ = check.ask("ids", path, "--limit", 0)
    for key, name in (("thread_ids", "thread_id"), ("correlation_ids", "correlation_id"), ("trace_ids", "trace_id")):
        check.equal(f"ids: {key}", {i["id"]: i["count"] for i in found[key]}, count(e[name] for e in entries))
    found, _ = check.ask("sql", "SELECT level, count(*) AS n FROM logs GROUP BY level", path)
    check.equal("sql: by level", {row["level"]: row["n"] for row in found["results"]},
                count(entry["level"] for entry in entries))


def batch(check, program, path, entries):
    """What the batch tool says where it is right: totals without its caps."""
    errors = sum(entry["level"] in ERRORS for entry in entries)
    ours, mine = check.ask("search", path, "--level", "ERROR", "--limit", 1)
    theirs, took = check.ask("llm", "search", path, "--level", "ERROR", "--limit", 1, program=program)
    check.equal("batch tool: errors", theirs["summary"]["total_matches"], errors)
    check.equal("batch tool and logbraid: errors", theirs["summary"]["total_matches"], ours["summary"]["total_matches"])
    print(f"  search --level ERROR: {took:.2f} s, logbraid {mine:.2f} s")
    ours, mine = check.ask("ids", path, "--limit", 0)
    theirs, took = check.ask("llm", "ids", path, program=program)
    check.equal("batch tool and logbraid: threads", {i["id"]: i["count"] for i in theirs["thread_ids"]},
                {i["id"]: i["count"] for i in ours["thread_ids"]})
    print(f"  ids: {took:.2f} s, logbraid {mine:.2f} s")
    ours, mine = check.ask("summarize", path)
    theirs, took = check.ask("llm", "summarize", path, program=program)
    check.equal("batch tool and logbraid: levels", theirs["stats"]["by_level"], ours["stats"]["by_level"])
    print(f"  summarize: {took:.2f} s, logbraid {mine:.2f} s")
    ours, mine = check.ask("verify-pattern", path, "--pattern", r"(\d+)ms", "--extract-groups")
    theirs, took = check.ask("llm", "verify-pattern", path, "--pattern", r"(\d+)ms", "--extract-groups",
                             program=program)
    check.equal("batch tool and logbraid: matches", theirs["statistics"]["total_matches"],
                ours["statistics"]["total_matches"])
    print(f"  verify-pattern: {took:.2f} s, logbraid {mine:.2f} s")
    for name, options in (
        ("triage", []), ("metrics", []), ("templates", []), ("sample", ["--strategy", "diverse", "--size", 50]),
        ("correlate-events", ["--trigger-level", "FATAL" if not errors else "ERROR", "--window", "20ms", "--limit", 100]),
    ):
        files = ["-f", path] if name == "correlate-events" else [path]
        _, mine = check.ask(name, path, *options)
        _, took = check.ask("llm", name, *files, *options, program=program)
        print(f"  {name}: {took:.2f} s, logbraid {mine:.2f} s (the batch tool's answer is not comparable)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--logbraid", type=pathlib.Path, default=ROOT / "target/release/logbraid")
    parser.add_argument("--soak", type=pathlib.Path, default=ROOT / "target/release/logbraid-soak")
    parser.add_argument("--batch-tool", type=pathlib.Path, help="the batch tool's program, to compare with")
    parser.add_argument("--only", help="questions whose names contain this")
    parser.add_argument("-v", "--verbose", action="store_true", help="show answers that are right, and times")
    options = parser.parse_args()
    for program in (options.logbraid, options.soak):
        if not program.exists():
            parser.error(f"{program} is missing: cargo build --release -p logbraid -p logbraid-soak")
    check = Check(options.logbraid.resolve(), options.verbose)
    questions = [basics, triage, summarize, templates, patterns, metrics, diff, sample, correlate_events, correlation,
                 verify_pattern]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for kind, order in (("plain", "stream"), ("plain", "article"), ("spans", "stream")):
            path = folder / f"{kind}-{order}.jsonl"
            subprocess.run([options.soak, "generate", "--kind", kind, "--order", order, "--request-entries", "50",
                            "--entries", str(options.entries), "--seed", str(options.seed), "--out", path], check=True)
            entries = read(path)
            print(f"{kind}, {order}: {len(entries)} entries")
            for question in questions:
                if options.only and options.only.replace("-", "_") not in question.__name__:
                    continue
                question(*([check, path, entries] + ([folder] if question is correlation else [])))
            if options.batch_tool and kind == "plain" and order == "stream":
                batch(check, options.batch_tool, path, entries)
            path.unlink()
    if options.verbose:
        for name, took in check.seconds:
            print(f"{took:8.3f} s  {name}")
    print(f"{check.compared} comparisons, {check.wrong} wrong")
    sys.exit(1 if check.wrong else 0)


if __name__ == "__main__":
    main()
