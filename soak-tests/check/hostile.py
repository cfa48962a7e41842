#!/usr/bin/env python3
"""Hostile bytes at every port: the program lives, its memory stays bounded, and honest senders are served meanwhile.

Usage: hostile.py [LOGBRAID] [--seconds N] [--seed N]      the program, by default target/release/logbraid

A run listens as `http` (lines, bulk, OTLP, gRPC), `forward`, `lumberjack` and `syslog` (TCP and UDP), and at its admin address. For some
seconds, threads send random bytes, valid beginnings that are cut off or changed, lengths that promise gigabytes, nesting
without end, gzip that unpacks to a gigabyte, lines without end and bytes one at a time, while 1000 connections on each
port say nothing. Beside them an honest client on each port sends numbered lines. Every honest line must arrive once, and
resident memory must stay below 400 MiB. Needs Python 3.9 and nothing else.
"""
import argparse
import gzip
import http.client
import io
import json
import os
import pathlib
import random
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
IDLE = 1000
RESIDENT_MAX = 400 << 20
HOST = "127.0.0.1"


class Running:
    """A logbraid that listens everywhere."""

    def __init__(self, program, folder):
        self.out = pathlib.Path(folder, "out.ndjson")
        config = pathlib.Path(folder, "run.yaml")
        config.write_text(
            f"checkpoint: '{folder}/state'\ntime: {{ idle_after: 300ms }}\nsources:\n"
            f"  - http: {{ listen: '{HOST}:0', timeout: 5s }}\n"
            f"  - forward: {{ listen: '{HOST}:0', timeout: 5s }}\n"
            f"  - lumberjack: {{ listen: '{HOST}:0', timeout: 5s }}\n"
            f"  - syslog: {{ tcp: '{HOST}:0', udp: '{HOST}:0', timeout: 5s }}\n"
            f"sinks: [file: {{ path: '{self.out}', take: [entries, late, rejects] }}]\nadmin: {{ listen: '{HOST}:0' }}\n")
        said = pathlib.Path(folder, "stderr")
        with said.open("w") as stderr:
            self.process = subprocess.Popen([program, "run", "-c", config], stdin=subprocess.DEVNULL, stderr=stderr)
        for _ in range(1000):
            text = said.read_text()
            self.ports = {
                name: int(found[1])
                for name, pattern in {
                    "admin": r"admin: ready on http://[\d.]+:(\d+)",
                    "http": r"`http .*ready on [\d.]+:(\d+)",
                    "forward": r"`forward .*ready on [\d.]+:(\d+)",
                    "lumberjack": r"`lumberjack .*ready on [\d.]+:(\d+)",
                    "syslog": r"ready on tcp [\d.]+:(\d+)",
                    "udp": r"ready on tcp .*udp [\d.]+:(\d+)",
                }.items()
                if (found := re.search(pattern, text))
            }
            if len(self.ports) == 6:
                return
            time.sleep(0.02)
        self.process.kill()
        sys.exit(f"hostile.py: not all listen: {text}")

    def resident(self):
        try:
            return int(pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * resource.getpagesize()
        except OSError:
            return 0

    def figures(self):
        """What its metrics say, those of receiving alone."""
        client = http.client.HTTPConnection(HOST, self.ports["admin"], timeout=20)
        client.request("GET", "/metrics")
        text = client.getresponse().read().decode()
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        figures = {}
        for name, value in lines:
            if "received_" in name:
                name = name.split("{")[0].removeprefix("logbraid_")
                figures[name] = figures.get(name, 0) + int(float(value))
        return figures


# --- Honest clients ----------------------------------------------------------------------------------------------------

def pack(value):
    """A value as msgpack; texts, bytes, numbers, lists and maps will do."""
    if isinstance(value, str):
        body = value.encode()
        return b"\xdb" + struct.pack(">I", len(body)) + body
    if isinstance(value, bytes):
        return b"\xc6" + struct.pack(">I", len(value)) + value
    if isinstance(value, int):
        return b"\xd3" + struct.pack(">q", value)
    if isinstance(value, list):
        return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(pack, value))
    pairs = b"".join(pack(key) + pack(item) for key, item in value.items())
    return b"\xdf" + struct.pack(">I", len(value)) + pairs


def frame(kind, body):
    """A frame of Lumberjack, version 2: an event, the first of its window, or what is compressed."""
    body, number = (json.dumps(body).encode(), struct.pack(">I", 1)) if kind == b"J" else (body, b"")
    return b"2" + kind + number + struct.pack(">I", len(body)) + body


