"""Looking inside a model by forward hooks; the model itself keeps nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from siconvnet.errors import UnknownName
from siconvnet.metrics import NotMeasurable


@contextmanager
def captured(model: nn.Module, names: Sequence[str], *, inputs: bool = False) -> Iterator[dict[str, Tensor]]:
    """The outputs (or first inputs) of submodules during the last forward pass, by name.

    Args:
        model: any module.
        names: submodules as `named_modules` calls them.
        inputs: take what goes into them instead of what comes out.

    Raises:
        UnknownName: the model has no submodule of that name.
        NotMeasurable: in the forward pass, what is looked at is no tensor.
    """
    modules = dict(model.named_modules())
    found: dict[str, Tensor] = {}
    for name in names:
        if name not in modules:
            raise UnknownName("submodule", name, [known for known in modules if known])
    handles = [modules[name].register_forward_hook(_keep(found, name, inputs)) for name in names]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _keep(found: dict[str, Tensor], name: str, inputs: bool) -> Any:
    def hook(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        seen = next(iter(arguments), None) if inputs else output
        if not isinstance(seen, Tensor):
            what = "is called with" if inputs else "gives"
            raise NotMeasurable(f"submodule {name!r} {what} an object of {type(seen).__name__}, not a tensor")
        found[name] = seen.detach()

    return hook
