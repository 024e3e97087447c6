"""A sweep on a real MLflow server, which goes away in the middle and comes back."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from sweep_bench import Bench


class Server:
    """A real MLflow server on a store, which can be stopped and started again."""

    def __init__(self, bench: Bench):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.bench, self.uri = bench, f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{self.bench.database}"]
        command += ["--artifacts-destination", str(self.bench.folder / "artifacts"), "--workers", "1"]
        self.process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            start_new_session=True,
        )
        self.bench.wait_for(self.healthy)

    def healthy(self) -> bool:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(f"{self.uri}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.mark.slow
def test_server_that_goes_away_in_the_middle_costs_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    server = Server(bench)
    try:
        line = bench.line("--workers", "1", "--tracking-uri", server.uri, seeds="1-3", epochs="5")
        driver = bench.start(line)
        bench.wait_for(lambda: bench.seeds() == [1])
        server.stop()
        out, err = driver.communicate(timeout=300)
        assert (driver.returncode, err.count("\n")) == (1, 1), err
        # The first run waits as well if the server went away before it said that it had it.
        assert re.search("[23] runs wait; the same command, or benchmark ingest", err)
        assert "3 of 3 runs done, 0 failed" in out
        assert len(bench.place.waiting()) in (2, 3)

        # Without a store nothing is begun: what is done is not known.
        code, _, err = bench.run(line)
        assert (code, err.count("\n")) == (1, 1)
        assert server.uri in err
        server.start()
        code, out, err = bench.run(line)
        assert (code, err) == (0, "")
        assert "3 runs: 3 done before" in out
    finally:
        server.stop()
    assert bench.seeds() == [1, 2, 3]
    assert bench.place.waiting() == bench.runs("RUNNING") == []