class Honest:
    """Sends numbered lines to one port until the end, each until it is taken."""

    def __init__(self, name, port):
        self.name, self.port, self.sent, self.again = name, port, 0, 0
        self.failure = None

    def run(self, end):
        try:
            {"http": self.http, "forward": self.forward, "lumberjack": self.lumberjack, "syslog": self.syslog}[self.name](end)
        except Exception as error:  # what ends a thread must end the check
            self.failure = f"{self.name}: {error!r}"

    def message(self):
        return f"{self.name}-{self.sent}"

    def http(self, end):
        client = http.client.HTTPConnection(HOST, self.port, timeout=30)
        while not end.is_set():
            line = json.dumps({"timestamp": "2024-01-15T10:00:00Z", "level": "info", "message": self.message()})
            client.request("POST", "/", line + "\n")
            answer = client.getresponse()
            answer.read()
            if answer.status == 429:
                self.again += 1
                time.sleep(0.05)
                continue
            assert answer.status < 300, answer.status
            self.sent += 1
            time.sleep(0.002)

    def forward(self, end):
        with socket.create_connection((HOST, self.port), 30) as to:
            while not end.is_set():
                chunk = self.message()
                to.sendall(pack(["honest", [[1705312800, {"message": chunk, "level": "info"}]], {"chunk": chunk}]))
                answer = b""
                while chunk.encode() not in answer:
                    got = to.recv(4096)
                    assert got, "closed"
                    answer += got
                self.sent += 1
                time.sleep(0.002)

    def lumberjack(self, end):
        with socket.create_connection((HOST, self.port), 30) as to:
            while not end.is_set():
                event = frame(b"J", {"@timestamp": "2024-01-15T10:00:00Z", "log.level": "info", "message": self.message()})
                to.sendall(b"2W" + struct.pack(">I", 1) + frame(b"C", zlib.compress(event)))
                while (answer := to.recv(6, socket.MSG_WAITALL)) != b"2A" + struct.pack(">I", 1):
                    # Another number says that somebody is at work.
                    assert answer == b"2A" + struct.pack(">I", 0), answer
                self.sent += 1
                time.sleep(0.002)

    def syslog(self, end):
        with socket.create_connection((HOST, self.port), 30) as to:
            while not end.is_set():
                line = f"<14>1 2024-01-15T10:00:00Z web shop 1 - - {self.message()}".encode()
                to.sendall(b"%d %s" % (len(line), line))
                self.sent += 1
                time.sleep(0.002)


# --- Hostile clients ---------------------------------------------------------------------------------------------------

