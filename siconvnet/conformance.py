"""What every method must do to be trained and measured here, as small checks of a model; see `siconvnet.testing`.

A check is a function of a `Subject` that says what it found, or raises. `CHECKS` is the list of them.
"""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siconvnet.errors import InvalidArgument, SiconvnetError, UnknownName
from siconvnet.evaluation_mode import evaluation_mode
from siconvnet.metrics.hooks import captured
from siconvnet.models import IMAGE_SIZE, model_info
from siconvnet.models.info import ModelInfo, build_model, describe_model
from siconvnet.registry import reason_of

SETTINGS = {"gray": (1, 10), "colour": (3, 4)}
"""Name -> channels and classes that a model is built for. They differ in both, so that neither can be built in."""

TOLERANCE = 1e-3
"""Largest difference of logits, as a share of the largest logit, where the order of summation may change."""


class CheckFailed(AssertionError):
    """The model does not do what the check asks for."""


class NotApplicable(Exception):
    """The check has nothing to look at; not a failure."""


@dataclass(frozen=True)
class Subject:
    """A model to be checked.

    Attributes:
        name: what it is called in messages.
        build: gives a fresh module for ``(num_channels, num_classes)``, drawn from torch's global random state.
        stages, scale_pools: submodules that it declares; see `siconvnet.ModelInfo`.
        settings: those of `SETTINGS` that it can be built for.
        fixed: it is one built module, so that there is only one initialisation to look at.
        untold: those of `num_channels` and `num_classes` that it is not built with, as its signature lacks them.
    """

    name: str
    build: Callable[[int, int], nn.Module]
    stages: tuple[str, ...] = ()
    scale_pools: tuple[str, ...] = ()
    settings: Mapping[str, tuple[int, int]] = field(default_factory=lambda: SETTINGS)
    fixed: bool = False
    untold: tuple[str, ...] = ()

    def module(self, seed: int = 0, setting: str = "") -> nn.Module:
        """A fresh module in evaluation mode."""
        torch.manual_seed(seed)
        return self.build(*self._numbers(setting)).eval()

    def images(self, count: int = 2, setting: str = "") -> Tensor:
        """Noise in 0..1, the same at each call: ``[count, C, 64, 64]``."""
        generator = torch.Generator().manual_seed(1)
        shape = count, self._numbers(setting)[0], IMAGE_SIZE, IMAGE_SIZE
        return torch.rand(shape, generator=generator, dtype=torch.float32)

    @property
    def num_classes(self) -> int:
        return self._numbers("")[1]

    def _numbers(self, setting: str) -> tuple[int, int]:
        return self.settings[setting or next(iter(self.settings))]


def subject_of(
    model: str | ModelInfo | nn.Module | Callable[..., nn.Module],
    *,
    stages: Iterable[str] | None = None,
    scale_pools: Iterable[str] | None = None,
    **arguments: Any,
) -> Subject:
    """What is to be checked, from a name, ``package.module:Class``, a class or function, or a built module.

    Args:
        stages, scale_pools: instead of those that the model declares.
        arguments: `kernel_size`, `interpolation` and what else the factory is called with.

    Raises:
        UnknownName: no such method.
        InvalidArgument: no model, or a built module that takes neither gray nor colour images.
    """
    if isinstance(model, nn.Module):
        info, build = describe_model(type(model).__name__, type(model)), lambda *_: copy.deepcopy(model)
        settings: Mapping[str, tuple[int, int]] = _settings_of(model)
        untold = []
    else:
        if isinstance(model, str):
            info = model_info(model)
        else:
            info = describe_model(str(getattr(model, "name", getattr(model, "__name__", "the model"))), model)
        defaults = {"kernel_size": 7, "interpolation": "bicubic", **arguments}
        settings = SETTINGS
        untold = [key for key in ("num_channels", "num_classes") if not info.takes(key)]

        def build(num_channels: int, num_classes: int) -> nn.Module:
            return build_model(info, num_channels=num_channels, num_classes=num_classes, **defaults)

    declared = {"stages": info.stages, "scale_pools": info.scale_pools}
    given = {"stages": stages, "scale_pools": scale_pools}
    names = {key: declared[key] if value is None else _as_tuple(value) for key, value in given.items()}
    fixed = isinstance(model, nn.Module)
    return Subject(info.name, build, names["stages"], names["scale_pools"], settings, fixed, tuple(untold))


def _as_tuple(names: Iterable[str]) -> tuple[str, ...]:
    """A single name is one, and not its letters."""
    return (names,) if isinstance(names, str) else tuple(names)


