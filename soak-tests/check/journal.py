#!/usr/bin/env python3
"""systemd-journal-upload sends a growing journal to the source `http` of a logbraid that is killed.

Usage: journal.py [LOGBRAID] [--lines N] [--kills N] [--seed N]       the program, by default target/debug/logbraid

The journal is made by systemd-journal-remote, so that no journald must run; both programs come with Debian's package
systemd-journal-remote. Where they cannot be had, it says so and ends with 77, which test drivers take for "skipped". Half
of the entries are there at the beginning, for one long upload; the others come in bursts while logbraid is killed with
`kill -9` and started again. The uploader ends with each upload that breaks off and is started again with its saved state, as
its service does. Every entry must be written. One upload is answered as a whole: entries of one that broke off are sent
again, have two ids, and are counted; their `__CURSOR` is the same.
"""
import argparse
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import threading
import time

from running import Running, free_port, records

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77
PATIENCE = 180
BASE = 1_790_000_000_000_000


def skip(why):
    print(f"journal.py: skipped: {why}")
    sys.exit(SKIPPED)


def entry(number):
    """An entry in the export format; each tenth message has two lines, and each hundredth entry bytes that are no text."""
    fields = [f"__REALTIME_TIMESTAMP={BASE + number * 1000}", f"__MONOTONIC_TIMESTAMP={1_000_000 + number * 1000}",
              f"_BOOT_ID={1:032x}", f"_MACHINE_ID={2:032x}", "_HOSTNAME=n1", "_PID=77", "PRIORITY=6", "SYSLOG_IDENTIFIER=app",
              "_SYSTEMD_UNIT=app.service", "_TRANSPORT=journal"]
    text = "".join(field + "\n" for field in fields).encode()

    def binary(name, value):
        return name + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
    if number % 10 == 0:
        text += binary(b"MESSAGE", f"n{number}\nmore".encode())
    else:
        text += f"MESSAGE=n{number}\n".encode()
    if number % 100 == 0:
        text += binary(b"DATA", b"\xff\x00\n" * 20)
    return text + b"\n"


