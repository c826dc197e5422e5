"""The service that is measured: started for the purpose as `make run` starts it, without models, and stopped again."""

import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlencode

import orjson

from scripts.newcomer.service import compose_command

HOST = "127.0.0.1"
START_S = 60.0
TIMEOUT_S = 60


@dataclass(frozen=True)
class Reply:
    """What the service answered."""

    status: int
    headers: Mapping[str, str]
    """by their names in lower case"""
    body: bytes


class Service:
    """A running service, and one connection to it."""

    def __init__(self, port: int, pid: int) -> None:
        self.base = f"http://{HOST}:{port}"
        self.pid = pid
        self.client = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)

    def ask(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        """Fetch a path, whatever the answer is; on a new connection where the service closed one that was idle."""
        try:
            return self._ask(path, headers or {})
        except ConnectionError:
            self.client.close()
            return self._ask(path, headers or {})

    def _ask(self, path: str, headers: Mapping[str, str]) -> Reply:
        self.client.request("GET", path, headers=dict(headers))
        reply = self.client.getresponse()
        told = {name.lower(): value for name, value in reply.headers.items()}
        return Reply(reply.status, told, reply.read())

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        """Fetch a path. Raises :class:`OSError` for anything but a good answer: a failure is not measured."""
        reply = self.ask(path, headers)
        if reply.status not in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}:
            raise OSError(f"the service answered {reply.status}: {reply.body[:300].decode(errors='replace')}")
        return reply

    @cached_property
    def openapi(self) -> dict[str, Any]:
        """What the service says of itself."""
        found: dict[str, Any] = orjson.loads(self.get("/openapi.json").body)
        return found

    def offers(self, path: str) -> bool:
        """Whether the service has a route."""
        return path in self.openapi["paths"]

    def parameters(self, path: str) -> dict[str, Any]:
        """Give the query parameters of a route, each with its schema."""
        declared = self.openapi["paths"][path]["get"].get("parameters", [])
        return {one["name"]: one["schema"] for one in declared if one["in"] == "query"}

    def words(self, path: str, parameter: str) -> list[str]:
        """Give the words that a parameter may be, in the order in which the route declares them."""
        return list_words(self.parameters(path).get(parameter, {}), self.openapi)


def list_words(schema: Mapping[str, Any], openapi: Mapping[str, Any]) -> list[str]:
    """Give the words of an enumeration, wherever a schema has it."""
    if "$ref" in schema:
        named: dict[str, Any] = openapi["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return list_words(named, openapi)
    parts = [*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())]
    within = [word for part in parts for word in list_words(part, openapi)]
    constant = [schema["const"]] if "const" in schema else []
    return [*schema.get("enum", constant), *within]


def address(path: str, parameters: Mapping[str, object]) -> str:
    """Give a path with its query."""
    return f"{path}?{urlencode(parameters)}"


@contextmanager
def serve(url: str) -> Generator[Service]:
    """Run the service on a free port and a database."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    environment = os.environ | {
        "UNDERVOLT_DATABASE_URL": url,
        "UNDERVOLT_BACKENDS": "[]",
        "UNDERVOLT_LOG_LEVEL": "WARNING",
    }
    command = [*compose_command(HOST, port, Path(sys.executable)), "--log-level", "warning"]
    with subprocess.Popen(command, env=environment) as process:
        service = Service(port, process.pid)
        try:
            wait_until_ready(service, process)
            yield service
        finally:
            service.client.close()
            process.terminate()


def wait_until_ready(service: Service, process: subprocess.Popen[bytes]) -> None:
    """Wait until the service answers. Raises :class:`OSError` where it ends before, or does not in time."""
    end = monotonic() + START_S
    while process.poll() is None and monotonic() < end:
        with suppress(OSError, http.client.HTTPException):
            service.get("/health/ready")
            return
        service.client.close()
        sleep(0.2)
    raise OSError("the service did not start")