def _settings_of(module: nn.Module) -> dict[str, tuple[int, int]]:
    reason = ""
    for setting, (num_channels, _) in SETTINGS.items():
        try:
            with torch.no_grad(), evaluation_mode(module):
                logits = module(torch.zeros(2, num_channels, IMAGE_SIZE, IMAGE_SIZE))
            return {setting: (num_channels, logits.shape[-1])}
        except Exception as error:
            reason = reason or reason_of(error)
    raise InvalidArgument(
        f"{type(module).__name__} takes neither gray nor colour images of {IMAGE_SIZE} pixels: {reason}"
    )


def _builds(subject: Subject) -> str:
    return f"{sum(p.numel() for p in subject.module().parameters()):,} parameters"


def _logits(setting: str) -> Callable[[Subject], str]:
    def check(subject: Subject) -> str:
        if setting not in subject.settings:
            raise NotApplicable(f"built for {' and '.join(subject.settings)} images")
        hint = f"; its signature names no {' and no '.join(subject.untold)}" if subject.untold else ""
        try:
            logits = _evaluate(subject.module(setting=setting), subject.images(setting=setting))
        except Exception as error:
            if not hint or isinstance(error, CheckFailed):
                raise
            raise CheckFailed(f"{reason_of(error)}{hint}") from error
        expected = [2, subject.settings[setting][1]]
        if list(logits.shape) != expected:
            raise CheckFailed(
                f"{list(logits.shape)} for 2 images of {expected[1]} classes; logits are {expected}, [B, num_classes]"
                f"{hint}"
            )
        _require(logits.dtype == torch.float32, f"logits are {logits.dtype} where images are float32")
        _require(bool(logits.isfinite().all()), "logits are not finite")
        return f"{list(subject.images(setting=setting).shape)} -> {expected}"

    return check


def _trainable(subject: Subject) -> str:
    count = sum(parameter.numel() for parameter in subject.module().parameters() if parameter.requires_grad)
    _require(count > 0, "no parameter requires a gradient: there is nothing to train")
    return f"{count:,} trained parameters"


def _gradients(subject: Subject) -> str:
    module = subject.module().train()
    loss = F.cross_entropy(module(subject.images()), torch.arange(2) % subject.num_classes)
    _require(loss.requires_grad, "no gradient reaches any parameter; does forward detach, or turn gradients off?")
    loss.backward()
    trained = {name: p.grad for name, p in module.named_parameters() if p.requires_grad}
    missing = [name for name, grad in trained.items() if grad is None]
    _require(not missing, f"no gradient reaches {', '.join(missing)}; are they used?")
    wrong = [name for name, grad in trained.items() if grad is not None and not grad.isfinite().all()]
    _require(not wrong, f"gradients of {', '.join(wrong)} are not finite")
    _require(any(bool(grad.any()) for grad in trained.values() if grad is not None), "all gradients are zero")
    return f"finite for {len(trained)} tensors"


def _images_kept(subject: Subject) -> str:
    images = subject.images()
    for module in (subject.module(), subject.module().train()):
        with torch.no_grad():
            module(images)
        _require(torch.equal(images, subject.images()), "forward writes to its input; a later epoch would see that")
    return "forward leaves its input as it is"


def _same_seed(subject: Subject) -> str:
    one, two = _states(subject, 1, 1)
    different = [name for name in one if not _same(one[name], two.get(name))]
    _require(not different, f"{', '.join(different)} differ between two models of one torch.manual_seed")
    return "torch.manual_seed settles the initialisation"


def _other_seed(subject: Subject) -> str:
    one, two = _states(subject, 1, 2)
    _require(any(not _same(one[name], two.get(name)) for name in one), "all seeds give the same initialisation")
    return "another seed, another initialisation"


def _repeatable(subject: Subject) -> str:
    module, images = subject.module(), subject.images(1)
    _require(
        torch.equal(_evaluate(module, images), _evaluate(module, images)),
        "in evaluation mode the same images give other logits the second time",
    )
    return "same images, same logits, bit for bit"


def _state_kept(subject: Subject) -> str:
    module = subject.module()
    before = copy.deepcopy(module.state_dict())
    _evaluate(module, subject.images(1))
    changed = [name for name, value in module.state_dict().items() if not _same(value, before.get(name))]
    _require(not changed, f"an evaluation changes {', '.join(changed)}")
    training = [name or "the model" for name, part in module.named_modules() if part.training]
    _require(not training, f"an evaluation puts {', '.join(training)} into training mode")
    return "an evaluation changes no parameter, no buffer and no mode"


def _settings_kept(subject: Subject) -> str:
    before = _settings()
    module = subject.module()
    _evaluate(module, subject.images(1))
    module.train()(subject.images())
    changed = [name for name, value in _settings().items() if value != before[name]]
    _require(not changed, f"it changes torch's {', '.join(changed)}, for everything that runs after it")
    return "torch's settings are as before"


