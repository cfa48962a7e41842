#!/usr/bin/env python3
"""What each way in costs: lines a second, processor time a line, and the time until one line is acknowledged.

Usage: ways_in.py [LOGBRAID] [--lines N] [--rounds N] [--way NAME ...] [--logs FILE]

Lines are sent by eight connections in batches of 1000, which are made before the clock starts, and the time runs until all of
them are braided, as /metrics says. `syslog` and `journal` have one connection: without answers eight would be minutes apart,
and lines so late cost more. Each way is run with the write-ahead log on the disk and in
memory (/dev/shm), where a sync costs nothing: the difference is what durability costs. `pipe` is the same lines through a
pipe, without a listener and without a log. FILE has lines of JSON, such as `logbraid-soak generate` writes; without it they
are made here. Needs Python 3.9, and for `grpc` its package grpcio, which it puts into an environment of its own.
"""
import argparse
import http.client
import json
import os
import pathlib
import re
import resource
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
BATCH = 1000
SENDERS = 8
# Ways whose lines are sent without waiting for answers.
UNANSWERED = ("syslog", "journal")
ONE_BY_ONE = 1000
# How long a sender waits that is told to come again.
AGAIN = 0.02


def made(count):
    """Lines of JSON of about 230 bytes, 20 requests open at a time."""
    lines = []
    for number in range(count):
        at = f"2024-01-15T{10 + number // 3600000:02}:{number // 60000 % 60:02}:{number // 1000 % 60:02}.{number % 1000:03}Z"
        lines.append(json.dumps({
            "timestamp": at, "level": "INFO" if number % 50 else "ERROR", "service": f"service-{number % 5}",
            "thread_id": f"worker-{number % 20}", "correlation_id": f"req-{number // 1000 * 20 + number % 20}",
            "message": f"step {number} of the order took {number % 97} ms, {number % 13} items left"}).encode())
    return lines


# --- What is sent ------------------------------------------------------------------------------------------------------

def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, body):
    return bytes([number << 3 | 2]) + varint(len(body)) + body


def text(value):
    return b"\xdb" + struct.pack(">I", len(value)) + value


def export(batch):
    """An ExportLogsServiceRequest whose records are the lines."""
    records = b"".join(field(2, field(5, field(1, line))) for line in batch)
    return field(1, field(2, records))


def post(path, kind, body):
    head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def lines_of(batch):
    return post("/", "application/x-ndjson", b"\n".join(batch) + b"\n")


def bulk(batch):
    return post("/_bulk", "application/x-ndjson", b"".join(b'{"create":{}}\n' + line + b"\n" for line in batch))


def otlp(batch):
    return post("/v1/logs", "application/x-protobuf", export(batch))


def forward(batch):
    entries = b"".join(b"\x92\xce\x65\xa5\x02\x20\x81\xa3log" + text(line) for line in batch)
    chunk = f"{id(batch):x}-{zlib.crc32(entries):x}".encode()
    options = b"\x81\xa5chunk" + text(chunk)
    return b"\x93\xa1t\xc6" + struct.pack(">I", len(entries)) + entries + options


def lumberjack(batch):
    frames = b"".join(b"2J" + struct.pack(">II", at + 1, len(line)) + line for at, line in enumerate(batch))
    packed = zlib.compress(frames, 3)
    return b"2W" + struct.pack(">I", len(batch)) + b"2C" + struct.pack(">I", len(packed)) + packed


def syslog(batch):
    messages = (b"<14>1 2024-01-15T10:00:00Z web shop 1 - - " + line for line in batch)
    return b"".join(b"%d %s" % (len(message), message) for message in messages)


def journal(batch):
    return b"".join(b"__REALTIME_TIMESTAMP=1705312800000000\nPRIORITY=6\nMESSAGE=" + line + b"\n\n" for line in batch)


def answer_of_http(to, _request):
    """Reads an answer; False where the sender is to come again."""
    got = b""
    while b"\r\n\r\n" not in got:
        more = to.recv(65536)
        assert more, "closed"
        got += more
    head, body = got.split(b"\r\n\r\n", 1)
    length = int(re.search(rb"content-length: (\d+)", head.lower())[1])
    while len(body) < length:
        body += to.recv(65536)
    if head.split()[1] == b"429":
        return False
    assert head.split()[1] in (b"200", b"202"), head
    assert b'"errors":true' not in body[:200], body[:500]
    return True


def answer_of_forward(to, request):
    chunk = request[-40:].split(b"\xa5chunk")[1][5:]
    got = b""
    while chunk not in got:
        more = to.recv(4096)
        if not more:
            return False
        got += more
    return True


