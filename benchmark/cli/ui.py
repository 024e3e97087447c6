"""`benchmark ui`: the MLflow user interface on the right store."""

from __future__ import annotations

import click

from benchmark.cli.options import tracking_uri

_HOST = "127.0.0.1"
_FIRST_PORT = 5000


@click.command()
@tracking_uri
@click.option("--port", type=click.IntRange(1, 65535), help=f"[default: the first free one from {_FIRST_PORT}]")
def ui(tracking_uri: str | None, port: int | None) -> None:
    """Open the MLflow pages on your runs, for this machine only, until Ctrl-C."""
    from benchmark.store import Store, serve, shown

    store = Store(tracking_uri, create=False)
    if store.uri.startswith("http"):
        click.echo(f"this store has pages of its own: {shown(store.uri)}")
        return
    port = _free_port(port)
    line = f"runs of {shown(store.uri)}: http://{_HOST}:{port} (Ctrl-C ends it)"
    serve(store.uri, _HOST, port, ready=lambda: click.echo(line))


def _free_port(wanted: int | None) -> int:
    """`wanted` if nobody listens there, or the first free port.

    Raises:
        SiconvnetError: the wanted port, or every port tried, is taken.
    """
    from siconvnet.errors import SiconvnetError

    if wanted is not None and not _is_free(wanted):
        raise SiconvnetError(f"port {wanted} is taken; leave out --port to get a free one.")
    candidates = [wanted] if wanted is not None else range(_FIRST_PORT, _FIRST_PORT + 100)
    for port in candidates:
        if _is_free(port):
            return port
    raise SiconvnetError(f"ports {_FIRST_PORT} to {_FIRST_PORT + 99} are taken; name a free one with --port.")


def _is_free(port: int) -> bool:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the server does: a port whose last connection is just closing is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True
