#!/usr/bin/env python3
"""The Python package as its users meet it: a window, streams, tables, exceptions, threads.

    python3 soak-tests/check/python.py [BINARY]              # the running logbraid that is asked; by default the released one

It builds the wheel and an environment for it. With pyarrow, polars or pandas in that environment, tables are handed to
them as well. Exit status 0 when everything holds.
"""

import asyncio
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import wheel  # noqa: E402

TABLES = os.environ.get("LOGBRAID_CHECK_TABLES", "pyarrow").split()
wheel.enter(*TABLES)

import logbraid  # noqa: E402

BINARY = pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 else wheel.ROOT / "target" / "release" / "logbraid").resolve()
DEMO = str(wheel.ROOT / "configs" / "demo" / "*.log")


class AWindow(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.window = logbraid.Window(DEMO)

    def test_answers_every_question_as_the_command_line_does(self):
        self.assertEqual(len(self.window), 747)
        found = self.window.search(level=["error"], limit=2)
        self.assertEqual((found["summary"]["total_matches"], len(found["results"])), (49, 2))
        flow = self.window.error_flow(id="req-1037")
        self.assertEqual(flow["root_causes"][0]["service"], "payments-db")
        self.assertEqual(self.window.format_list(no_builtin=True)["user_formats"], {})
        for name in ("ids", "stats", "schema", "triage", "summarize", "templates", "patterns", "metrics", "investigate"):
            self.assertIsInstance(getattr(self.window, name)(), dict, name)

    def test_draws_and_exports_as_text(self):
        self.assertIn("POST /checkout", self.window.hierarchy(id="req-1037", view="waterfall"))
        self.assertIn("spans", json.dumps(self.window.ask("export", id="req-1037", **{"as": "jaeger"})))
        self.assertEqual(self.window.emit(limit=3).count("\n"), 3)

    def test_keeps_to_a_budget_and_to_a_range_of_time(self):
        short = self.window.ask("search", max_bytes="1KiB")
        self.assertTrue(short["truncated"])
        self.assertLess(len(json.dumps(short, separators=(",", ":"), ensure_ascii=False).encode()), 1025)
        self.assertEqual(self.window.stats(before="2025-03-04T09:30:00.403Z")["total"], 1)
        self.assertEqual(set(self.window.search(limit=1, fields=["message"])["results"][0]), {"message"})

    def test_finds_what_a_run_finds(self):
        finding = max(self.window.findings(), key=lambda finding: finding["severity"] == "critical")
        self.assertEqual((finding["kind"], finding["service"]), ("error_flow", "payments-db"))

    def test_tells_mistakes_in_the_words_of_the_command_line(self):
        with self.assertRaises(logbraid.Mistake) as raised:
            self.window.search(levle=["error"])
        self.assertIn("did you mean `level`?".replace("`", "'"), str(raised.exception).replace("`", "'"))
        self.assertIsInstance(raised.exception, ValueError)
        with self.assertRaises(logbraid.Mistake) as raised:
            self.window.ask("serach")
        self.assertIn("search", raised.exception.help)
        with self.assertRaises(logbraid.Mistake) as raised:
            logbraid.Window("/nowhere/*.log")
        self.assertIn("/nowhere", str(raised.exception))
        with self.assertRaises(AttributeError):
            self.window.serach()
        with self.assertRaises(logbraid.Mistake) as raised:
            logbraid.Window(DEMO, settings={"parse": {"formts": "json"}})
        self.assertIn("formats", str(raised.exception))

    def test_is_asked_from_threads_that_do_not_wait_for_each_other(self):
        answers, ticks, done = [], [], threading.Event()

        def tick():
            while not done.is_set():
                ticks.append(time.perf_counter())
                time.sleep(0.001)

        def ask():
            answers.append(self.window.sql(query=SLOW)["results"][0]["n"])

        ticking, asking = threading.Thread(target=tick), [threading.Thread(target=ask) for _ in range(3)]
        for thread in [ticking, *asking]:
            thread.start()
        for thread in asking:
            thread.join()
        done.set()
        ticking.join()
        self.assertEqual(set(answers), {300_000})
        # The interpreter went on while Rust worked: had it not, there would be one tick before and one after.
        self.assertGreater(len(ticks), 5)

    def test_reads_labels_settings_and_what_has_changed(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "app.log")
            path.write_text("10:00|ERROR|one\n")
            settings = {"parse": {"formats": "mine", "custom": {"mine": {"regex": r"^\d+:\d+\|(?P<level>\w+)\|(?P<message>.*)$"}}}}
            window = logbraid.Window({"shop": path}, settings=settings)
            entry = window.search()["results"][0]
            self.assertEqual((entry["service"], entry["level"], entry["message"]), ("shop", "ERROR", "one"))
            self.assertFalse(window.stale)
            path.write_text("10:00|ERROR|one\n10:01|INFO|two\n")
            self.assertTrue(window.stale)
            search = lambda: logbraid.investigate.search([str(path)])["total_matches"]  # noqa: E731
            self.assertEqual(search(), 2)
            path.write_text("a\nb\nc\n")
            self.assertEqual(search(), 3)

    def test_reads_stdin(self):
        lines = pathlib.Path(DEMO).with_name("gateway.log").read_bytes()
        known = logbraid.Window(str(pathlib.Path(DEMO).with_name("gateway.log")))
        counts = [str(len(known)).encode(), str(known.search(level=["error"])["summary"]["total_matches"]).encode()]
        for code in (
            "w = logbraid.Window('-'); print(len(w), w.search(level=['error'])['summary']['total_matches'])",
            "e = list(logbraid.stream('-', take=['entries'])); print(len(e), sum(x.get('level') == 'ERROR' for x in e))",
        ):
            done = subprocess.run([sys.executable, "-c", "import logbraid; " + code], input=lines, capture_output=True)
            self.assertEqual((done.stdout.split(), done.stderr), (counts, b""), code)


SLOW = """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
SELECT count(*) AS n FROM n"""


class AStream(unittest.TestCase):
    def test_gives_records_as_they_come(self):
        kinds = {}
        for record in logbraid.stream(DEMO):
            kinds[record["type"]] = kinds.get(record["type"], 0) + 1
        self.assertEqual(kinds["timeline"], 90)
        self.assertGreater(kinds["finding"], 0)

    def test_is_an_async_iterator_too(self):
        async def entries():
            return [record async for record in logbraid.stream(DEMO, take=["entries"])]

        self.assertEqual(len(asyncio.run(entries())), 747)

    def test_follows_files_until_it_is_told_to_stop(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "app.log")
            path.write_text("2024-01-15T10:00:00Z INFO one\n")
            with logbraid.stream(path, take=["entries"], follow=True) as records:
                self.assertEqual(next(records)["message"], "one")
                with path.open("a") as log:
                    log.write("2024-01-15T10:00:01Z INFO two\n")
                self.assertEqual(next(records)["message"], "two")
                records.stop()
                self.assertEqual(list(records), [])

    def test_can_be_given_up(self):
        records = logbraid.stream(DEMO, take=["entries"])
        next(records)
        records.close()
        self.assertEqual(list(records), [])

    def test_tells_mistakes(self):
        with self.assertRaises(logbraid.Mistake) as raised:
            logbraid.stream(DEMO, take=["findins"])
        self.assertIn("findings", raised.exception.help)


class ATable(unittest.TestCase):
    def setUp(self):
        self.table = logbraid.Window(DEMO).table(level=["error"])

    def test_has_a_row_for_each_entry(self):
        self.assertEqual(len(self.table), 49)
        self.assertEqual(self.table.column_names[:3], ["timestamp", "message", "level"])

    def test_is_taken_by_those_who_speak_arrow(self):
        rows = logbraid.Window(DEMO).sql_table("SELECT level, count(*) AS n, max(timestamp) AS last_seen FROM logs GROUP BY 1")
        if "pyarrow" in TABLES:
            import pyarrow

            table = pyarrow.table(self.table)
            self.assertEqual(str(table.schema.field("timestamp").type), "timestamp[ns, tz=UTC]")
            self.assertEqual(table.column("service").to_pylist()[0], "payments-db")
            self.assertEqual(sum(pyarrow.table(rows).column("n").to_pylist()), 747)
            # Handed over twice: what one consumer took is still there for the next.
            self.assertEqual(pyarrow.table(self.table).num_rows, 49)
        if "polars" in TABLES:
            import polars

            frame = polars.DataFrame(self.table)
            self.assertEqual(frame["level"].unique().to_list(), ["ERROR"])
            self.assertEqual(polars.DataFrame(rows)["n"].sum(), 747)
        if "pandas" in TABLES:
            import pandas

            frame = pandas.DataFrame.from_arrow(self.table)
            self.assertEqual(frame["thread_id"].value_counts().sum(), 49)
            self.assertEqual(pandas.DataFrame.from_arrow(rows)["n"].sum(), 747)

    def test_can_be_made_of_any_list(self):
        table = logbraid.table_of([{"a": 1, "b": "x"}, {"a": 2.5, "c": [1]}, {"b": None}])
        self.assertEqual((len(table), table.column_names), (3, ["a", "b", "c"]))


@unittest.skipUnless(BINARY.exists(), f"there is no {BINARY}")
class ARunningLogbraid(unittest.TestCase):
    """It follows the demo's files."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        config = pathlib.Path(cls.folder.name, "run.yaml")
        config.write_text(
            f"sources: [files: {{paths: ['{DEMO}'], follow: true}}]\ntime: {{idle_after: 100ms}}\n"
            "operators: [{thread: {}}, {correlate: {}}, {hierarchy: {}}, {error_flow: {}}, {index: {span: 3650d}}]\n"
            "sinks: [{stdout: {take: [findings]}}]\nadmin: {listen: '127.0.0.1:0'}\n")
        cls.process = subprocess.Popen(
            [BINARY, "run", "-c", config], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        address = None
        while address is None and (line := cls.process.stderr.readline()):
            address = re.search(rb"http://[\d.:]+", line)
        threading.Thread(target=cls.process.stderr.read, daemon=True).start()
        cls.window = logbraid.Window(address[0].decode())
        end = time.monotonic() + 60
        while cls.window.stats()["total"] < 747 and time.monotonic() < end:
            time.sleep(0.1)

    @classmethod
    def tearDownClass(cls):
        cls.process.terminate()
        cls.process.wait(60)
        cls.folder.cleanup()

    def test_answers_as_a_window_of_files_does(self):
        self.assertEqual(self.window.stats()["total"], 747)
        found = self.window.search(level=["error"], limit=2)
        self.assertEqual((found["summary"]["total_matches"], len(found["results"])), (49, 2))

    def test_tells_what_it_finds(self):
        address = self.window.inputs[0]
        end = time.monotonic() + 60
        while not (found := list(logbraid.stream(address))) and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual({one["type"] for one in found}, {"finding"})
        self.assertIn("payments-db", {one["service"] for one in found})
        self.assertEqual(sorted(one["id"] for one in self.window.findings()), sorted(one["id"] for one in found))
        with logbraid.stream(address, follow=True) as records:
            self.assertEqual([next(records)["id"] for _ in found], [one["id"] for one in found])
            records.stop()
            self.assertEqual(list(records), [])
        with self.assertRaises(logbraid.Mistake) as caught:
            logbraid.stream(address, take=["entries"])
        self.assertIn("findings alone", str(caught.exception))

    def test_gives_the_same_table_as_files(self):
        live, files = self.window.table(level=["error"]), logbraid.Window(DEMO).table(level=["error"])
        self.assertEqual((len(live), live.column_names), (len(files), files.column_names))
        if "pyarrow" in TABLES:
            import pyarrow

            live, files = pyarrow.table(live), pyarrow.table(files)
            for name in ("timestamp", "message", "level", "service", "thread_id", "correlation_id", "template", "fields"):
                self.assertEqual(sorted(map(str, live[name].to_pylist())), sorted(map(str, files[name].to_pylist())), name)


class TheBatchToolsFunctions(unittest.TestCase):
    def test_search_databases(self):
        import sqlite3

        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "jobs.db")
            with sqlite3.connect(path) as database:
                database.execute("CREATE TABLE jobs (id TEXT, created_at REAL, status TEXT, what TEXT)")
                database.executemany(
                    "INSERT INTO jobs VALUES (?, ?, ?, ?)",
                    [("a", 1705312800.0, "ok", "send"), ("b", 1705312801.5, "failed", "pay")],
                )
            database.close()
            mapping = logbraid.investigate.DbTableMapping(
                "jobs", level_map={"failed": "ERROR", "ok": "INFO"}, message_template="{what} {_id}", id_field="id")
            found = logbraid.investigate.search_db(path, [mapping], level="ERROR")
            entry = found["results"][0]["entry"]
            self.assertEqual((found["total_matches"], entry["message"]), (1, "pay b"))
            self.assertEqual(entry["timestamp"], "2024-01-15T10:00:01.500Z")
            self.assertEqual(logbraid.investigate.search_db(path)["total_matches"], 2)

    def test_sessions_can_be_saved_and_go_on(self):
        with tempfile.TemporaryDirectory() as folder:
            session = logbraid.investigate.InvestigationSession([DEMO], "night")
            session.search(level="ERROR")
            session.add_note("`ticks` and\nlines")
            session.undo()
            path = os.path.join(folder, "session.json")
            session.save(path)
            again = logbraid.investigate.InvestigationSession.load(path)
            self.assertEqual(len(again.get_history()), 1)
            self.assertTrue(again.redo())
            self.assertFalse(again.redo())
            self.assertIn("49 matches", again.get_summary())
            self.assertIn("connection refused", again.generate_report())
            self.assertEqual(json.loads(again.generate_report("json"))["name"], "night")

    def test_a_hierarchy_that_forgot_its_logs_says_so(self):
        with self.assertRaises(logbraid.Mistake):
            logbraid.investigate.analyze_error_flow({"roots": []})


if __name__ == "__main__":
    unittest.main(verbosity=2)