def answer_of_lumberjack(to, request):
    (window,) = struct.unpack(">I", request[2:6])
    number = -1
    while number != window:
        answer = to.recv(6, socket.MSG_WAITALL)
        if not answer:
            return False
        assert answer[:2] == b"2A", answer
        (number,) = struct.unpack(">I", answer[2:])
    return True


def no_answer(_to, _request):
    pass


# How each batch is written and its answer read, and the source that takes it.
WAYS = {
    "http": (lines_of, answer_of_http, "http"),
    "bulk": (bulk, answer_of_http, "http"),
    "otlp": (otlp, answer_of_http, "http"),
    "grpc": (export, None, "http"),
    "forward": (forward, answer_of_forward, "forward"),
    "lumberjack": (lumberjack, answer_of_lumberjack, "lumberjack"),
    "syslog": (syslog, no_answer, "syslog"),
    "journal": (journal, None, "http"),
}


class Running:
    """A logbraid with one source."""

    def __init__(self, program, folder, source, wal):
        listen = f"tcp: '{HOST}:0'" if source == "syslog" else f"listen: '{HOST}:0'"
        config = pathlib.Path(folder, "run.yaml")
        config.write_text(
            f"checkpoint: '{folder}/state'\nwal: {{ path: '{wal}', disk: 2GiB }}\nsources: [{source}: {{ {listen} }}]\n"
            f"sinks: [stdout: {{ take: [findings, timelines] }}]\nadmin: {{ listen: '{HOST}:0' }}\n")
        said = pathlib.Path(folder, "stderr")
        with said.open("w") as stderr:
            self.process = subprocess.Popen([program, "run", "-c", config], stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=stderr)
        for _ in range(1000):
            found = re.search(r"` ?ready on (?:tcp )?[\d.]+:(\d+)|ready on (?:tcp )?[\d.]+:(\d+)", said.read_text())
            admin = re.search(r"admin: ready on http://[\d.]+:(\d+)", said.read_text())
            if found and admin:
                self.port, self.admin = int(found[1] or found[2]), int(admin[1])
                return
            time.sleep(0.02)
        self.process.kill()
        sys.exit(f"ways_in.py: nobody listens: {said.read_text()}")

    def braided(self):
        client = http.client.HTTPConnection(HOST, self.admin, timeout=20)
        client.request("GET", "/metrics")
        figures = re.findall(r"^logbraid_in_events_total.* (\d+)$", client.getresponse().read().decode(), re.M)
        return sum(map(int, figures))

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def connect(self):
        to = socket.create_connection((HOST, self.port), 60)
        to.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return to

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def send(running, way, requests):
    """Sends some of the requests over a connection, each after the answer to the last."""
    _, answer, _ = WAYS[way]
    if way == "grpc":
        import grpc
        with grpc.insecure_channel(f"{HOST}:{running.port}", options=[("grpc.max_send_message_length", 64 << 20)]) as channel:
            call = channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Export")
            for request in requests:
                while True:
                    try:
                        call(request, timeout=60)
                        break
                    except grpc.RpcError as error:
                        if error.code() is not grpc.StatusCode.UNAVAILABLE:
                            raise
                        time.sleep(AGAIN)
        return
    to = running.connect()
    if way == "journal":
        with to:
            # One body for all, as journald's uploader sends it.
            to.sendall(b"POST /upload HTTP/1.1\r\nHost: h\r\nContent-Type: application/vnd.fdo.journal\r\n"
                       b"Transfer-Encoding: chunked\r\n\r\n")
            for request in requests:
                to.sendall(b"%x\r\n%s\r\n" % (len(request), request))
            to.sendall(b"0\r\n\r\n")
            answer_of_http(to, None)
        return
    for request in requests:
        while not sent(to, request, answer):
            # Where there is no room, the connection is closed.
            to.close()
            time.sleep(AGAIN)
            to = running.connect()
    to.close()


def sent(to, request, answer):
    """False where it is to be sent again."""
    try:
        to.sendall(request)
        return answer(to, request) is not False
    except (BrokenPipeError, ConnectionResetError):
        return False


def throughput(program, folder, way, wal, requests, count):
    """Lines a second, and microseconds of processor a line."""
    running = Running(program, folder, WAYS[way][2], wal)
    failures = []

    def run(part):
        try:
            send(running, way, part)
        except Exception as error:  # what ends a thread must end the run
            failures.append(repr(error))

    count_of = 1 if way in UNANSWERED else SENDERS
    senders = [threading.Thread(target=run, args=(requests[number::count_of],)) for number in range(count_of)]
    began, before = time.monotonic(), running.cpu()
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    # The figure is told twice a second: enough lines make that little.
    while not failures and running.braided() < count:
        time.sleep(0.01)
    seconds, cpu = time.monotonic() - began, running.cpu() - before
    running.stop()
    assert not failures, (failures, pathlib.Path(folder, "stderr").read_text())
    return count / seconds, cpu * 1e6 / count