def bomb():
    """Gzip that unpacks to a gigabyte of spaces."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=9) as file:
        block = b" " * (1 << 20)
        for _ in range(1024):
            file.write(block)
    return out.getvalue()


def post(path, body, *headers):
    head = [f"POST {path} HTTP/1.1", "Host: h", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(head) + "\r\n\r\n").encode() + body


def h2(kind, flags, stream, body=b""):
    """A frame of HTTP/2."""
    return struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body


def literal(name, value):
    """A header of HPACK, not indexed."""
    name, value = name.encode(), value.encode()
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


EXPORT = b"".join(literal(name, value) for name, value in [
    (":method", "POST"), (":scheme", "http"), (":authority", "h"), ("te", "trailers"), ("grpc-encoding", "gzip"),
    (":path", "/opentelemetry.proto.collector.logs.v1.LogsService/Export"), ("content-type", "application/grpc")])
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2(4, 0, 0)


def call(stream, message):
    """A call of gRPC whose message is said to be packed."""
    body = b"\1" + struct.pack(">I", len(message)) + message
    frames = [h2(0, 0, stream, body[at:at + 16_000]) for at in range(0, len(body), 16_000)]
    return h2(1, 4, stream, EXPORT) + b"".join(frames) + h2(0, 1, stream)


class Hostile:
    """What is sent to each port, decided by a seed."""

    def __init__(self, seed, gigabyte):
        self.random = random.Random(seed)
        deep = b"[" * 200_000
        honest = pack(["t", [[1, {"message": "x"}]] * 50, {"chunk": "c"}])
        window = b"2W" + struct.pack(">I", 10)
        packed = pack(["t", gigabyte, {"compressed": "gzip", "chunk": "b"}])
        self.texts = {
            "http": [
                b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\nx",
                b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
                b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
                b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 1_000_000 + b"\r\n\r\n",
                b"POST / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000,
                post("/", gigabyte, "Content-Encoding: gzip"),
                post("/v1/logs", gigabyte, "Content-Encoding: gzip", "Content-Type: application/x-protobuf"),
                post("/_bulk", b'{"index":{}}\n' * 10_000),
                post("/", deep),
                post("/v1/logs", b'{"resourceLogs":' + deep, "Content-Type: application/json"),
                post("/v1/logs", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f" * 100, "Content-Type: application/x-protobuf"),
                post("/v1/logs", b"\x0a\x80\x01\x12" * 5_000, "Content-Type: application/x-protobuf"),
                *(post("/upload", body, "Content-Type: application/vnd.fdo.journal") for body in (
                    b"MESSAGE=x\nCORE\n" + b"\xff" * 7 + b"\x7f", b"MESSAGE=x\nCORE\n" + struct.pack("<Q", 1 << 29) + b"x" * 1_000_000,
                    b"MESSAGE=" + b"x" * 40_000_000, b"A=\n" * 300_000, b"MESSAGE=" + b"\x01" * 4_000_000 + b"\n\n",
                    b"M=\n\n" * 200_000, b"\n" * 1_000_000, b"A" * 1_000_000)),
                b"POST /upload HTTP/1.1\r\nHost: h\r\nContent-Type: application/vnd.fdo.journal\r\nTransfer-Encoding: chunked\r\n"
                b"\r\n8\r\nMESSAGE=\r\n",
            ],
            "http2": [
                HELLO, HELLO + call(1, gigabyte), HELLO + call(1, gzip.compress(b"\x0a\x80\x01\x12" * 5_000)),
                HELLO + h2(1, 4, 1, EXPORT) + h2(0, 0, 1, b"\0\xff\xff\xff\xff" + b"x" * 1000),
                HELLO + b"".join(h2(1, 4, 2 * at + 1, EXPORT) + h2(3, 0, 2 * at + 1, b"\0\0\0\x08") for at in range(20_000)),
                HELLO + h2(1, 0, 1, EXPORT) + h2(9, 0, 1, literal("x", "y" * 100)) * 20_000,
                HELLO + h2(4, 0, 0) * 50_000, HELLO + h2(6, 0, 0, b"12345678") * 50_000,
                HELLO + b"".join(h2(1, 4, 2 * at + 1, EXPORT) for at in range(5_000)),
                HELLO + h2(4, 0, 0, b"\0\4\0\0\0\0") + b"".join(call(2 * at + 1, b"") for at in range(200)),
                HELLO + h2(8, 0, 0, b"\x7f\xff\xff\xff") * 3, HELLO + b"\xff" * 100_000,
            ],
            "forward": [
                b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff" + b"x" * 1000, b"\x93\xdb\xff\xff\xff\xffa",
                b"\x91" * 200_000, b"\x81\xa1a" * 100_000, honest, packed, honest * 1000,
                pack(["t", b"\xdd\xff\xff\xff\xff" * 100, {"chunk": "p"}]),
            ],
            "lumberjack": [
                b"2W\xff\xff\xff\xff", b"2W\0\0\0\x012J\0\0\0\x01\xff\xff\xff\xff" + b"x" * 1000, b"2W\0\0\0\x00" * 100_000,
                window + frame(b"J", {"message": "x"}) * 9, window + frame(b"J", {"message": "x" * 1_000_000}) * 30,
                window + frame(b"C", zlib.compress(frame(b"J", {"message": "x"}) * 9)), window + window,
                window + frame(b"C", zlib.compress(b" " * (256 << 20), 9)), window + frame(b"C", b"no zlib" * 1000),
                window + frame(b"C", zlib.compress(frame(b"C", zlib.compress(b"2J")))), b"2D" * 1000, b"1W\0\0\0\x01",
            ],
            "syslog": [
                b"99999999999999999999 <14>1", b"4294967295 <14>1 x", b"0 0 0 0 ", b"-5 <14>",
                b"<14>" + b"x" * 8_000_000, b"<999999999999>1 - - - - - -\n" * 10_000,
                b"<14>1 - h a p m [a b=\"" + b"\\" * 100_000, b"\n" * 1_000_000, b"\x00" * 1_000_000,
            ],
            "admin": [
                b"GET /query/search?query=" + b"(" * 60_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
                post("/query/search", deep), post("/query/sql", b'{"query":"' + b"a" * 1_000_000),
                b"GET /metrics HTTP/9.9\r\n\r\n",
            ],
            "udp": [b"<14>" + b"x" * 60_000, b"", b"\xff" * 1000, b"<14>1 2024-01-15T10:00:00Z h a"],
        }

    def bytes_for(self, port):
        kind = self.random.random()
        if kind < 0.3:
            return self.random.randbytes(self.random.choice([1, 100, 10_000, 300_000]))
        text = self.random.choice(self.texts[port])
        if kind < 0.5:
            return text[: self.random.randrange(len(text) + 1)]
        if kind < 0.7 and text:
            changed = bytearray(text)
            for _ in range(self.random.randrange(1, 20)):
                changed[self.random.randrange(len(changed))] = self.random.randrange(256)
            return bytes(changed)
        return text

    def run(self, ports, end, counts):
        names = ["http", "http2", "forward", "lumberjack", "syslog", "admin", "udp"]
        while not end.is_set():
            name = self.random.choice(names)
            data = self.bytes_for(name)
            counts[name] = counts.get(name, 0) + 1
            try:
                if name == "udp":
                    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to:
                        to.sendto(data[:60_000], (HOST, ports["udp"]))
                    continue
                with socket.create_connection((HOST, ports[name.removesuffix("2")]), 5) as to:
                    to.settimeout(1)
                    if self.random.random() < 0.1:
                        for byte in data[:30]:
                            to.sendall(bytes([byte]))
                            end.wait(0.1)
                    else:
                        to.sendall(data)
                    if self.random.random() < 0.5:
                        to.recv(1000)
            except OSError:
                pass  # refused, closed, or not answered: each is an answer


def idle(ports, names):
    """Connections that say nothing."""
    found = []
    for name in names:
        for _ in range(IDLE):
            try:
                found.append(socket.create_connection((HOST, ports[name]), 5))
            except OSError:
                pass
    return found


def arrived(path):
    """How often each honest line arrived, by client."""
    found = {}
    with path.open(errors="replace") as file:
        for line in file:
            message = re.search(r'"message":"((?:http|forward|lumberjack|syslog)-\d+)"', line)
            if message:
                found[message[1]] = found.get(message[1], 0) + 1
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=ROOT / "target/release/logbraid", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", type=int, default=8)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
    gigabyte = bomb()
    with tempfile.TemporaryDirectory() as folder:
        running = Running(options.program.resolve(), folder)
        end, counts, failures, most = threading.Event(), {}, [], 0
        silent = idle(running.ports, ["http", "forward", "lumberjack", "syslog", "admin"])
        honest = [Honest(name, running.ports[name]) for name in ("http", "forward", "lumberjack", "syslog")]
        hostile = [Hostile(options.seed + number, gigabyte) for number in range(options.threads)]
        threads = [threading.Thread(target=one.run, args=(end,)) for one in honest]
        threads += [threading.Thread(target=one.run, args=(running.ports, end, counts)) for one in hostile]
        for thread in threads:
            thread.start()
        until = time.monotonic() + options.seconds
        while time.monotonic() < until and running.process.poll() is None:
            most = max(most, running.resident())
            time.sleep(0.1)
        end.set()
        for thread in threads:
            thread.join(60)
        failures += [one.failure for one in honest if one.failure]
        figures = running.figures() if running.process.poll() is None else {}
        for one in silent:
            one.close()
        due = sum(one.sent for one in honest)
        found, until = {}, time.monotonic() + 60
        while time.monotonic() < until and running.process.poll() is None:
            found = arrived(running.out)
            if len(found) >= due:
                break
            time.sleep(0.5)
        if running.process.poll() is not None:
            failures.append(f"the program ended with {running.process.returncode}")
        else:
            running.process.send_signal(signal.SIGTERM)
            if running.process.wait(60) != 0:
                failures.append(f"it ended with {running.process.returncode}")
        found = arrived(running.out)
        for one in honest:
            missing = [number for number in range(one.sent) if f"{one.name}-{number}" not in found]
            if missing:
                failures.append(f"{len(missing)} of {one.sent} honest lines over {one.name} are missing: {missing[:10]}")
        repeated = sum(count > 1 for count in found.values())
        if repeated:
            failures.append(f"{repeated} honest lines came twice")
        if most > RESIDENT_MAX:
            failures.append(f"{most >> 20} MiB resident, at most {RESIDENT_MAX >> 20} are allowed")
        said = pathlib.Path(folder, "stderr").read_text(errors="replace")
        if "panic" in said:
            failures.append("it panicked: " + said[said.index("panic"):][:300])
        print(f"hostile: {sum(counts.values())} attacks {counts}, {len(silent)} silent connections; honest lines: "
              + ", ".join(f"{one.name} {one.sent}" for one in honest) + f" (asked to come again {honest[0].again} times)")
        print("counted: " + ", ".join(f"{name} {value}" for name, value in sorted(figures.items()) if value))
        print(f"resident at most {most >> 20} MiB")
    for failure in failures:
        print("FAILED:", failure)
    print("hostile.py: " + ("FAILED" if failures else "held"))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