def _batch_independence(subject: Subject) -> str:
    module, images = subject.module(), subject.images(3)
    together, alone = _evaluate(module, images), _evaluate(module, images[1:2])
    return _close(together[1:2], alone, "logits of an image depend on the others in its batch")


def _state_dict(subject: Subject) -> str:
    module, images = subject.module(seed=1), subject.images(1)
    state = module.state_dict()
    other = [name for name, value in state.items() if not isinstance(value, Tensor)]
    _require(not other, f"{', '.join(other)} of the state_dict is no tensor and could not be kept with a run")
    expected = _evaluate(module, images)
    loaded = subject.module(seed=2)
    loaded.load_state_dict(state)
    _require(torch.equal(_evaluate(loaded, images), expected), "a loaded state_dict does not give the same logits")
    return f"{len(state)} tensors carry the whole model"


def _float64(subject: Subject) -> str:
    module, images = subject.module(), subject.images(1)
    expected = _evaluate(module, images)
    logits = _evaluate(module.double(), images.double())
    _require(logits.dtype == torch.float64, f"logits are {logits.dtype} where model and images are float64")
    return _close(logits, expected.double(), "logits in float64 are others than in float32")


def _deepcopy(subject: Subject) -> str:
    module, images = subject.module(), subject.images(1)
    clone = copy.deepcopy(module)
    _require(torch.equal(_evaluate(clone, images), _evaluate(module, images)), "a copy gives other logits")
    own = {p.data_ptr() for p in module.parameters()}
    shared = [name for name, p in clone.named_parameters() if p.data_ptr() in own]
    _require(not shared, f"a copy shares {', '.join(shared)} with the original")
    return "a copy gives the same logits and shares nothing"


def _pickles(subject: Subject) -> str:
    module, images = subject.module(), subject.images(1)
    buffer = io.BytesIO()
    pickle.dump(module, buffer)
    loaded = pickle.loads(buffer.getvalue())
    _require(torch.equal(_evaluate(loaded, images), _evaluate(module, images)), "what is unpickled gives other logits")
    return f"{len(buffer.getvalue()) / 2**20:.1f} MiB"


def _stages(subject: Subject) -> str:
    if not subject.stages:
        raise NotApplicable("none declared; equivariance of feature maps is measured on them")
    module = subject.module()
    with captured(module, subject.stages) as maps:
        _evaluate(module, subject.images())
    for stage in subject.stages:
        _require(stage in maps, f"stage {stage!r} is not called by forward")
        shape = list(maps[stage].shape)
        square = len(shape) in (4, 5) and shape[0] == 2 and shape[-2] == shape[-1] <= IMAGE_SIZE
        _require(
            square, f"stage {stage!r} gives {shape}, not maps [B, C, H, H] (or [B, C, S, H, H]) with H <= {IMAGE_SIZE}"
        )
    with_scales = any(maps[stage].ndim == 5 for stage in subject.stages)
    remark = "; of a scale axis the equivariance metric takes the maximum" if with_scales else ""
    return ", ".join(f"{stage} {list(maps[stage].shape[1:])}" for stage in subject.stages) + remark


def _scale_pools(subject: Subject) -> str:
    if not subject.scale_pools:
        raise NotApplicable("none declared; which scale wins is measured on them")
    module = subject.module()
    with captured(module, subject.scale_pools) as outputs, captured(module, subject.scale_pools, inputs=True) as inputs:
        _evaluate(module, subject.images())
    found = []
    for name in subject.scale_pools:
        pool: Any = module.get_submodule(name)
        _require(name in outputs, f"scale pool {name!r} is not called by forward")
        _require(callable(getattr(pool, "scale_indices", None)), f"scale pool {name!r} has no method scale_indices(x)")
        with torch.no_grad():
            indices = pool.scale_indices(inputs[name])
        allowed = {outputs[name].shape[:2], outputs[name].shape}
        _require(
            indices.shape in allowed,
            f"{name}.scale_indices gives {list(indices.shape)}, not one index for each channel or pixel of its "
            f"output {list(outputs[name].shape)}",
        )
        _require(not indices.is_floating_point(), f"{name}.scale_indices gives {indices.dtype}, not whole numbers")
        low, high = int(indices.min()), int(indices.max())
        _require(0 <= low <= high < 256, f"{name}.scale_indices gives {low} to {high}; indices lie within 0 and 255")
        found.append(f"{name} {list(indices.shape[1:])}")
    return ", ".join(found)


@dataclass(frozen=True)
class Check:
    """A check, and the checks without which it says nothing."""

    run: Callable[[Subject], str]
    needs: tuple[str, ...] = ()


