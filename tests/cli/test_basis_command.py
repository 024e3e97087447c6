"""`benchmark basis`: what it prints, keeps and refuses."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from benchmark.cli.basis import NAMES, basis
from siconvnet.errors import InvalidArgument, UnknownName


def run(tmp_path, *arguments: str) -> list[str]:
    result = CliRunner().invoke(
        basis, arguments, env={"SICONVNET_DATA": str(tmp_path)}, catch_exceptions=False, standalone_mode=False
    )
    return result.output.splitlines()


def test_solves_shows_and_keeps(tmp_path):
    lines = run(tmp_path, "disco", "--size", "9", "--effective-size", "3", "--scales", "1,1.5,2")
    assert lines[0] == "disco: 9 functions, 9 x 9 pixels, rank at each scale [9, 9, 9]"
    (kept,) = (tmp_path / "bases").iterdir()
    assert lines[1] == f"kept in {kept}"
    errors = {line[:20].strip(): float(line.split()[-1]) for line in lines[4:]}
    assert min(errors, key=errors.__getitem__) == "disco" and len(errors) == 4


def test_other_bases_take_options(tmp_path):
    lines = run(tmp_path, "hermite_b", "--scales", "2,2.52,3.17,4", "-o", "mult=1.4", "-o", "max-order=3")
    assert lines[0].startswith("hermite_b: 49 functions") and not (tmp_path / "bases").exists()


def test_one_scale_has_no_pairs(tmp_path):
    assert len(run(tmp_path, "hermite_a", "--scales", "2")) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["disco", "--scales", "1,two"], "separated by commas"),
        (["disco", "--scales", "2,1"], "ascending"),
        (["disco", "--size", "14"], "odd"),
        (["disco", "-o", "mult=2"], "takes no options"),
        (["hermite_b", "-o", "mult"], "KEY=NUMBER"),
        (["hermite_b", "-o", "mult=x"], "KEY=NUMBER"),
        (["hermite_a", "-o", "mult=2"], "takes smallest_scale, not mult"),
    ],
)
def test_refuses(tmp_path, arguments, message):
    with pytest.raises(InvalidArgument, match=message):
        run(tmp_path, *arguments)


def test_unknown_basis(tmp_path):
    with pytest.raises(UnknownName, match="Did you mean 'disco'"):
        run(tmp_path, "disko")


def test_help_names_every_basis():
    text = " ".join(basis.get_help(click.Context(basis)).split())
    assert all(name in text for name in NAMES)
