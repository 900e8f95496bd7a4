"""The monitor as a process, and a client of its pages and its API."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from tests import servers
from tests.servers import DEADLINE, HOST


@dataclass(frozen=True)
class Answer:
    """An answer; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Browser:
    """Sends requests to a monitor, and keeps its cookies, but shares no connection."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)
    token: str = ""

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection = HTTPConnection(HOST, self.port, timeout=DEADLINE)
        try:
            cookie = "; ".join(
                f"{name}={value}" for name, value in self.cookies.items()
            )
            sent = {"Cookie": cookie} if cookie else {}
            connection.request(method, path, body, {**sent, **(headers or {})})
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            answer = Answer(response.status, found, response.read())
        finally:
            connection.close()
        for name, morsel in SimpleCookie(found.get("set-cookie", "")).items():
            self.cookies[name] = morsel.value
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, None, headers)

    def json(self, path: str, **query: str | bytes | int) -> Any:
        """Return what an endpoint answers."""
        answer = self.get(f"{path}?{urlencode(query)}")
        assert answer.status == 200, answer.text
        return answer.json()

    def send(self, method: str, path: str, body: object, **headers: str) -> Answer:
        """Send JSON with the token."""
        sent = {"Content-Type": "application/json", "X-CSRF-Token": self.token}
        data = json.dumps(body).encode()
        return self.request(method, path, data, {**sent, **headers})

    def post_form(self, path: str, fields: Mapping[str, str], **headers: str) -> Answer:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        data = urlencode(fields).encode()
        return self.request("POST", path, data, {**kind, **headers})

    def log_in(self, name: str, password: str) -> Answer:
        """Log in, and keep the token."""
        body = {"name": name, "password": password}
        answer = self.send("POST", "/api/session", body)
        if answer.status == 200:
            self.token = answer.json()["token"]
        return answer

    def act(self, action: str, *targets: Mapping[str, object], **more: object) -> Any:
        """Do something, and return the results."""
        body = {"action": action, "targets": targets, **more}
        answer = self.send("POST", "/api/actions", body)
        assert answer.status == 200, answer.text
        return answer.json()["results"]

    def server(self, address: str) -> Any:
        """Return a server by its address."""
        (found,) = [
            each
            for each in self.json("/api/servers")["servers"]
            if each["address"] == address
        ]
        return found

    def function(self, name: str | bytes) -> Any:
        """Return a function, {} if there is none (yet)."""
        answer = self.get(f"/api/function?{urlencode({'function': name})}")
        return answer.json() if answer.status == 200 else {}


def command(*options: str) -> list[str]:
    return [sys.executable, "-P", "-m", "gearman.monitor", *options]


@contextmanager
def monitor(
    *addresses: str,
    options: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[Browser]:
    """Run a monitor of these servers, with its history in memory."""
    port = servers.free_port()
    given = ["--listen", f"{HOST}:{port}", "--db", ":memory:"]
    if addresses:
        given += ["--servers", ",".join(addresses)]
    process = subprocess.Popen(
        command(*given, *options),
        env={**servers.package_environment(), **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        assert line == f"gearman-monitor: http://{HOST}:{port}/\n"
        browser = Browser(port)
        session = browser.get("/api/session")
        if session.status == 200:
            browser.token = session.json()["token"]
        yield browser
    finally:
        servers.end(process)
        assert process.stdout is not None
        process.stdout.close()