CHECKS: dict[str, Check] = {
    "builds": Check(_builds),
    "gray": Check(_logits("gray"), ("builds",)),
    "colour": Check(_logits("colour"), ("builds",)),
    "trainable": Check(_trainable, ("builds",)),
    "gradients": Check(_gradients, ("gray", "trainable")),
    "images_kept": Check(_images_kept, ("gray",)),
    "same_seed": Check(_same_seed, ("builds",)),
    "other_seed": Check(_other_seed, ("trainable", "same_seed")),
    "repeatable": Check(_repeatable, ("gray",)),
    "state_kept": Check(_state_kept, ("gray",)),
    "settings_kept": Check(_settings_kept, ("gray",)),
    "batch_independence": Check(_batch_independence, ("repeatable",)),
    "state_dict": Check(_state_dict, ("repeatable",)),
    "float64": Check(_float64, ("repeatable",)),
    "deepcopy": Check(_deepcopy, ("repeatable",)),
    "pickle": Check(_pickles, ("repeatable",)),
    "stages": Check(_stages, ("gray",)),
    "scale_pools": Check(_scale_pools, ("gray",)),
}
"""Name -> check, in the order of a report."""


@dataclass(frozen=True)
class Result:
    """What a check found.

    Attributes:
        check: a key of `CHECKS`.
        status: "passed", "failed" or "skipped".
        detail: what was found, what is wrong, or why it was skipped, in one line.
        needs: the check without which this one says nothing, and that did not pass; empty if it was skipped for
            another reason, or not at all.
    """

    check: str
    status: str
    detail: str
    needs: str = ""


def run_check(name: str, subject: Subject) -> Result:
    """One check by itself. The caller's random state and torch's settings are as before.

    Raises:
        UnknownName: there is no such check.
        InvalidArgument: what is to be checked was not given to `subject_of`.
    """
    if name not in CHECKS:
        raise UnknownName("check", name, CHECKS)
    if not isinstance(subject, Subject):
        raise InvalidArgument(f"an object of {type(subject).__name__} cannot be checked; give it to subject_of first.")
    try:
        with torch.random.fork_rng(range(torch.cuda.device_count())), _settings_restored():
            return Result(name, "passed", CHECKS[name].run(subject))
    except NotApplicable as reason:
        return Result(name, "skipped", str(reason))
    except (CheckFailed, SiconvnetError) as error:
        return Result(name, "failed", " ".join(str(error).split()))
    except (Exception, SystemExit) as error:
        return Result(name, "failed", reason_of(error))


def run_checks(subject: Subject, names: Iterable[str] = tuple(CHECKS)) -> list[Result]:
    """Several checks. One that another's failure leaves without a meaning is skipped."""
    results, unusable = [], set()
    for name in _as_tuple(names):
        missing = [needed for needed in CHECKS[name].needs if needed in unusable] if name in CHECKS else []
        result = Result(name, "skipped", f"needs {missing[0]}", missing[0]) if missing else run_check(name, subject)
        if missing or result.status == "failed":
            unusable.add(name)
        results.append(result)
    return results


def _settings() -> dict[str, Any]:
    """What of torch a model could change for everybody."""
    return {
        "default dtype": torch.get_default_dtype(),
        "gradient mode": torch.is_grad_enabled(),
        "number of threads": torch.get_num_threads(),
    }


@contextmanager
def _settings_restored() -> Iterator[None]:
    before = _settings()
    try:
        yield
    finally:
        torch.set_default_dtype(before["default dtype"])
        torch.set_grad_enabled(before["gradient mode"])
        if torch.get_num_threads() != before["number of threads"]:
            torch.set_num_threads(before["number of threads"])


def _evaluate(module: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        # A copy: whether forward writes to its input is a check of its own.
        logits: Tensor = module(images.clone())
    _require(isinstance(logits, Tensor), f"forward returns an object of {type(logits).__name__}, not a tensor")
    return logits


def _states(subject: Subject, *seeds: int) -> list[dict[str, Any]]:
    if subject.fixed:
        raise NotApplicable("one built module has one initialisation; give its class to check this")
    return [subject.module(seed).state_dict() for seed in seeds]


def _same(one: Any, two: Any) -> bool:
    return torch.equal(one, two) if isinstance(one, Tensor) and isinstance(two, Tensor) else bool(one == two)


def _close(found: Tensor, expected: Tensor, complaint: str) -> str:
    # A head that starts at zero gives nothing but zeros.
    difference = float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
    _require(difference <= TOLERANCE, f"{complaint}, by {difference:.1e} of the largest")
    return f"they differ by {difference:.0e} of the largest logit"


def _require(condition: bool, complaint: str) -> None:
    if not condition:
        raise CheckFailed(complaint)
