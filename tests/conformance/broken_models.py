"""A model that passes every check, and for each check one that it must refuse."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor, nn

from siconvnet.layers import LearnableScales


class Good(nn.Module):
    """The smallest model that passes everything; each broken one below changes one thing."""

    stages: tuple[str, ...] = ("act",)
    scale_pools: tuple[str, ...] = ("pool",)

    def __init__(self, num_channels: int, num_classes: int):
        super().__init__()
        self.conv = nn.Conv2d(num_channels, 4, 5)
        self.pool = LargestOfTwo()
        self.act = nn.ReLU()
        self.lin = nn.Linear(4, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin(self.act(self.pool(self.conv(x))).amax((2, 3)))


class LargestOfTwo(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.maximum(x, -x)

    def scale_indices(self, x: Tensor) -> Tensor:
        return (x < 0).long()


class RaisesWhenBuilt(Good):
    def __init__(self, num_channels: int, num_classes: int):
        raise RuntimeError("out of ideas")


class EndsTheProgram(Good):
    def __init__(self, num_channels: int, num_classes: int):
        raise SystemExit(3)


class MapsForGray(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[..., None] if x.shape[1] == 1 else super().forward(x)


class OverflowsOnGray(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (math.inf if x.shape[1] == 1 else 1)


class GrayOnly(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(1, num_classes)


class TenClassesOnly(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, 10)


class Frozen(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        self.requires_grad_(False)


class UnusedParameter(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        self.spare = nn.Parameter(torch.zeros(1))


class RootOfZero(Good):
    """Its value is finite, the derivative at zero is not."""

    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.gain.sqrt()


class Detached(Good):
    def forward(self, x: Tensor) -> Tensor:
        zero = sum((p * 0).sum() for p in self.parameters())
        return super().forward(x).detach() + zero


class WritesToItsInput(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.sub_(0.5))


class Unseeded(Good):
    draws = itertools.count()

    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        with torch.no_grad():
            self.lin.bias.add_(next(self.draws))


class OneSeedForAll(Good):
    def __init__(self, num_channels: int, num_classes: int):
        torch.manual_seed(0)
        super().__init__(num_channels, num_classes)


class DropoutAlways(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(nn.functional.dropout(x, training=True))


class CountsItsCalls(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


class BackToTraining(Good):
    def forward(self, x: Tensor) -> Tensor:
        self.act.train()
        return super().forward(x)


class MoreThreads(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        torch.set_num_threads(torch.get_num_threads() + 1)


class CentresTheBatch(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(0))


class WeightOutsideTheState(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        self.hidden = torch.rand(num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.hidden.to(x.dtype)


class TextInTheState(Good):
    def get_extra_state(self) -> str:
        return "a word"

    def set_extra_state(self, state: Any) -> None:
        pass


class SinglePrecisionOnly(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float())


class SinglePrecisionInside(Good):
    """Gives float64 for float64, but what it computes has lost its digits on the way."""

    def forward(self, x: Tensor) -> Tensor:
        noise = 0.01 if x.dtype == torch.float64 else 0.0
        return super().forward(x) + noise


class CopiesOnlyTheShell(Good):
    def __deepcopy__(self, memo: dict[int, Any]) -> CopiesOnlyTheShell:
        clone = object.__new__(type(self))
        clone.__dict__.update(self.__dict__)
        return clone


class HoldsALambda(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        self.twice = lambda x: 2 * x

    def __deepcopy__(self, memo: dict[int, Any]) -> HoldsALambda:
        clone = HoldsALambda(self.conv.in_channels, self.lin.out_features)
        clone.load_state_dict(self.state_dict())
        return clone


class StageThatIsNot(Good):
    stages = ("act", "akt2")


class StageOfVectors(Good):
    stages = ("lin",)


class StageNeverCalled(Good):
    stages = ("idle",)

    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        self.idle = nn.ReLU()


class PoolWithoutIndices(Good):
    scale_pools = ("act",)


class PoolOfFractions(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        self.pool = Fractions()


class Fractions(LargestOfTwo):
    def scale_indices(self, x: Tensor) -> Tensor:
        return super().scale_indices(x) / 2


class PoolOfTheBatch(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        self.pool = OneForAll()


class OneForAll(LargestOfTwo):
    def scale_indices(self, x: Tensor) -> Tensor:
        return super().scale_indices(x).amax((0, 2, 3))


class PoolBelowZero(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        self.pool = Below()


class Below(LargestOfTwo):
    def scale_indices(self, x: Tensor) -> Tensor:
        return super().scale_indices(x) - 1


class ScalesOfOneName(Good):
    def __init__(self, num_channels: int, num_classes: int):
        super().__init__(num_channels, num_classes)
        self.scales = nn.ModuleDict({"k=3": LearnableScales(2), "k_3": LearnableScales(2)})

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * sum(scales().sum() for scales in self.scales.values())


BROKEN: dict[type[nn.Module], tuple[str, str]] = {
    RaisesWhenBuilt: ("builds", r"cannot be built: RuntimeError: out of ideas \(broken_models.py, line \d+\)"),
    EndsTheProgram: ("builds", r"SystemExit: 3 \(broken_models.py, line \d+\)"),
    MapsForGray: ("gray", r"\[2, 10, 1\] for 2 images of 10 classes; logits are \[2, 10\]"),
    OverflowsOnGray: ("gray", "not finite"),
    GrayOnly: ("colour", "expected input.* to have 1 channels, but got 3 channels"),
    TenClassesOnly: ("colour", r"\[2, 10\] for 2 images of 4 classes"),
    Frozen: ("trainable", "nothing to train"),
    UnusedParameter: ("gradients", "no gradient reaches spare"),
    RootOfZero: ("gradients", "gradients of gain are not finite"),
    Detached: ("gradients", "all gradients are zero"),
    WritesToItsInput: ("images_kept", "writes to its input"),
    Unseeded: ("same_seed", "lin.bias differ"),
    OneSeedForAll: ("other_seed", "all seeds give the same"),
    DropoutAlways: ("repeatable", "other logits the second time"),
    CountsItsCalls: ("state_kept", "an evaluation changes calls"),
    BackToTraining: ("state_kept", "an evaluation puts act into training mode"),
    MoreThreads: ("settings_kept", "it changes torch's number of threads"),
    CentresTheBatch: ("batch_independence", "depend on the others"),
    WeightOutsideTheState: ("state_dict", "a loaded state_dict does not give the same logits"),
    TextInTheState: ("state_dict", "_extra_state of the state_dict is no tensor"),
    SinglePrecisionOnly: ("float64", "should be the same"),
    SinglePrecisionInside: ("float64", "logits in float64 are others"),
    CopiesOnlyTheShell: ("deepcopy", "shares conv.weight, conv.bias, lin.weight, lin.bias"),
    HoldsALambda: ("pickle", "lambda"),
    StageThatIsNot: ("stages", "unknown submodule 'akt2'. Did you mean 'act'"),
    StageOfVectors: ("stages", r"stage 'lin' gives \[2, 10\]"),
    StageNeverCalled: ("stages", "stage 'idle' is not called"),
    PoolWithoutIndices: ("scale_pools", r"'act' has no method scale_indices\(x\)"),
    PoolOfFractions: ("scale_pools", "torch.float32, not whole numbers"),
    PoolOfTheBatch: ("scale_pools", r"gives \[4\], not one index for each channel or pixel"),
    PoolBelowZero: ("scale_pools", "-1 to 0"),
    ScalesOfOneName: ("learned_scales", "'scales.k=3' and 'scales.k_3' have the same names"),
}
