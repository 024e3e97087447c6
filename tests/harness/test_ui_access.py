"""`benchmark ui` serves the one who started it, and nobody and nothing else."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.store import Store

UI = (sys.executable, "-c", "import sys; from benchmark.cli import main; sys.exit(main(sys.argv[1:]))", "ui")
SEARCH = "/api/2.0/mlflow/experiments/search?max_results=5"


class Pages:
    """A running `benchmark ui`."""

    def __init__(self, database: Path):
        line = [*UI, "--tracking-uri", str(database)]
        self.process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)", self.line)
        assert found, (self.line, self.process.communicate())
        self.port, self.token = int(found[1]), found[2]
        self.bearer = {"Authorization": f"Bearer {self.token}"}

    def ask(
        self, path: str, method: str = "GET", body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if sent else {}
        connection.request(method, path, sent, {**kind, **headers})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def call(self, path: str, body: Any) -> dict[str, Any]:
        status, _, answer = self.ask(f"/api/2.0/mlflow/{path}", "POST", body, **self.bearer)
        assert status == 200, answer
        found: dict[str, Any] = json.loads(answer)
        return found


@pytest.fixture(scope="module")
def folder(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ui")
    (path / "mlflow.db").write_bytes(empty_store.read_bytes())
    return path


@pytest.fixture(scope="module")
def pages(folder: Path) -> Iterator[Pages]:
    served = Pages(folder / "mlflow.db")
    yield served
    served.process.terminate()
    served.process.communicate(timeout=30)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer \u00e9"},
        {"Cookie": "siconvnet-ui-1=x"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/health", SEARCH, "/ajax-api/2.0/mlflow/runs/search", "/?token=wrong"])
def test_without_the_token_nothing_is_served(pages: Pages, path: str, headers: dict[str, str]) -> None:
    status, _, body = pages.ask(path, **headers)
    assert (status, b"benchmark ui printed" in body) == (401, True)


def test_the_link_logs_a_browser_in_and_does_not_stay_in_its_history(pages: Pages) -> None:
    status, headers, _ = pages.ask(f"/?a=1&token={pages.token}")
    assert (status, headers["location"]) == (303, "/?a=1")
    cookie = headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict"} <= {part.strip() for part in cookie.split(";")}
    logged_in = {"Cookie": cookie.partition(";")[0]}
    assert pages.ask("/", **logged_in)[0] == 200
    assert b"Default" in pages.ask(SEARCH, **logged_in)[2]


def test_scripts_come_with_the_token_of_mlflows_client(pages: Pages) -> None:
    assert pages.ask(SEARCH, **pages.bearer)[0] == 200


@pytest.mark.parametrize("host", ["10.evil.com", "10.0.0.1", "192.168.evil.com", "localhost.evil.com", "127.0.0.1", ""])
def test_other_names_of_the_host_are_refused(pages: Pages, host: str) -> None:
    assert pages.ask("/health", Host=host, **pages.bearer)[0] in (400, 403)


def test_own_names_of_the_host_are_accepted(pages: Pages) -> None:
    for host in ("127.0.0.1", "localhost"):
        assert pages.ask("/health", Host=f"{host}:{pages.port}", **pages.bearer)[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.com", "http://127.0.0.1:1", "null"])
def test_pages_of_other_servers_are_refused(pages: Pages, origin: str) -> None:
    assert pages.ask(SEARCH, Origin=origin, **pages.bearer)[0] == 403
    assert pages.ask(SEARCH, Origin=f"http://127.0.0.1:{pages.port}", **pages.bearer)[0] == 200


@pytest.mark.parametrize("place", ["link", "outside", "s3"])
def test_artifacts_outside_of_the_stores_folder_are_not_served(
    pages: Pages, folder: Path, tmp_path: Path, place: str
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "id").write_text("a secret")
    (tmp_path / "link").symlink_to(secret)
    location = {"link": (tmp_path / "link").as_uri(), "outside": secret.as_uri(), "s3": "s3://bucket/x"}[place]
    experiment = pages.call("experiments/create", {"name": str(tmp_path), "artifact_location": location})
    run = pages.call("runs/create", {"experiment_id": experiment["experiment_id"], "start_time": 1})["run"]["info"]
    query = urllib.parse.urlencode({"run_uuid": run["run_id"], "run_id": run["run_id"], "path": "id"})
    if place == "link":
        # What is asked of the server is there: MLflow itself would have given it out.
        assert Path(urllib.parse.urlparse(run["artifact_uri"]).path).parents[1].samefile(secret)
    for path in (f"/get-artifact?{query}", f"/ajax-api/2.0/mlflow/artifacts/list?{query}"):
        status, _, body = pages.ask(path, **pages.bearer)
        assert status >= 400
        assert b"outside of" in body
    status, _, _ = pages.ask(f"/ajax-api/2.0/mlflow/upload-artifact?{query}", "POST", b"changed", **pages.bearer)
    assert status >= 400
    assert [path.name for path in secret.rglob("*")] == ["id"]
    assert (secret / "id").read_text() == "a secret"


def test_artifacts_of_the_store_are_served(pages: Pages, folder: Path, tmp_path: Path) -> None:
    store = Store(str(folder / "mlflow.db"))
    run = store.client.create_run(store._experiment("stir/emoji/Mid2Rest"))
    (tmp_path / "note.txt").write_text("a note")
    store.client.log_artifact(run.info.run_id, str(tmp_path / "note.txt"))
    status, _, body = pages.ask(f"/get-artifact?run_uuid={run.info.run_id}&path=note.txt", **pages.bearer)
    assert (status, body) == (200, b"a note")


def test_one_process_serves_and_nothing_is_left_of_it_when_it_is_killed(folder: Path) -> None:
    served = Pages(folder / "mlflow.db")
    command_line = Path(f"/proc/{served.process.pid}/cmdline")
    children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children")
    if children.exists():
        assert children.read_text() == ""
        assert b"mlflow" not in command_line.read_bytes().replace(bytes(folder / "mlflow.db"), b"")
    served.process.send_signal(signal.SIGKILL)
    served.process.communicate(timeout=30)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", served.port)) != 0


def test_it_ends_when_it_is_asked_to(folder: Path) -> None:
    served = Pages(folder / "mlflow.db")
    served.process.terminate()
    out, err = served.process.communicate(timeout=60)
    assert (served.process.returncode, out, err) == (0, "", "")


def test_a_taken_port_is_named(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        line = [*UI, "--tracking-uri", str(folder / "mlflow.db"), "--port", port]
        done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (1, f"error: port {port} is taken; leave out --port to get a free one.\n")
