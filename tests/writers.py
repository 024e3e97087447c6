"""Which calls in the source code create or replace a file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

#: Methods and functions that write the file which they are called on, or given.
WRITERS = {"write_text", "write_bytes", "savez", "savez_compressed", "savefig", "tofile", "save_file"}
MOVERS = {"rename", "renames", "move", "copy", "copyfile", "copy2", "copytree", "symlink_to", "hardlink_to"}
STREAM_MODES = set("wax+")


def calls_that_write(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each such call that is not in a ``with replacing(...)`` block."""
    yield from _visit(ast.parse(path.read_text(encoding="utf-8")), sheltered=False)


def _visit(node: ast.AST, *, sheltered: bool) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.With):
        names = {_name(item.context_expr.func) for item in node.items if isinstance(item.context_expr, ast.Call)}
        sheltered = sheltered or bool(names & {"replacing", "_writing_into"})
    if isinstance(node, ast.Call) and not sheltered and _writes(node):
        yield node.lineno, ast.unparse(node)
    for child in ast.iter_child_nodes(node):
        yield from _visit(child, sheltered=sheltered)


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _writes(call: ast.Call) -> bool:
    name, method = _name(call.func), isinstance(call.func, ast.Attribute)
    owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    if name == "open":
        if owner == "os":
            return any(flag in ast.unparse(call) for flag in ("O_WRONLY", "O_RDWR", "O_CREAT"))
        modes = [*call.args[0 if method else 1 :], *(word.value for word in call.keywords if word.arg == "mode")]
        return any(isinstance(mode, ast.Constant) and {*str(mode.value)} & STREAM_MODES for mode in modes[:1])
    if name == "replace":  # of a path; that of a text takes two arguments, that of dataclasses names
        return method and (owner == "os" or (len(call.args) == 1 and not call.keywords and owner != "dataclasses"))
    if name in ("save", "dump"):
        return owner in ("torch", "np", "json", "pickle", "image", "Image")
    if name in MOVERS:
        return method and (owner in ("shutil", "os") or name in ("rename", "symlink_to", "hardlink_to")) and (
            len(call.args) == 1 or owner in ("shutil", "os")
        )  # fmt: skip
    if name == "to_csv":
        return method and bool(call.args) and owner != "board"
    return method and name in WRITERS
