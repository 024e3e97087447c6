"""Names, targets and plug-ins: what there is, what others add, and what goes wrong with it."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import siconvnet
from siconvnet.errors import InvalidArgument, UnknownName
from siconvnet.models import ModelInfo, is_target
from siconvnet.models.info import describe_model
from siconvnet.registry import PluginWarning, Registry, load_target

GROUP = "siconvnet.models"
GOOD = """
    from torch import nn

    class Net(nn.Module):
        label = "My net"
        stages = ("act",)

        def __init__(self, num_channels, num_classes):
            super().__init__()
            self.act = nn.ReLU()
            self.lin = nn.Linear(num_channels, num_classes)

        def forward(self, x):
            return self.lin(self.act(x).mean((2, 3)))
"""


class Site:
    """A folder on sys.path in which packages are installed as an installer leaves them."""

    def __init__(self, folder: Path):
        self.folder = folder

    def module(self, name: str, source: str) -> None:
        (self.folder / f"{name}.py").write_text(textwrap.dedent(source), encoding="utf-8")

    def install(self, package: str, entry_points: str, group: str = GROUP) -> None:
        info = self.folder / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
        text = f"[{group}]\n{textwrap.dedent(entry_points)}" if group else entry_points
        (info / "entry_points.txt").write_text(text, encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    # What a test imports and registers is forgotten after it.
    monkeypatch.setattr(siconvnet.models._registry, "_objects", dict(siconvnet.models._registry._objects))
    monkeypatch.syspath_prepend(folder)
    yield Site(folder)
    for path in folder.glob("*.py"):
        sys.modules.pop(path.stem, None)


def registry(**builtin: str) -> Registry[ModelInfo]:
    return Registry("model", builtin, GROUP, adapt=describe_model)


def test_names_and_patterns() -> None:
    assert siconvnet.list_models()[:4] == ["standard", "pixel_pool", "slice_pool", "energy_pool"]
    assert siconvnet.list_models("*_pool") == ["pixel_pool", "slice_pool", "energy_pool"]
    assert siconvnet.list_models("sacnn_*") == ["sacnn_s_mp", "sacnn_s_at", "sacnn_m_mp", "sacnn_m_at"]
    assert siconvnet.list_models("nothing*") == []


def test_models_by_study(site: Site) -> None:
    counts = {name: len(siconvnet.list_models(study=name)) for name in ("stir", "mnist-scale", "mnist-range", "stl10")}
    assert counts == {"stir": 22, "mnist-scale": 36, "mnist-range": 1, "stl10": 9}
    assert len(siconvnet.list_models()) == 68
    assert siconvnet.list_models("*_ses_?", study="stl10") == ["wrn_16_8_ses_a", "wrn_16_8_ses_b", "wrn_16_8_ses_c"]
    assert siconvnet.list_models(study="of another package") == []
    site.module("my_file", "from siconvnet import register_model\n" + textwrap.dedent(GOOD))
    net = importlib.import_module("my_file").Net
    siconvnet.register_model("my_net", label="L", family="F", paper="P")(net)
    assert siconvnet.list_models(study="of another package") == ["my_net"]
    assert siconvnet.list_models(study="stl10")[-1] == "my_net"


def test_listing_names_imports_no_torch() -> None:
    code = (
        "import sys, siconvnet; siconvnet.list_models(study='stl10'); siconvnet.model_info('ses_vector_28');"
        "print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("ses_vector_28", {}, (1, 28)),
        ("wrn_16_8_ses_b", {"widen": 1}, (3, 32)),
        ("scale_probe", {"image_size": 84}, (1, 84)),
        ("pixel_pool", {"image_size": 32}, (2, 32)),
    ],
)
def test_every_study_s_networks_are_built_alike(name: str, options: dict[str, int], shape: tuple[int, int]) -> None:
    channels, side = shape
    model = siconvnet.create_model(name, num_channels=channels, num_classes=4, **options)  # type: ignore[arg-type]
    assert model(torch.rand(2, channels, side, side)).shape == (2, 4)


def test_an_option_that_a_model_lacks() -> None:
    with pytest.raises(UnknownName, match=r"unknown option of standard 'kernelsize'\. Did you mean 'kernel_size'"):
        siconvnet.create_model("standard", num_channels=1, num_classes=2, kernelsize=5)


def test_a_class_of_ours_as_a_target_is_for_every_study() -> None:
    info = siconvnet.model_info("siconvnet.models.stir.ses_learned:SESLearned")
    assert info.label == "SESN learned" and info.learned_scales and not info.studies


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'pixel_pool'"):
        siconvnet.model_info("pixelpool")


def test_two_things_of_one_name_are_refused() -> None:
    table: Registry[int] = Registry("number", {})
    assert table.register("one", 1) == table.register("one", 1) == 1
    with pytest.raises(InvalidArgument, match="'one' is registered already"):
        table.register("one", 2)


def test_a_builtin_name_is_taken_before_it_is_used(site: Site) -> None:
    register = "@register_model('standard', label='L', family='F', paper='P')\nclass Net"
    site.module(
        "my_standard", "from siconvnet import register_model\n" + textwrap.dedent(GOOD).replace("class Net", register)
    )
    code = """
        import siconvnet
        try:
            import my_standard
        except siconvnet.errors.InvalidArgument as error:
            print(error)
        print(siconvnet.model_info("standard").load().__module__)
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(site.folder)},
    )
    complaint, module = found.stdout.splitlines()
    assert "'standard' is registered already" in complaint
    assert module == "siconvnet.models.stir.standard"


