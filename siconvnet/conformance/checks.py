"""The checks themselves: functions of a `Subject` that say what they found, or raise. `CHECKS` is the list of them."""

from __future__ import annotations

import copy
import io
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siconvnet.conformance.subject import Subject
from siconvnet.conformance.torch_settings import torch_settings
from siconvnet.layers.learned_scales import scale_figures
from siconvnet.metrics.hooks import captured
from siconvnet.registry import reason_of

TOLERANCE = 1e-3
"""Largest difference of logits, as a share of the largest logit, where the order of summation may change."""

NAME_LENGTH = 250
"""Most characters of a figure's name, as MLflow takes it."""


class CheckFailed(AssertionError):
    """The model does not do what the check asks for."""


class NotApplicable(Exception):
    """The check has nothing to look at; not a failure."""


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
    before = torch_settings()
    module = subject.module()
    _evaluate(module, subject.images(1))
    module.train()(subject.images())
    changed = [name for name, value in torch_settings().items() if value != before[name]]
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
        square = len(shape) in (4, 5) and shape[0] == 2 and shape[-2] == shape[-1] <= subject.image_size
        _require(
            square,
            f"stage {stage!r} gives {shape}, not maps [B, C, H, H] (or [B, C, S, H, H]) with H <= {subject.image_size}",
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


def _learned_scales(subject: Subject) -> str:
    figures = scale_figures(subject.module())
    if not figures:
        return "none"
    wrong = {name: value for name, value in figures.items() if not math.isfinite(value)}
    _require(not wrong, f"scales are not finite: {wrong}")
    longest = max(figures, key=len)
    _require(len(longest) <= NAME_LENGTH, f"{longest[:40]!r}... has {len(longest)} characters, more than {NAME_LENGTH}")
    return f"{len(figures)} figures, from {next(iter(figures))} to {list(figures)[-1]}"


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
    "learned_scales": Check(_learned_scales, ("builds",)),
}
"""Name -> check, in the order of a report."""


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
