"""A table of named things that are imported only when they are asked for.

A built-in entry is the object itself, or the name of the module that registers it when it is imported; listing names
imports nothing, so that a command line can offer them at once. Other packages add entries through entry points (a group
for each registry) without touching this one. What is wrong with one of them is a warning; it never keeps the others
from being used.
"""

from __future__ import annotations

import difflib
import fnmatch
import importlib
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Generic, TypeVar

from siconvnet.errors import InvalidArgument, UnknownName

T = TypeVar("T")


class PluginWarning(UserWarning):
    """Something is wrong with an entry that another package adds; the rest works."""


class Registry(Generic[T]):
    """Names to objects, lazily.

    Args:
        kind: what it holds, in the singular; used in messages.
        builtin: name -> object, or the module that registers that name when it is imported.
        entry_points: the entry-point group that other packages extend it with.
        adapt: makes an entry of what an entry point names, given the entry's name and that object. An entry point
            may also name a module that registers the entry itself.
    """

    def __init__(
        self,
        kind: str,
        builtin: Mapping[str, str | T],
        entry_points: str | None = None,
        adapt: Callable[[str, object], T] | None = None,
    ):
        self.kind = kind
        self._adapt = adapt
        self._builtin = tuple(builtin)
        self._modules = {name: entry for name, entry in builtin.items() if isinstance(entry, str)}
        self._objects: dict[str, T] = {n: entry for n, entry in builtin.items() if not isinstance(entry, str)}
        self._group = entry_points
        self._plugins: dict[str, metadata.EntryPoint] | None = None

    def register(self, name: str, obj: T) -> T:
        """Add `obj` under `name`; a class that was defined anew, as by `importlib.reload`, replaces itself.

        Raises:
            InvalidArgument: the name is taken by something else.
        """
        if name in self._modules and name not in self._objects:
            # A built-in name is taken before anybody has asked for it. (Its own module is on its way in already.)
            importlib.import_module(self._modules[name])
        known = self._objects.get(name)
        if known is not None and known != obj and not _same_origin(known, obj):
            raise InvalidArgument(
                f"{self.kind} {name!r} is registered already ({known!r}); choose another name for {obj!r}."
            )
        self._objects[name] = obj
        return obj

    def names(self, pattern: str = "*") -> list[str]:
        """All names that match a shell pattern, built-in ones first and in their own order. Imports nothing."""
        names = dict.fromkeys([*self._builtin, *self._entry_points(), *self._objects])
        return [name for name in names if fnmatch.fnmatchcase(name, pattern)]

    def __getitem__(self, name: str) -> T:
        """The object registered under `name`, importing what registers it.

        Raises:
            UnknownName: no such name; the message suggests the nearest.
            InvalidArgument: a plug-in has that name, but does not load; the message says why.
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

    def loaded(self) -> list[T]:
        """What has been resolved or registered so far."""
        return list(self._objects.values())

    def __contains__(self, name: object) -> bool:
        return name in self._builtin or name in self._objects or name in self._entry_points()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def _entry_points(self) -> Mapping[str, metadata.EntryPoint]:
        if self._plugins is None:
            self._plugins = {}
            for point in _entry_points(self._group) if self._group else ():
                other = self._plugins.get(point.name)
                if point.name in self._builtin:
                    self._warn(
                        f"{point.name!r} ({point.value}) is left out: a {self.kind} of this package has that name."
                    )
                elif other is None:
                    self._plugins[point.name] = point
                elif other.value != point.value:
                    self._warn(f"{point.name!r} ({point.value}) is left out: {other.value} has that name.")
        return self._plugins

    def _load_plugin(self, point: metadata.EntryPoint) -> None:
        # Whoever goes through all names is told and can go on; whoever asked for this one gets the reason.
        try:
            loaded = point.load()
            if point.name not in self._objects:
                if self._adapt is None:
                    raise InvalidArgument(f"it does not register {point.name!r}")
                self.register(point.name, self._adapt(point.name, loaded))
        except (Exception, SystemExit) as error:
            reason = f"{point.name!r} ({point.value}) does not load: {reason_of(error)}"
            self._warn(reason)
            raise InvalidArgument(f"the {self.kind} plug-in {reason}") from error

    def _warn(self, text: str) -> None:
        warnings.warn(f"the {self.kind} plug-in {text}", PluginWarning, stacklevel=4)


def _same_origin(one: object, two: object) -> bool:
    """Whether both come of one definition, made again: of a class or function of one name in one module."""
    origins = []
    for entry in (one, two):
        factory = getattr(entry, "factory", entry)
        factory = getattr(factory, "func", factory)
        origins.append((getattr(factory, "__module__", None), getattr(factory, "__qualname__", None)))
    return origins[0] == origins[1] and None not in origins[0]


def _entry_points(group: str) -> Iterable[metadata.EntryPoint]:
    """The entry points of a group, also where the metadata of some package cannot be read."""
    try:
        return list(metadata.entry_points(group=group))
    except Exception:
        found: dict[tuple[str, str], metadata.EntryPoint] = {}
        for distribution in metadata.distributions():
            try:
                points = list(distribution.entry_points)
            except Exception as error:
                where = getattr(distribution, "_path", "a package")
                warnings.warn(f"the entry points of {where} cannot be read: {reason_of(error)}", PluginWarning, 4)
            else:
                # An earlier folder of sys.path shadows a later one, so the first counts.
                for point in points:
                    if point.group == group:
                        found.setdefault((point.name, point.value), point)
        return list(found.values())


def load_target(target: str) -> Callable[..., Any]:
    """Import ``"package.module:attribute"``.

    Raises:
        InvalidArgument: the string is no target, the module cannot be imported, or it has no such attribute.
    """
    module, _, attribute = target.partition(":")
    dotted = module.removesuffix(".py").replace("/", ".").lstrip(".")
    if dotted != module or not all(part.isidentifier() for part in (*module.split("."), attribute)):
        like = f"{dotted}:{attribute or 'Class'}" if dotted != module else "package.module:Class"
        raise InvalidArgument(f"{target!r} is no target; write it as {like}.")
    try:
        loaded = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise InvalidArgument(f"cannot import {module!r} of {target!r}: {reason_of(error)}") from error
    if not hasattr(loaded, attribute):
        file = getattr(loaded, "__file__", None)
        own = Path(f"{module}.py")
        shadowed = own.is_file() and (file is None or Path(file).resolve() != own.resolve())
        if shadowed:
            hint = f"; your {own} cannot be imported under that name, rename it."
        else:
            public = {key.lower(): key for key in vars(loaded) if not key.startswith("_")}
            near = difflib.get_close_matches(attribute.lower(), public, n=1)
            hint = f". Did you mean {public[near[0]]!r}?" if near else "."
        raise InvalidArgument(f"module {module!r} ({file or 'built in'}) has no attribute {attribute!r}{hint}")
    return getattr(loaded, attribute)


def reason_of(error: BaseException) -> str:
    """What an error of somebody else's code says and where it was raised, in one line."""
    text = " ".join(str(error).split())
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    # A syntax error names its place itself; a module that does not exist has none.
    if isinstance(error, SyntaxError) or not frames or "importlib" in frames[-1].filename:
        return line
    return f"{line} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