def test_a_module_that_is_loaded_again_registers_again(site: Site) -> None:
    register = "@register_model('my_net', label='L', family='F', paper='P')\nclass Net"
    source = textwrap.dedent(GOOD).replace("class Net", register)
    site.module("my_module", "from siconvnet import register_model\n" + source)
    module = importlib.import_module("my_module")
    before = siconvnet.model_info("my_net").factory
    importlib.reload(module)
    assert siconvnet.model_info("my_net").factory is not before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_channels": 0}, "at least 1 channel"),
        ({"num_classes": 1}, "2 classes"),
        ({"kernel_size": 8}, "odd"),
        ({"kernel_size": 33}, "at most 31"),
        ({"interpolation": "cubic"}, "Did you mean 'bicubic'"),
        ({"image_size": 28, "kernel_size": 15}, "at most 13"),
        ({"image_size": 4}, "images of 4 pixels are not accepted"),
    ],
)
def test_arguments_out_of_range(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        siconvnet.create_model("standard", **{"num_channels": 1, "num_classes": 2, **changes})  # type: ignore[arg-type]


# Targets


def test_a_target_is_as_good_as_a_name(site: Site) -> None:
    site.module("someones_net", GOOD)
    info = siconvnet.model_info("someones_net:Net")
    assert (info.name, info.label, info.family, info.stages) == ("someones_net:Net", "My net", "own", ("act",))
    assert not info.uses_kernel_size
    model = siconvnet.create_model("someones_net:Net", num_channels=3, num_classes=5)
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 5)
    assert model.training
    assert not is_target("standard")


def test_a_target_gets_the_arguments_that_it_names(site: Site) -> None:
    site.module(
        "someones_factory",
        """
        from torch import nn

        def build(num_classes, interpolation, *, kernel_size=5):
            net = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.LazyLinear(num_classes))
            net.seen = (interpolation, kernel_size)
            return net
        """,
    )
    model = siconvnet.create_model("someones_factory:build", num_channels=1, num_classes=4, kernel_size=9)
    assert model.seen == ("bicubic", 9)
    info = siconvnet.model_info("someones_factory:build")
    assert (info.label, info.uses_kernel_size, info.uses_interpolation) == ("build", True, True)


def test_a_target_that_its_file_registers(site: Site) -> None:
    register = "@register_model('someones_name', label='L', family='F', paper='P', stages=('act',))"
    source = textwrap.dedent(GOOD).replace('stages = ("act",)', "").replace("class Net", f"{register}\nclass Net")
    site.module("registered_net", "from siconvnet import register_model\n" + source)
    info = siconvnet.model_info("registered_net:Net")
    assert (info.name, info.label, info.stages) == ("registered_net:Net", "L", ("act",))
    assert siconvnet.model_info("someones_name").factory is info.factory