def latency(program, folder, way, wal, lines):
    """Milliseconds until one line is acknowledged: the middle, and the 99th of a hundred."""
    write, _, source = WAYS[way]
    running = Running(program, folder, source, wal)
    times = []
    if way == "grpc":
        import grpc
        with grpc.insecure_channel(f"{HOST}:{running.port}") as channel:
            call = channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Export")
            for line in lines[:ONE_BY_ONE]:
                began = time.perf_counter()
                call(export([line]), timeout=60)
                times.append(time.perf_counter() - began)
    else:
        with running.connect() as to:
            for line in lines[:ONE_BY_ONE]:
                request = write([line])
                began = time.perf_counter()
                to.sendall(request)
                WAYS[way][1](to, request)
                times.append(time.perf_counter() - began)
    running.stop()
    times.sort()
    return times[len(times) // 2] * 1e3, times[len(times) * 99 // 100] * 1e3


def pipe(program, folder, lines):
    """The same through a pipe."""
    config = pathlib.Path(folder, "run.yaml")
    config.write_text("sinks: [stdout: { take: [findings, timelines] }]\n")
    child = subprocess.Popen([program, "run", "-c", config, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    text, before = b"\n".join(lines) + b"\n", resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    child.stdin.write(text)
    child.stdin.close()
    assert child.wait() == 0
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return len(lines) / seconds, cpu * 1e6 / len(lines)


def with_grpc():
    """Goes on in an environment that has grpcio; without it where that cannot be had."""
    try:
        import grpc  # noqa: F401
        return True
    except ImportError:
        pass
    folder = os.path.join(tempfile.gettempdir(), "logbraid-check-ways-in")
    python = os.path.join(folder, "bin", "python")
    if os.path.realpath(sys.prefix) == os.path.realpath(folder):
        return False
    try:
        if not os.path.exists(python):
            subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=120)
        subprocess.run([python, "-m", "pip", "-q", "install", "grpcio"], check=True, timeout=300)
    except (OSError, subprocess.SubprocessError):
        return False
    os.execv(python, [python, os.path.abspath(__file__), *sys.argv[1:]])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=ROOT / "target/release/logbraid", type=pathlib.Path)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", nargs="*", choices=sorted(WAYS))
    parser.add_argument("--logs", type=pathlib.Path)
    options = parser.parse_args()
    ways = options.way or list(WAYS)
    if "grpc" in ways and not with_grpc():
        print("ways_in.py: grpc: skipped: there is no grpcio")
        ways.remove("grpc")
    if options.logs:
        lines = options.logs.read_bytes().split(b"\n")[:options.lines]
        lines = [line for line in lines if line]
    else:
        lines = made(options.lines)
    program = options.program.resolve()
    size = sum(map(len, lines)) // len(lines)
    print(f"{len(lines)} lines of {size} bytes, batches of {BATCH}, {SENDERS} senders (one for {' and '.join(UNANSWERED)}), "
          f"{options.rounds} rounds, middle values\n")
    print("| way | disk: lines/s | µs of processor a line | memory: lines/s | disk / memory | ack p50 / p99, disk | memory |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        runs = [pipe(program, folder, lines) for _ in range(options.rounds)]
    rate, cpu = (statistics.median(column) for column in zip(*runs))
    print(f"| pipe | {rate:,.0f} | {cpu:.2f} | | | | |", flush=True)
    for way in ways:
        write = WAYS[way][0]
        requests = [write(lines[at:at + BATCH]) for at in range(0, len(lines), BATCH)]
        rates, ratios, cpus, waits = {"disk": [], "memory": []}, [], [], {}
        for _ in range(options.rounds):
            for kind, place in (("disk", None), ("memory", "/dev/shm")):
                with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory(dir=place) as wal:
                    rate, cpu = throughput(program, folder, way, wal, requests, len(lines))
                rates[kind].append(rate)
                if kind == "disk":
                    cpus.append(cpu)
            ratios.append(rates["disk"][-1] / rates["memory"][-1])
        for kind, place in (("disk", None), ("memory", "/dev/shm")):
            if way in UNANSWERED:
                continue
            with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory(dir=place) as wal:
                waits[kind] = "{:.2f} / {:.2f} ms".format(*latency(program, folder, way, wal, lines))
        middle = {kind: statistics.median(values) for kind, values in rates.items()}
        print(f"| {way} | {middle['disk']:,.0f} | {statistics.median(cpus):.2f} | {middle['memory']:,.0f} | "
              f"{statistics.median(ratios):.2f} | {waits.get('disk', 'no answer')} | {waits.get('memory', 'no answer')} |",
              flush=True)


if __name__ == "__main__":
    main()
