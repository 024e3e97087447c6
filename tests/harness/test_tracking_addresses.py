"""Where a store is: what a user may write, and what is shown of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmark.store import resolve_uri, shown
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


def test_password_is_not_shown() -> None:
    assert shown("postgresql://me:secret@host/db") == "postgresql://me:***@host/db"
