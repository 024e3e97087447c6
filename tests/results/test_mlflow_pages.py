"""The pages of MLflow, in a real browser: the compare view tells runs apart by name and says which is best."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.results.sources import MLFLOW, Source
from benchmark.store import Store
from benchmark.studies.stir import STIR

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no browser: install the Debian package chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


@pytest.fixture(scope="module")
def link(database) -> Iterator[str]:
    """The link to the store's pages that `benchmark ui` prints, until the tests are through."""
    command = [sys.executable, "-c", "import sys; from benchmark.cli import main; sys.exit(main(sys.argv[1:]))"]
    server = subprocess.Popen([*command, "ui", "--tracking-uri", database], stdout=subprocess.PIPE, text=True)
    try:
        yield re.search(r"http://\S+", server.stdout.readline())[0]
    finally:
        server.terminate()
        server.communicate(timeout=30)


def page(url: str, profile: Path) -> str:
    """The document of a page after its scripts have run."""
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", "--virtual-time-budget=30000", "--dump-dom", url]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=240).stdout


def compare_url(link: str, store: Store, run_ids: list[str]) -> str:
    experiments = sorted({store.client.get_run(run_id).info.experiment_id for run_id in run_ids})
    query = urllib.parse.urlencode({"runs": json.dumps(run_ids), "experiments": json.dumps(experiments)})
    return f"{link}#/compare-runs?{query}"


def test_the_compare_view_of_three_runs_says_which_is_best(link, database, tmp_path):
    store = Store(database)
    runs = Source(STIR, [MLFLOW], database).runs
    chosen = runs[runs["model"] == "standard"]["run_id"].tolist()
    assert len(chosen) == 3
    document = page(compare_url(link, store, chosen), tmp_path)
    for run_id in chosen:
        assert store.client.get_run(run_id).info.run_name in document
    for name in ("test_acc", "unseen_acc", "equivariance_stage2", "scale_consistency"):
        assert name in document
    assert "Mid2Rest" in document


def test_a_page_of_other_runs_does_not_hold_what_is_asserted(link, database, tmp_path):
    """The check can fail: without the runs in the address their names are not in the page."""
    store = Store(database)
    other = Source(STIR, [MLFLOW], database).runs.query("model == 'slice_pool'")["run_id"].tolist()
    document = page(compare_url(link, store, other * 2), tmp_path)
    assert "standard s1" not in document
