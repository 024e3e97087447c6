"""Every command works on a study that another package adds, with its own setting and objects of 272 pixels."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmark.cli import main
from benchmark.spec import RunSpec
from benchmark.store import Store
from benchmark.store.evaluations import read_predictions
from benchmark.studies import lookup
from siconvnet import models

PACKAGE = Path(__file__).parent / "stranger"
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package, found as an installed one is, and a store of its runs."""
    database = tmp_path_factory.mktemp("stranger") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PACKAGE))
        patch.setenv("PYTHONPATH", str(PACKAGE))  # of the workers of a sweep
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
        patch.setenv("XDG_DATA_HOME", str(database.parent))
        for registry in (lookup._registry, models._registry):
            patch.setattr(registry, "_plugins", None)
            patch.setattr(registry, "_objects", dict(registry._objects))
        # The options of commands are made from the studies that there are when the commands are first loaded.
        for command in ("run", "sweep", "status", "models"):
            patch.delitem(sys.modules, f"benchmark.cli.{command}", raising=False)
        assert (
            main(
                [
                    "sweep",
                    "-m",
                    "shape_net",
                    "-d",
                    "shapes",
                    "--contrasts",
                    "100,200",
                    "--seeds",
                    "0",
                    "--executor",
                    "inline",
                ]
            )
            == 0
        )
        yield database
        for command in ("run", "sweep", "status", "models"):
            sys.modules.pop(f"benchmark.cli.{command}", None)
    sys.modules.pop("shapes_study")


def run(capsys: Capture, line: str) -> str:
    code = main(line.split())
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("run -m shape_net -d shapes --seed 0", "finished before"),
        ("run -d shapes --help", "--contrast INTEGER    Gray level of the objects.  [default: 200]"),
        ("sweep --help", "--contrasts LIST"),
        ("sweep -m shape_net -d shapes --contrasts 100,200 --seeds 0 --dry-run", "2 runs: 2 done"),
        ("status", "2 runs: 2 done"),
        ("datasets", "nothing to do"),
        ("models --study shapes", "Squares and discs."),
        ("check shape_net", "passed"),
        ("evaluate -d shapes", "err_272_272"),
        ("leaderboard -d shapes", "shape_net"),
        ("export -d shapes", "params.contrast"),
        ("speed --study shapes --batch-size 2 --repeats 1 --out OUT", "shape_net"),
    ],
)
def test_a_command(line: str, expected: str, capsys: Capture, tmp_path: Path) -> None:
    assert expected in run(capsys, line.replace("OUT", str(tmp_path)))


def test_a_leaderboard_has_a_section_for_each_value_of_its_setting(capsys: Capture) -> None:
    out = run(capsys, "leaderboard -d shapes")
    assert "contrast 100" in out and "contrast 200" in out


def test_sizes_above_a_byte_are_kept(capsys: Capture) -> None:
    store = Store()
    found = store.find_finished(RunSpec("shape_net", "shapes"))
    assert found is not None
    predictions = read_predictions(store, found.run_id)
    assert sorted(set(predictions.scales)) == [40, 160, 272]
    assert np.count_nonzero(predictions.scales == 272) == 8


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("run -m shape_net -d shapes --contrast 0", "contrast 0 is not accepted: it must be within 1 and 255"),
        ("run -m shape_net -d shapes --evaluation 2", "--evaluation 2 does not apply to a run on shapes"),
        ("run -m standard -d emoji -e 2 --contrast 3", "--contrast 3 does not apply to a run on emoji"),
        ("run -m shape_net -d emoji -e 2 --epochs x", "--epochs must be an integer, not 'x'"),
        ("sweep -m shape_net -d shapes --contrasts dark", "contrasts: 'dark'"),
    ],
)
def test_bad_input_is_one_line(line: str, message: str, capsys: Capture) -> None:
    assert main(line.split()) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


@pytest.mark.slow
def test_a_sweep_of_it_that_is_killed_goes_on(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'x.db'}",
        "XDG_DATA_HOME": str(tmp_path),
    }
    command = [
        sys.executable,
        "-c",
        "from benchmark.cli import main; raise SystemExit(main())",
        "sweep",
        "-m",
        "shape_net",
        "-d",
        "shapes",
        "--contrasts",
        "1-9",
    ]
    command += ["--seeds", "0-2", "--workers", "1"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True) as sweep:
        assert sweep.stdout
        for line in sweep.stdout:
            if line.startswith("[3/"):
                break
        os.killpg(sweep.pid, signal.SIGKILL)
    began = time.time()
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "27 of 27 runs done, 0 failed" in again.stdout
    assert "27 runs: 0 done before" not in again.stdout and time.time() - began < 300
