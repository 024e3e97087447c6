"""A table of named things that are imported only when they are asked for.

A built-in entry is a string, ``"package.module:attribute"``; listing names imports nothing, so that a command
line can offer them at once. Resolving an entry imports its module, which registers the real object under that
name. Other packages add entries through entry points (a group for each registry) without touching this one.
"""

from __future__ import annotations

import fnmatch
import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import Generic, TypeVar

from siconvnet.errors import InvalidArgument, UnknownName

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to objects, lazily.

    Args:
        kind: what it holds, in the singular; used in messages.
        builtin: name -> module that registers that name when it is imported.
        entry_points: the entry-point group that other packages extend it with.
    """

    def __init__(self, kind: str, builtin: Mapping[str, str], entry_points: str | None = None):
        self.kind = kind
        self._modules: dict[str, str] = dict(builtin)
        self._objects: dict[str, T] = {}
        self._group = entry_points
        self._plugins: dict[str, metadata.EntryPoint] | None = None

    def register(self, name: str, obj: T) -> T:
        """Add `obj` under `name`.

        Raises:
            InvalidArgument: the name is taken by something else.
        """
        known = self._objects.get(name)
        if known is not None and known != obj:
            raise InvalidArgument(
                f"{self.kind} {name!r} is registered already ({known!r}); choose another name for {obj!r}."
            )
        self._objects[name] = obj
        return obj

    def names(self, pattern: str = "*") -> list[str]:
        """All names that match a shell pattern, built-in ones first and in their own order. Imports nothing."""
        names = dict.fromkeys([*self._modules, *self._entry_points(), *self._objects])
        return [name for name in names if fnmatch.fnmatchcase(name, pattern)]

    def __getitem__(self, name: str) -> T:
        """The object registered under `name`, importing what registers it.

        Raises:
            UnknownName: no such name; the message suggests the nearest.
        """
        if name in self._objects:
            return self._objects[name]
        if name in self._modules:
            importlib.import_module(self._modules[name])
        elif name in self._entry_points():
            self._load_plugin(self._entry_points()[name])
        if name not in self._objects:
            raise UnknownName(self.kind, name, self.names())
        return self._objects[name]

    def __contains__(self, name: object) -> bool:
        return name in self._objects or name in self._modules or name in self._entry_points()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def _entry_points(self) -> Mapping[str, metadata.EntryPoint]:
        if self._plugins is None:
            found = metadata.entry_points(group=self._group) if self._group else ()
            self._plugins = {point.name: point for point in found if point.name not in self._modules}
        return self._plugins

    def _load_plugin(self, point: metadata.EntryPoint) -> None:
        # One broken plug-in must not take the others down with it: warn, and leave the name unknown.
        try:
            loaded = point.load()
        except Exception as error:
            warnings.warn(f"the {self.kind} plug-in {point.value!r} failed to load: {error}", stacklevel=3)
            return
        if point.name not in self._objects:
            self.register(point.name, loaded)


def load_target(target: str) -> Callable[..., object]:
    """Import ``"package.module:attribute"``.

    Raises:
        InvalidArgument: the string has no colon, or the module or the attribute does not exist.
    """
    module, colon, attribute = target.partition(":")
    if not (module and colon and attribute):
        raise InvalidArgument(f"{target!r} is no target; write it as package.module:attribute.")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise InvalidArgument(f"cannot import {module!r} of {target!r}: {error}.") from error
    except AttributeError:
        raise InvalidArgument(f"module {module!r} has no attribute {attribute!r}.") from None