class Journal:
    """A folder with a journal that grows."""

    def __init__(self, program, folder, lines):
        self.folder, self.lines, self.count, self.failure = folder, lines, 0, None
        folder.mkdir()
        self.writer = subprocess.Popen([program, f"--output={folder}/remote.journal", "-"],
                                       stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        self.thread = None

    def add(self, count):
        """Adds entries, in a thread: who is killed meanwhile is at work."""
        self.join()
        start, self.count = self.count, min(self.count + count, self.lines)
        self.thread = threading.Thread(target=self.write, args=(start, self.count))
        self.thread.start()

    def write(self, start, end):
        try:
            self.writer.stdin.write(b"".join(map(entry, range(start, end))))
            self.writer.stdin.flush()
        except (OSError, ValueError) as error:
            self.failure = repr(error)

    def join(self):
        if self.thread:
            self.thread.join()

    def close(self):
        """Nothing more comes; what was added is in the journal."""
        self.join()
        try:
            _, said = self.writer.communicate(timeout=PATIENCE)
            if self.writer.returncode != 0:
                self.failure = said.decode(errors="replace")
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            self.failure = repr(error)

    def end(self):
        if self.writer.poll() is None:
            self.writer.kill()
            self.writer.wait()
        self.join()


def logbraid(program, folder, address):
    config = folder / "run.yaml"
    config.write_text(
        f"checkpoint: '{folder}/state'\nwal: {{ disk: 256MiB }}\ntime: {{ max_delay: 1s, idle_after: 1s }}\n"
        f"sources: [http: {{ listen: '{address}' }}]\n"
        f"sinks: [file: {{ path: '{folder}/out.ndjson', take: [entries, late, rejects] }}]\n")
    return Running([program, "run", "-c", config], folder / "stderr")


def written(folder):
    """The ids and the cursors of each message."""
    found = {}
    for record, line in records(folder / "out.ndjson"):
        ids, cursors = found.setdefault(record.get("message"), (set(), set()))
        ids.add(record.get("id"))
        cursors.update(re.findall(r'"__CURSOR":"([^"]*)"', line))
    return found


class Uploader:
    """systemd-journal-upload, which is started again when it ends, until `done`."""

    def __init__(self, program, address, journal, folder):
        self.state, self.starts, self.said = folder / "upload-state", 0, folder / "upload-stderr"
        self.command = [program, f"--url=http://{address}", f"--directory={journal}", f"--save-state={self.state}",
                        "--follow=yes"]
        self.done, self.child = threading.Event(), None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        with self.said.open("w") as stderr:
            while not self.done.is_set():
                self.starts += 1
                self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)
                while self.child.poll() is None and not self.done.wait(0.05):
                    pass
                self.done.wait(0.1)
            if self.child.poll() is None:
                self.child.kill()
                self.child.wait()

    def reached(self):
        """The number of the last entry that was answered."""
        try:
            found = re.search(r"LAST_CURSOR=.*;i=([0-9a-f]+);", self.state.read_text())
        except OSError:
            return 0
        return int(found[1], 16) if found else 0

    def end(self):
        self.done.set()
        self.thread.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=ROOT / "target/debug/logbraid", type=pathlib.Path)
    parser.add_argument("--lines", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--systemd", default="/lib/systemd", type=pathlib.Path, help="the folder of systemd's programs")
    options = parser.parse_args()
    upload, remote = (options.systemd / f"systemd-journal-{name}" for name in ("upload", "remote"))
    for program in (upload, remote):
        try:
            subprocess.run([program, "--version"], check=True, capture_output=True, timeout=30)
        except (OSError, subprocess.SubprocessError) as error:
            skip(f"there is no {program}, or it does not run: {error}")
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        journal = Journal(remote, folder / "journal", options.lines)
        address = f"127.0.0.1:{free_port()}"
        running = logbraid(options.program.resolve(), folder, address)
        began = time.monotonic()
        running.start()
        uploader, among = None, 0
        try:
            journal.add(options.lines // 2)
            journal.join()
            uploader = Uploader(upload, address, journal.folder, folder)
            for _ in range(options.kills):
                time.sleep(draw.uniform(0, 0.2))
                among += uploader.reached() < journal.count
                running.kill()
                time.sleep(draw.uniform(0, 0.3))
                running.start()
                # What was there is sent, or the long upload is under way again.
                time.sleep(draw.uniform(0.0, 1.0))
                journal.add(-(-options.lines // (2 * options.kills)))
            journal.add(options.lines)
            journal.close()
            until = time.monotonic() + PATIENCE
            while uploader.reached() < options.lines and time.monotonic() < until and not journal.failure:
                time.sleep(0.1)
        finally:
            reached = uploader.reached() if uploader else 0
            if uploader:
                uploader.end()
            journal.end()
        due = {f"n{number}" + ("\nmore" if number % 10 == 0 else "") for number in range(options.lines)}
        found, until = {}, time.monotonic() + PATIENCE
        while time.monotonic() < until:
            found = written(folder)
            if due <= found.keys():
                break
            time.sleep(0.5)
        status = running.stop()
        found = written(folder)
        lost = sorted(due - found.keys())
        invented = sorted(str(message) for message in found.keys() - due)
        twice = sum(len(ids) > 1 for ids, _ in found.values())
        sent = sum(len(ids) for ids, _ in found.values())
        unclear = sum(len(cursors) != 1 for _, cursors in found.values())
        print(f"journal.py: lines {options.lines}, kills {options.kills} ({among} while it sent), "
              f"{time.monotonic() - began:.1f} s; uploader started {uploader.starts} times, answered up to {reached}; "
              f"written {len(found)}, lost {len(lost)}, under more than one id {twice} ({sent - len(found)} too many, "
              f"{unclear} without one __CURSOR), invented {len(invented)}, end {status}")
        held = not lost and not invented and not unclear and status == 0 and reached == options.lines
        if not held:
            print("FAILED:", lost[:10], invented[:10], journal.failure or "", uploader.said.read_text()[-1000:])
        print("journal.py: " + ("held" if held else "FAILED"))
        sys.exit(not held)


if __name__ == "__main__":
    main()
