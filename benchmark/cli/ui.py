"""`benchmark ui`: the MLflow user interface on the right store."""

from __future__ import annotations

import socket

import click

from benchmark.cli.options import tracking_uri

_FIRST_PORT = 5000


@click.command()
@tracking_uri
@click.option("--port", type=click.IntRange(1, 65535), help=f"[default: the first free one from {_FIRST_PORT}]")
def ui(tracking_uri: str | None, port: int | None) -> None:
    """Open the MLflow pages on your runs, for you on this machine only, until Ctrl-C.

    The link that is printed logs a browser in. Scripts set MLFLOW_TRACKING_URI to its address and MLFLOW_TRACKING_TOKEN
    to its token.
    """
    from benchmark.store import Store, serve, shown

    store = Store(tracking_uri, create=False)
    if store.uri.startswith("http"):
        click.echo(f"this store has pages of its own: {shown(store.uri)}")
        return
    with _listener(port) as listener:
        serve(
            store.uri,
            listener,
            ready=lambda link: click.echo(
                f"runs of {shown(store.uri)}: {link} (this link logs you in; Ctrl-C ends it)"
            ),
        )


def _listener(wanted: int | None) -> socket.socket:
    """A socket on `wanted`, or on the first free port.

    Raises:
        SiconvnetError: the wanted port, or every port tried, is taken.
    """
    from benchmark.store.server import HOST
    from siconvnet.errors import SiconvnetError

    for port in [wanted] if wanted is not None else range(_FIRST_PORT, _FIRST_PORT + 100):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # A port whose last connection is just closing is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen(128)
        except OSError:
            listener.close()
        else:
            return listener
    if wanted is not None:
        raise SiconvnetError(f"port {wanted} is taken; leave out --port to get a free one.")
    raise SiconvnetError(f"ports {_FIRST_PORT} to {_FIRST_PORT + 99} are taken; name a free one with --port.")