def test_looking_a_target_over_draws_no_random_numbers(site: Site) -> None:
    site.module("someones_net", GOOD)

    torch.manual_seed(3)
    by_hand, next_number = torch.nn.Linear(1, 4), torch.rand(1)
    torch.manual_seed(3)
    model = siconvnet.create_model("someones_net:Net", num_channels=1, num_classes=4)
    assert torch.equal(torch.rand(1), next_number)
    assert torch.equal(model.lin.weight, by_hand.weight)


BAD = """
    import torch
    from torch import nn

    class NoModule: ...
    class Wrong(nn.Module):
        def forward(self, x): return x.mean((2, 3))
    class Tuple(nn.Module):
        def forward(self, x): return x, x
    class Fails(nn.Module):
        def forward(self, x): return x @ x.new_zeros(3)
    class NeedsMore(nn.Module):
        def __init__(self, depth): super().__init__()
    class BadStages(nn.Module):
        stages = (3, 4)
    class BadLabel(nn.Module):
        label = 3
    def seven(num_classes): return 7
    instance = nn.Linear(1, 1)
    number = 3
"""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("NoModule", "is not a model: the class NoModule is not a subclass of torch.nn.Module"),
        ("Wrong", r"gives \[2, 1\] for 2 images of 5 classes, not \[2, 5\]"),
        ("Tuple", "gives tuple for 2 images"),
        ("Fails", r"fails on images \[2, 1, 64, 64\]: RuntimeError: .*\(bad_models.py, line 11\)"),
        ("NeedsMore", r"NeedsMore\(\) cannot be built: TypeError: .*'depth'"),
        ("BadStages", r"'stages' of .* must be a tuple of names of submodules"),
        ("BadLabel", "'label' of .* must be text"),
        ("seven", "returns an object of int, not a torch.nn.Module"),
        ("instance", "an object of Linear; name a subclass of torch.nn.Module"),
        ("number", "an object of int"),
        ("nothing", r"module 'bad_models' \(.*bad_models.py\) has no attribute 'nothing'"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(site: Site, name: str, message: str) -> None:
    site.module("bad_models", BAD)
    with pytest.raises(InvalidArgument, match=message) as caught:
        siconvnet.create_model(f"bad_models:{name}", num_channels=1, num_classes=5)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import nowhere_to_be_found", r"ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("def f(:", r"SyntaxError: .*broken_net.py, line 1\)"),
        ("x = 1 / 0", r"ZeroDivisionError: division by zero \(broken_net.py, line 1\)"),
        ("raise SystemExit(2)", r"SystemExit: 2 \(broken_net.py, line 1\)"),
        ("import torch\ntorch.nothing", r"AttributeError: .*no attribute 'nothing'"),
    ],
)
def test_a_module_that_does_not_import(site: Site, source: str, message: str) -> None:
    site.module("broken_net", source)
    with pytest.raises(InvalidArgument, match=f"cannot import 'broken_net' of 'broken_net:Net': {message}"):
        siconvnet.model_info("broken_net:Net")


@pytest.mark.parametrize(
    ("target", "like"),
    [
        ("my_net.py:Net", "my_net:Net"),
        ("folder/my_net.py:Net", "folder.my_net:Net"),
        ("./my_net.py:", "my_net:Class"),
        ("my_net:", "package.module:Class"),
        (":Net", "package.module:Class"),
        ("my-net:Net", "package.module:Class"),
        ("a:b:c", "package.module:Class"),
    ],
)
def test_how_a_target_is_written(target: str, like: str) -> None:
    with pytest.raises(InvalidArgument, match=f"is no target; write it as {like}"):
        load_target(target)


def test_a_file_with_the_name_of_an_installed_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("json.py").write_text("class Net: ...", encoding="utf-8")
    with pytest.raises(InvalidArgument, match=r"your json.py cannot be imported under that name, rename it"):
        load_target("json:Net")


# Plug-ins


def test_a_plugin_is_listed_and_built(site: Site) -> None:
    site.module("plugin_net", GOOD)
    site.install("plugin", "my_net = plugin_net:Net\n")
    models = registry(standard="siconvnet.models.standard")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert models.names() == ["standard", "my_net"]
        assert "plugin_net" not in sys.modules
        info = models["my_net"]
    assert (info.name, info.label, info.stages) == ("my_net", "My net", ("act",))
    assert models["my_net"] is info


