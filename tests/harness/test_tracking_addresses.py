"""Where a store is: what a user may write, and what is shown of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.store import resolve_uri, shown
from benchmark.store.addresses import without_secrets
from benchmark.store.client import quieten
from siconvnet.errors import InvalidArgument


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/a/b.db", "sqlite:////a/b.db"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("postgresql+psycopg://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
    ],
)
def test_addresses_of_stores(given: str, expected: str) -> None:
    assert resolve_uri(given) == expected


def test_a_store_has_one_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    monkeypatch.chdir(tmp_path / "a")
    ways = ["x.db", "sqlite:///x.db", f"{tmp_path}/b/../a/x.db", "../link/x.db", f"sqlite:///{tmp_path}/link/x.db"]
    assert {resolve_uri(way) for way in ways} == {f"sqlite:///{tmp_path.resolve()}/a/x.db"}
    monkeypatch.chdir(tmp_path)
    assert resolve_uri("sqlite:///x.db") == f"sqlite:///{tmp_path.resolve()}/x.db"


@pytest.mark.parametrize("given", ["mlruns", "ftp://host", "file:///x", "databricks"])
def test_other_addresses_are_refused(given: str) -> None:
    with pytest.raises(InvalidArgument, match="not accepted"):
        resolve_uri(given)


def test_default_store_is_the_users_and_the_environment_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_uri(None).startswith(f"sqlite:///{os.environ['HOME']}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:1")
    assert resolve_uri(None) == "http://host:1"


SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:////a/b.db", "/a/b.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("https://host/path/of/it", "https://host/path/of/it"),
        ("postgresql://me:s3cr3t@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:s3@cr3t/s3cr3t@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql://me:s3cr3t?s3cr3t@host/db", "postgresql://me:***@host/db"),
        ("http://:s3cr3t@host", "http://***@host"),
        ("https://s3cr3t:x-oauth-basic@host", "https://***@host"),
        ("https://s3cr3t@host", "https://***@host"),
        ("postgresql://host/db?user=me&password=s3cr3t", "postgresql://host/db?user=***&password=***"),
        ("mysql://me:s3cr3t@host/db?ssl=s3cr3t", "mysql://me:***@host/db?ssl=***"),
    ],
)
def test_addresses_are_shown_without_secrets(uri: str, expected: str) -> None:
    assert shown(uri) == expected


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12))
def test_no_password_is_shown(password: str) -> None:
    secret = f"{SECRET}{password}{SECRET}"
    for uri in (
        f"postgresql://me:{secret}@host/db",
        f"https://{secret}@host",
        f"https://me:{secret}@host",
        f"http://host/?token={SECRET}",
    ):
        assert SECRET not in shown(uri)
        assert SECRET not in without_secrets(f"API request to {uri}/api/2.0 failed ('{uri}'): {secret}", uri)


@pytest.mark.parametrize(
    "text",
    [
        "API request to http://alice:s3cr3t@host:5000/api/2.0/mlflow/runs failed",
        "see <https://s3cr3t@other/x>, or 'postgresql+psycopg2://u:s3cr3t@h/d'.",
        "password authentication failed for s3cr3t",
    ],
)
def test_what_others_write_is_shown_without_secrets(text: str) -> None:
    said = without_secrets(text, f"http://alice:{SECRET}@host:5000")
    assert SECRET not in said
    assert "***" in said


def test_harmless_text_stays_as_it_is() -> None:
    text = "no such run: http://host:5000/api/2.0 said (404), see https://mlflow.org/docs"
    assert without_secrets(text, "http://host:5000") == text


@pytest.mark.parametrize("uri", ["http://alice:s3cr3t@127.0.0.1:9", "https://s3cr3t@127.0.0.1:9", "ftp://a:s3cr3t@h"])
def test_no_command_says_the_password_of_a_store(uri: str, python: Callable[..., Any]) -> None:
    code = "import sys; from benchmark.cli import main; sys.exit(main(sys.argv[1:]))"
    done = python(code, "leaderboard", "--tracking-uri", uri, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    assert done.returncode != 0
    assert "***@" in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_mlflow_prints_no_address_of_its_own(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking._tracking_service.client import TrackingServiceClient

    monkeypatch.delenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", raising=False)
    quieten()
    TrackingServiceClient(f"http://alice:{SECRET}@127.0.0.1:9")._log_url("0" * 32)
    assert capfd.readouterr().out == ""
