"""`benchmark new-method`: a file to begin a method with."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

import click

#: What the names of the template are replaced by the new ones in; it is itself a module that works.
_TEMPLATE, _MODULE, _CLASS = "method_template.py", "my_net", "MyNet"
#: Class names that the template needs for itself.
_TAKEN = ("Tensor",)


@click.command("new-method", short_help="Write a working template of a method of your own.")
@click.argument("name")
@click.option("--force", is_flag=True, help="Overwrite a file of that name.")
def new_method(name: str, force: bool) -> None:
    """Write NAME.py into this folder: a working method to put your own idea into.

    It passes `benchmark check` as it is, and trains.
    """
    from importlib import resources

    from benchmark.system.files import write_text
    from siconvnet.errors import InvalidArgument

    check_name(name)
    path = Path(f"{name}.py")
    check_not_installed(name, path)
    if path.exists() and not force:
        raise InvalidArgument(f"{str(path)!r} exists; --force overwrites it.")
    text = resources.files("benchmark.cli").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    write_text(path, text.replace(_CLASS, class_name(name)).replace(_MODULE, name))
    target = f"{name}:{class_name(name)}"
    click.echo(f"wrote {path}")
    click.echo(f"  benchmark check {target}")
    click.echo(f"  benchmark run --model {target} --dataset emoji --evaluation 2")


def class_name(name: str) -> str:
    """my_net -> MyNet."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def check_name(name: str) -> None:
    """Whether a module and a class can be called that.

    Raises:
        InvalidArgument: they cannot, or a registered model is; the message says what is accepted.
    """
    from siconvnet import list_models
    from siconvnet.errors import InvalidArgument

    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        bare = name.removesuffix(".py")
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", bare).lower()
        like = re.sub(r"[^a-z0-9]+", "_", words).strip("_0123456789")
        hint = f", such as {like!r}" if like and not keyword.iskeyword(like) else ""
        raise InvalidArgument(
            f"{name!r} cannot be the name of a method; it names a Python module: small letters, digits and "
            f"underscores, beginning with a letter{hint}."
        )
    if keyword.iskeyword(class_name(name)) or class_name(name) in _TAKEN:
        raise InvalidArgument(f"{name!r} would name the class {class_name(name)!r}, which is taken; choose another.")
    if name in list_models():
        raise InvalidArgument(f"{name!r} is a registered model (see benchmark models); choose another name.")


def check_not_installed(name: str, path: Path) -> None:
    """Whether `import name` would find this file, and not another module.

    Raises:
        InvalidArgument: a module of that name is installed.
    """
    import importlib.util

    from siconvnet.errors import InvalidArgument

    found = importlib.util.find_spec(name)
    if found is not None and (not found.origin or Path(found.origin).resolve() != path.resolve()):
        raise InvalidArgument(
            f"a module {name!r} is there already ({found.origin or 'a folder'}) and would be imported instead; "
            "choose another name."
        )
