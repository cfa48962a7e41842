"""What the checks share that kill a program and start it again."""
import json
import signal
import socket
import subprocess
import sys
import time


def free_port():
    """A port of the loopback that was free a moment ago: a program is started at it again and again."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Running:
    """A program that may be killed and started again. It is there when it says `ready`, or when `ready()` is true."""

    def __init__(self, command, said, ready="ready on "):
        self.command, self.said, self.ready, self.child = command, said, ready, None

    def words(self):
        return self.said.read_text(errors="replace")[-2000:]

    def is_ready(self):
        return self.ready in self.words() if isinstance(self.ready, str) else self.ready()

    def start(self):
        with self.said.open("w") as said:
            self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        for _ in range(3000):
            if self.is_ready():
                return
            if self.child.poll() is not None:
                break
            time.sleep(0.02)
        sys.exit(f"{self.command[0]} does not start: {self.words()}")

    def kill(self):
        if self.child.poll() is not None:
            sys.exit(f"{self.command[0]} ended by itself: {self.words()}")
        self.child.kill()
        self.child.wait()

    def stop(self):
        """The status with which it ends when it is asked to; it is killed when it does not."""
        if self.child and self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(60)
            except subprocess.TimeoutExpired:
                self.child.kill()
        return self.child and self.child.wait()


def records(path):
    """The records of a file and their lines, but for those that a kill cut: they are written again."""
    try:
        with path.open(errors="replace") as file:
            for line in file:
                try:
                    yield json.loads(line), line
                except ValueError:
                    continue
    except FileNotFoundError:
        return
