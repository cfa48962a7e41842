#!/usr/bin/env python3
"""The live page in a headless Chromium: the demo incident as it comes, 100 000 entries, and logs that mean harm.

Usage: page.py [LOGBRAID] [FOLDER]     the program, by default target/debug/logbraid; pictures go to FOLDER

Where there is no Chromium, it says so and ends with 77, which test drivers take for "skipped".
"""
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from browser import Browser  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIPPED = 77
ENTRIES = 100_000
HOSTILE = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script> \u202egnp.exe \u001b[31mred"


class Running:
    """A logbraid that follows a folder and keeps a window."""

    def __init__(self, program, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder = folder
        self.logs = os.path.join(folder, "logs")
        os.makedirs(self.logs)
        config = {
            "checkpoint": os.path.join(folder, "checkpoint"),
            "sources": [{"files": {"paths": [os.path.join(self.logs, "*.log")], "follow": True}}],
            "time": {"max_delay": "500ms", "idle_after": "1s"},
            "operators": [
                {"thread": {}}, {"index": {"span": "24h", "memory": "256MiB"}}, {"correlate": {"gap": "2s"}},
                {"hierarchy": {}}, {"error_flow": {}}, {"error_burst": {}}],
            "sinks": [{"file": {"path": os.path.join(folder, "out.ndjson"), "take": ["findings"]}}],
            "admin": {"listen": f"127.0.0.1:{self.port}"},
        }
        path = os.path.join(folder, "live.yaml")
        with open(path, "w") as file:
            json.dump(config, file)
        self.address = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen([program, "run", "-c", path], stdout=subprocess.DEVNULL)
        for _ in range(200):
            try:
                return urllib.request.urlopen(f"{self.address}/health/ready").close()
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("logbraid does not answer")

    def add(self, name, text):
        with open(os.path.join(self.logs, name), "a") as file:
            file.write(text)

    def entries(self):
        text = urllib.request.urlopen(f"{self.address}/figures").read()
        return json.loads(text)["figures"].get("index_entries", 0)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()


def rows(browser, name):
    return browser.run(f"document.querySelectorAll('#{name} .row').length")


def incident(browser, running, pictures):
    browser.open(running.address + "/")
    browser.wait("document.querySelector('.state.live')")
    for path in sorted(glob.glob(os.path.join(ROOT, "configs", "demo", "*.log"))):
        with open(path) as file:
            running.add(os.path.basename(path), file.read())
    browser.wait("document.querySelector('.card .badge.critical')", 30)
    browser.wait("Number(document.getElementById('requests-count').textContent) >= 80", 30)
    browser.wait("document.querySelectorAll('.service-row').length === 5")
    pictures.take("incident")
    # All of it by keys: the gravest finding, then each view of its request.
    browser.key("f")
    browser.key("Enter")
    browser.wait("document.querySelectorAll('.path li').length === 4")
    first = browser.run("document.querySelector('.path li .message').textContent")
    assert first == "connection refused: 20 of 20 connection slots in use", first
    pictures.take("error-path")
    browser.key("1")
    browser.wait("document.querySelectorAll('.waterfall .span-row').length === 6")
    pictures.take("waterfall", dark=True)
    browser.key("2")
    browser.wait("document.querySelectorAll('.flame .block').length === 5")
    pictures.take("flamegraph", dark=True)
    browser.key("3")
    browser.wait("document.querySelectorAll('.log .row').length === 12")
    pictures.take("entries-of-a-request")
    browser.key("Escape")
    assert browser.run("document.getElementById('detail').hidden")
    browser.key("/")
    browser.type("refused --level error+ --service payments-db -i")
    browser.key("Enter")
    browser.wait("document.getElementById('entries-count').textContent === '13'")
    pictures.take("search")
    browser.key("/")
    browser.run("document.getElementById('query').value = ''")
    browser.type("--levle error")
    browser.key("Enter")
    browser.wait("document.querySelector('#entries .empty').textContent.includes('level')")
    print("page.py: the incident, its request in four views, a search and a mistake")


def hostile(browser, running, pictures):
    line = {"time": "2025-03-04T09:40:00Z", "level": "ERROR", "service": "<b>svc</b>", "request_id": "\"><i>r</i>",
            "msg": HOSTILE}
    running.add("gateway.log", "".join(
        json.dumps({**line, "time": f"2025-03-04T09:40:{second:02}Z"}) + "\n" for second in range(5)))
    running.add("gateway.log", json.dumps({**line, "time": "2025-03-04T09:50:00Z", "request_id": "later", "msg": "ok"}) + "\n")
    browser.run("document.getElementById('query').value = ''")
    browser.key("/")
    browser.type("onerror --fixed")
    deadline = time.time() + 30
    while browser.run("document.getElementById('entries-count').textContent") != "5" and time.time() < deadline:
        browser.run("document.getElementById('search').requestSubmit()")
        time.sleep(0.5)
    browser.wait("document.querySelectorAll('#entries .row:not(.waiting)').length === 5")
    browser.run("document.getElementById('entries').focus()")
    browser.key("Home")
    browser.key("Enter")
    # What was shown before stays until the answer is there.
    browser.wait("document.querySelector('.log .row .message')?.textContent.includes('onerror')")
    pictures.take("hostile")
    shown = browser.run("document.querySelector('.log .row .message').textContent")
    assert "<script>" in shown and "\u202e" not in shown and "\u001b" not in shown, shown
    assert browser.run("document.querySelectorAll('main script, main img, main b i, h2 i').length") == 0
    assert browser.run("window.hacked === undefined")
    browser.key("Escape")
    print("page.py: markup, scripts, escapes and turned text are shown as text")


def many(browser, running, pictures):
    parts, before = [], running.entries()
    for number in range(ENTRIES):
        seconds, millis = divmod(number * 7, 1000)
        minutes, seconds = divmod(seconds, 60)
        entry = {"time": f"2025-03-04T{10 + minutes // 60:02}:{minutes % 60:02}:{seconds:02}.{millis:03}Z",
                 "level": "INFO", "service": f"svc-{number % 6}", "request_id": f"many-{number // 10}",
                 "msg": f"step {number % 10} of order {number // 10}"}
        parts.append(json.dumps(entry))
    running.add("checkout.log", "\n".join(parts) + "\n")
    deadline = time.time() + 120
    while running.entries() < before + ENTRIES and time.time() < deadline:
        time.sleep(0.5)
    browser.run("document.getElementById('query').value = 'step'")
    browser.run("document.getElementById('search').requestSubmit()")
    browser.wait("document.getElementById('entries-count').textContent.replace(/\\D/g, '') === '100000'", 60)
    frames = browser.run("""(async () => {
      const box = document.getElementById('entries');
      const took = [];
      for (let part = 0; part <= 60; part += 1) {
        const before = performance.now();
        box.scrollTop = (box.scrollHeight - box.clientHeight) * part / 60;
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
        took.push(performance.now() - before);
      }
      took.sort((a, b) => a - b);
      return { median: took[30], worst: took[60] };
    })()""")
    browser.run("document.getElementById('entries').focus()")
    browser.key("End")
    browser.wait("[...document.querySelectorAll('#entries .row')].some((row) => row.textContent.includes('step 0 of order 0'))", 30)
    assert rows(browser, "entries") < 80, rows(browser, "entries")
    pictures.take("many")
    known = browser.run("document.getElementById('requests-count').textContent")
    print(f"page.py: {ENTRIES} entries, {rows(browser, 'entries')} rows in the document, {known} requests; "
          f"a jump takes {frames['median']:.0f} ms, at worst {frames['worst']:.0f} ms")


class Pictures:
    """Pictures of the page, where somebody wants them."""

    def __init__(self, browser, folder):
        self.browser, self.folder = browser, folder
        if folder:
            os.makedirs(folder, exist_ok=True)

    def take(self, name, dark=False):
        if not self.folder:
            return
        self.browser.dark(dark)
        time.sleep(0.3)
        self.browser.picture(os.path.join(self.folder, f"{name}.png"))


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "target", "debug", "logbraid")
    try:
        browser = Browser()
    except FileNotFoundError as error:
        print(f"page.py: skipped: {error}")
        sys.exit(SKIPPED)
    folder = tempfile.mkdtemp(prefix="logbraid-check-page-")
    running = None
    try:
        running = Running(program, folder)
        pictures = Pictures(browser, sys.argv[2] if len(sys.argv) > 2 else None)
        incident(browser, running, pictures)
        hostile(browser, running, pictures)
        many(browser, running, pictures)
        elsewhere = [address for address in browser.addresses()
                     if not address.startswith((running.address, "about:", "data:"))]
        assert not elsewhere, elsewhere
        # The refused search is a complaint of the network, and the only one.
        wrong = [text for text in browser.complaints() if "400" not in text]
        assert not wrong, wrong
    finally:
        browser.close()
        if running:
            running.end()
        shutil.rmtree(folder, ignore_errors=True)
    print("page.py: ok")


if __name__ == "__main__":
    main()
