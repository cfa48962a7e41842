#!/usr/bin/env python3
"""The official MCP client finds the root cause of the demo incident: at most four calls, at most 8 KB of answers.

Usage: mcp.py [LOGBRAID]        the program, by default target/debug/logbraid

It makes itself a virtual environment with the package `mcp`. Where that cannot be had, it says so and ends with 77,
which test drivers take for "skipped".
"""
import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

# This file has the package's name and must not be found in its stead.
sys.path = [entry for entry in sys.path if os.path.realpath(entry or ".") != os.path.dirname(os.path.realpath(__file__))]

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIPPED = 77
CALLS_MAX = 4
BYTES_MAX = 8 * 1024


def with_client():
    """Goes on in an environment that has the client."""
    try:
        import mcp  # noqa: F401
        return
    except ImportError:
        pass
    folder = os.environ.get("LOGBRAID_VENV", os.path.join(tempfile.gettempdir(), "logbraid-check-mcp"))
    python = os.path.join(folder, "bin", "python")
    if sys.prefix != sys.base_prefix and os.path.realpath(sys.prefix) == os.path.realpath(folder):
        skip("the package `mcp` is installed and cannot be imported")
    try:
        if not os.path.exists(python):
            subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=120)
        subprocess.run([python, "-m", "pip", "-q", "install", "mcp"], check=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        skip(f"no environment with the package `mcp`: {error}")
    os.execv(python, [python, os.path.abspath(__file__), *sys.argv[1:]])


def skip(why):
    print(f"mcp.py: skipped: {why}")
    sys.exit(SKIPPED)


class Agent:
    """Counts what it asks and what it is told."""

    def __init__(self, session):
        self.session, self.calls, self.bytes = session, 0, 0

    async def ask(self, tool, **arguments):
        result = await self.session.call_tool(tool, arguments)
        text = result.content[0].text
        self.calls += 1
        self.bytes += len(text.encode())
        failed = getattr(result, "is_error", None) or getattr(result, "isError", None)
        assert not failed, f"{tool}: {text}"
        return json.loads(text)


async def incident(session):
    agent = Agent(session)
    overview = await agent.ask("investigate", top=2, max_bytes="2600B")
    failure = overview["failures"][0]
    request = failure["example"]
    flow = await agent.ask("error_flow", id=request, max_bytes="2KiB")
    causes = json.dumps(flow)
    found = await agent.ask(
        "search", correlation=request, level=["warn+"], no_aggregate=True,
        fields=["timestamp", "service", "message"], max_bytes="1KiB")
    messages = [entry["message"] for entry in found["results"]]
    assert failure["began_in"] == "payments-db", failure
    assert failure["spreads_to"] == ["payments", "checkout", "gateway"], failure
    assert "connection refused: 20 of 20 connection slots in use" in causes, causes
    assert messages[0] == "waiting for a connection slot", messages
    assert agent.calls <= CALLS_MAX and agent.bytes <= BYTES_MAX, (agent.calls, agent.bytes)
    print(f"mcp.py: root cause in {agent.calls} calls and {agent.bytes} bytes of answers: {failure['message']}")
    return request


async def surroundings(session, request):
    tools = (await session.list_tools()).tools
    names = {tool.name for tool in tools}
    assert {"investigate", "search", "error_flow", "timeline", "sql"} <= names, names
    hints = [tool.annotations for tool in tools]
    assert all(getattr(hint, "read_only_hint", None) or getattr(hint, "readOnlyHint", None) for hint in hints)
    resources = (await session.list_resources()).resources
    addresses = [str(resource.uri) for resource in resources]
    assert addresses[0] == "logbraid://findings" and len(addresses) > 1, addresses
    for address in [addresses[0], addresses[1], f"logbraid://timeline/{request}"]:
        text = (await session.read_resource(address)).contents[0].text
        assert json.loads(text) and len(text.encode()) <= BYTES_MAX, address
    refused = await session.call_tool("search", {"levle": ["error"]})
    assert "did you mean" in refused.content[0].text, refused
    size = sum(len(json.dumps(tool.model_dump(mode="json", exclude_none=True))) for tool in tools)
    print(f"mcp.py: {len(tools)} tools ({size} bytes of schemas), {len(resources)} resources")


@contextlib.contextmanager
def running(program, logs):
    """A logbraid that has read the demo and can still be asked; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "live.yaml")
        with open(config, "w", encoding="utf-8") as out:
            out.write(
                f"sources: [files: {{paths: ['{logs}'], follow: true}}]\n"
                "operators: [thread: {}, index: {span: 365d}, correlate: {}, hierarchy: {}, error_flow: {}]\n"
                f"sinks: [{{file: {{path: {folder}/out.ndjson}}}}]\ncheckpoint: {folder}/positions\n"
                "time: {idle_after: 200ms}\n"
                f"admin: {{listen: '127.0.0.1:{port}'}}\n")
        process = subprocess.Popen([program, "run", "-c", config], stdout=subprocess.DEVNULL)
        try:
            for _ in range(500):
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/query/stats") as answer:
                        if json.load(answer)["total"] >= 747:
                            break
                except (OSError, KeyError):
                    pass
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.terminate()
            process.wait()


async def main():
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    program = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "target", "debug", "logbraid")
    logs = os.path.join(ROOT, "configs", "demo", "*.log")
    server = StdioServerParameters(command=program, args=["mcp", logs])
    print("mcp.py: over stdio")
    async with stdio_client(server) as streams:
        async with ClientSession(streams[0], streams[1]) as session:
            await session.initialize()
            request = await incident(session)
            await surroundings(session, request)
    with running(program, logs) as address:
        try:
            from mcp.client.streamable_http import streamable_http_client
        except ImportError:
            from mcp.client.streamable_http import streamablehttp_client as streamable_http_client
        print("mcp.py: over http, with a handshake")
        async with streamable_http_client(address) as streams:
            async with ClientSession(streams[0], streams[1]) as session:
                await session.initialize()
                await incident(session)
        try:
            from mcp import Client
        except ImportError:
            return
        print("mcp.py: over http, as the client likes it")
        async with Client(address) as client:
            request = await incident(client)
            await surroundings(client, request)


if __name__ == "__main__":
    with_client()
    asyncio.run(asyncio.wait_for(main(), 120))
    print("mcp.py: ok")