def test_a_plugin_may_give_everything_that_is_known(site: Site) -> None:
    site.module(
        "plugin_net",
        textwrap.dedent(GOOD)
        + "from siconvnet import ModelInfo\n"
        + "info = ModelInfo('other', Net, 'Label', 'family', 'Paper 2024', 'https://example.org')\n",
    )
    site.install("plugin", "my_net = plugin_net:info\n")
    info = registry()["my_net"]
    assert (info.name, info.paper) == ("my_net", "Paper 2024")


@pytest.mark.parametrize(
    ("source", "value", "reason"),
    [
        ("import nowhere_to_be_found", "broken:Net", "ModuleNotFoundError"),
        ("def f(:", "broken:Net", "SyntaxError"),
        ("raise SystemExit(1)", "broken:Net", "SystemExit"),
        ("x = 1", "broken:Net", "no attribute 'Net'"),
        ("Net = 3", "broken:Net", "is not a model but an object of int"),
        ("x = 1", "broken", "is not a model but an object of module"),
        ("x = 1", "no target at all", "does not load"),
    ],
)
def test_a_broken_plugin_warns_and_leaves_the_others(site: Site, source: str, value: str, reason: str) -> None:
    site.module("broken", source)
    site.module("plugin_net", GOOD)
    site.install("broken", f"broken_net = {value}\n")
    site.install("good", "my_net = plugin_net:Net\n")
    models = registry(standard="siconvnet.models.standard")
    assert set(models.names()) == {"standard", "my_net", "broken_net"}
    with (
        pytest.warns(PluginWarning, match=f"the model plug-in 'broken_net' .*{reason}"),
        pytest.raises(InvalidArgument, match=f"the model plug-in 'broken_net' .*{reason}") as caught,
    ):
        models["broken_net"]
    assert "\n" not in str(caught.value)
    assert models["my_net"].label == "My net"


def test_a_name_that_is_taken_stays_what_it_was(site: Site) -> None:
    site.module("plugin_net", GOOD)
    site.install("one", "standard = plugin_net:Net\n")
    site.install("two", "my_net = plugin_net:Net\n")
    site.install("zzz", "my_net = plugin_net:Other\n")
    models = registry(standard="siconvnet.models.standard")
    with pytest.warns(PluginWarning) as caught:
        names = models.names()
    assert sorted(names) == ["my_net", "standard"]
    assert sorted(str(warning.message).split(" is left out")[0] for warning in caught)[-1].startswith(
        "the model plug-in 'standard' (plugin_net:Net)"
    )
    assert len(caught) == 2


def test_metadata_that_cannot_be_read(site: Site) -> None:
    site.module("plugin_net", GOOD)
    site.install("unreadable", "[siconvnet.models]\nthis line has no equals sign\n", group="")
    site.install("good", "my_net = plugin_net:Net\n")
    models = registry()
    with pytest.warns(PluginWarning, match="unreadable-1.0.dist-info cannot be read"):
        assert models.names() == ["my_net"]
    assert models["my_net"].label == "My net"


def test_another_process_sees_an_installed_plugin(site: Site) -> None:
    site.module("plugin_net", GOOD)
    site.module("broken", "import nowhere_to_be_found")
    site.install("plugin", "my_net = plugin_net:Net\n")
    site.install("broken", "broken_net = broken:Net\n")
    code = """
        import siconvnet
        for name in siconvnet.list_models("*_net"):
            try:
                print(name, siconvnet.model_info(name).label)
            except siconvnet.errors.InvalidArgument:
                print(name, "broken")
        print(siconvnet.create_model("my_net", num_channels=1, num_classes=2).lin)
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(site.folder)},
    )
    lines = found.stdout.splitlines()
    assert sorted(lines[:2]) == ["broken_net broken", "my_net My net"]
    assert lines[2].startswith("Linear(in_features=1, out_features=2")
    assert found.returncode == 0
    assert found.stderr.count("PluginWarning: the model plug-in 'broken_net' (broken:Net) does not load") == 1
