"""YAML as plain data: text, lists and mappings, within limits that hold before anything is expanded.

Every value stays the text that it is written as, and means what it means on the command line. YAML 1.1 would read 010
as eight, 1:30 as ninety and 2024-01-02 as a date.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from siconvnet.errors import InvalidArgument, SiconvnetError

#: The most bytes of a file, values once anchors are resolved, and levels of lists and mappings.
MOST_BYTES, MOST_VALUES, MOST_LEVELS = 2**18, 20_000, 20


def read_file(path: Path) -> str:
    """The text of a file.

    Raises:
        SiconvnetError: it cannot be read, or is too large.
    """
    try:
        if path.exists() and not path.is_file():
            raise SiconvnetError(f"cannot read the suite {str(path)!r}: it is not a regular file.")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise SiconvnetError(f"the suite {str(path)!r} has more than {MOST_BYTES:,} bytes.")
        return content.decode("utf-8")
    except (OSError, ValueError) as error:
        raise SiconvnetError(f"cannot read the suite {str(path)!r}: {getattr(error, 'strerror', error)}.") from None


def read_mapping(text: str, where: str) -> dict[str, Any]:
    """The mapping that a YAML text is; values are text, lists, mappings, or None where nothing is written.

    Args:
        where: what is read, for messages.

    Raises:
        InvalidArgument: it is not YAML or not a mapping, has a key twice, or goes beyond the limits; the message says
            where.
    """
    import yaml

    try:
        _check_limits(yaml.parse(text, yaml.SafeLoader), where)
        values = yaml.load(text, _loader()(where))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = " ".join(str(getattr(error, "problem", None) or error).split())[:200]
        raise InvalidArgument(f"{where}{line}: not YAML ({problem}).") from None
    except InvalidArgument:
        raise
    except (ValueError, OverflowError):  # PyYAML's own, of an escape such as \UFFFFFFFF
        raise InvalidArgument(f"{where}: not YAML (a number or an escape out of range).") from None
    if not isinstance(values, dict):
        raise InvalidArgument(f"{where}: it must be a mapping with 'description' and 'grids'.")
    return values


def _check_limits(events: Iterable[Any], where: str) -> None:
    """Count what a text stands for, going through it once, anchors as often as they are used."""
    import yaml

    sizes: dict[str, tuple[int, int]] = {}  # anchor -> values and levels under it
    stack: list[list[Any]] = [[None, 0, 0]]  # anchor, values and levels of what is open, the whole text first
    for event in events:
        at = f"{where}, line {event.start_mark.line + 1}"
        anchor: Any = getattr(event, "anchor", None)
        if getattr(event, "tag", None) is not None:
            raise InvalidArgument(f"{at}: tags such as {event.tag[:40]!r} are not accepted; write the value alone.")
        size, levels = 1, 0
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == open_anchor for open_anchor, _, _ in stack):
                raise InvalidArgument(f"{at}: *{anchor[:40]} stands inside of what it names.")
            size, levels = sizes.get(anchor, (1, 0))
        elif isinstance(event, yaml.CollectionStartEvent):
            stack.append([anchor, 1, 0])
            size = 0
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size, levels = stack.pop()
            levels += 1
        elif not isinstance(event, yaml.ScalarEvent):
            continue
        if size and anchor and not isinstance(event, yaml.AliasEvent):
            sizes[anchor] = size, levels
        stack[-1][1] += size
        stack[-1][2] = max(stack[-1][2], levels)
        if sum(values for _, values, _ in stack) > MOST_VALUES:
            raise InvalidArgument(
                f"{at}: more than {MOST_VALUES:,} values, counting anchors as often as they are used."
            )
        if len(stack) - 1 + levels > MOST_LEVELS:
            raise InvalidArgument(f"{at}: more than {MOST_LEVELS} levels of lists and mappings.")


@functools.cache
def _loader() -> Any:
    """A function of `where` that gives the loader: text alone, and no key twice, of which YAML would take the last."""
    import yaml

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers: ClassVar[dict[str, list[Any]]] = {}
        where = ""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            # Before `<<` is resolved: a key may be written beside one that it overrides there.
            seen: set[str] = set()
            for key, _ in node.value:
                at = f"{self.where}, line {key.start_mark.line + 1}"
                if not isinstance(key, yaml.ScalarNode):
                    raise InvalidArgument(f"{at}: a list or a mapping cannot be a key.")
                if key.value in seen:
                    raise InvalidArgument(f"{at}: {key.value[:40]!r} is there twice.")
                seen.add(key.value)
            self.flatten_mapping(node)
            return {key.value: self.construct_object(value, deep=True) for key, value in node.value}

    Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"<<\Z"), ["<"])
    Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(~|null|)\Z"), ["~", "n", ""])
    Loader.add_constructor("tag:yaml.org,2002:map", lambda loader, node: loader.construct_mapping(node))
    return lambda where: type("Loader", (Loader,), {"where": where})
