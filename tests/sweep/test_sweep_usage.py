"""What a person gets wrong with sweeps: one line, before anything starts."""

from __future__ import annotations

import pytest
from sweep_bench import Bench


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["--executor", "proceses"], "Did you mean 'processes'"),
        (["--executor", "inline", "--workers", "2"], "--workers has no meaning"),
        (["--slurm-partition", "x"], "needs --executor slurm"),
        (["--device", "gpu"], "unknown device"),
        (["--workers", "0"], "--workers"),
        (["--tracking-uri", "ftp://x"], "not accepted"),
        (["--seeds", "3-1"], "empty"),
        (["--work-dir", "/dev/null/x"], "cannot write"),
        (["--seeds", "1" * 4000], "whole number of at most 18 digits"),
        (["--seeds", "1" * 5000], "one of more than 4,096 characters"),
        (["--checkpoint-every", "nan"], "'nan' is no finite number"),
        (["--executor", "ray", "--device", "cpu", "--ray-gpus", "0.5"], "--device cpu contradicts --ray-gpus 0.5"),
        (["--executor", "ray", "--device", "cuda", "--ray-gpus", "0"], "--device cuda contradicts --ray-gpus 0"),
        (["--executor", "slurm", "--device", "cpu", "--slurm-gpus", "1"], "--device cpu contradicts --slurm-gpus 1"),
    ],
)
def test_wrong_usage_is_one_line_before_anything_starts(
    bench: Bench, line: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmark.cli import main

    code = main(bench.line(*line))
    out, err = capsys.readouterr()
    assert code in (1, 2)
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
    assert not bench.place.root.exists()


@pytest.mark.parametrize(("device", "workers"), [("cuda:1", 1), ("cpu", 5)])
def test_a_gpu_that_was_named_gets_one_worker(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, device: str, workers: int
) -> None:
    from benchmark.cli import main

    asked = {}
    monkeypatch.setattr("benchmark.system.environment.find_device", lambda name: name)
    monkeypatch.setattr("benchmark.sweeps.executors.base.cpu_count", lambda: 5)
    monkeypatch.setattr("benchmark.sweeps.executors.base._MEMORY", 1)
    monkeypatch.setattr(
        "benchmark.sweeps.executors.make_executor", lambda *args, **options: asked.update(options) or 1 / 0
    )
    assert main([*bench.line(), "--device", device]) == 1
    assert asked == {"workers": workers, "gpus": 0}


def test_status_without_a_sweep_says_what_to_do(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    from benchmark.cli import main

    assert main(["status", *bench.where()]) == 1
    assert "no sweep is known" in capsys.readouterr().err
