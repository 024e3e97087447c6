"""Downloads from a server that stalls, cuts off, answers with a web page, redirects; and one that is not there."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import io
import json
import threading
import time
import urllib.request
import zipfile
from collections.abc import Iterator

import numpy as np
import pytest

from benchmark.data.fetch import Patience, _NoDowngrade, _Refused, fetch
from siconvnet.datasets import dataset_path, load_dataset
from siconvnet.errors import DatasetError, InvalidArgument, UnknownName

QUICK = Patience(timeout=0.4, attempts=2, pause=0.01)


@functools.cache
def published(num_classes: int = 16) -> bytes:
    """A file of the size of trafficsign, of one level each so that it compresses to a few hundred kilobytes."""
    grid = (3, 48, num_classes, 25)
    stream = io.BytesIO()
    scales = np.broadcast_to(np.arange(64, 16, -1).reshape(1, -1, 1, 1), grid)
    small = {
        "lbls": np.broadcast_to(np.arange(num_classes).reshape(1, 1, -1, 1), grid),
        "scls": scales,
        "psts": np.random.default_rng(0).integers(0, 65 - scales[..., None], (*grid, 2)),
        "metadata": np.array([["title", "toy"], *[[key, ""] for key in "abcde"]]),
        "lbldata": np.array([str(i) for i in range(num_classes)]),
    }
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("imgs.npy", "w", force_zip64=True) as member:
            shape = (*grid, 64, 64, 3)
            np.lib.format.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": shape})
            for _ in range(3 * 48):
                member.write(bytes(num_classes * 25 * 64 * 64 * 3))
        for key, array in small.items():
            with archive.open(f"{key}.npy", "w") as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array))
    return stream.getvalue()


class Server(http.server.ThreadingHTTPServer):
    """Answers with `content`, in the manner of `mood`; `requests` are the Range headers of what was asked."""

    content: bytes = b""
    mood: str = "good"
    tag: str = '"1"'
    length: str = ""
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/trafficsign.npz"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        if self.path == "/record":
            digest = hashlib.md5(server.content).hexdigest() if server.mood != "other record" else "0" * 32
            text = json.dumps({"files": [{"key": "trafficsign.npz", "checksum": f"md5:{digest}"}]}).encode()
            return self.answer(200, text, {"Content-Type": "application/json"})
        server.requests.append(self.headers.get("Range"))
        if server.mood == "html":
            return self.answer(200, b"<!doctype html><title>Sign in</title>", {"Content-Type": "text/html"})
        if server.mood == "text":
            return self.answer(200, b"you shall not pass", {"Content-Type": "application/octet-stream"})
        if server.mood in ("404", "503") or (server.mood == "503 once" and len(server.requests) == 1):
            return self.answer(int(server.mood[:3]), b"no", {})
        if server.mood == "redirect" and self.path != "/there":
            return self.answer(302, b"", {"Location": "/there"})
        if server.mood == "endless":
            return self.answer(302, b"", {"Location": self.path})
        if server.mood == "elsewhere":
            return self.answer(302, b"", {"Location": "file:///etc/passwd"})
        start = 0
        if server.mood != "no ranges" and self.headers.get("If-Range") == server.tag:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        body, headers = server.content[start:], {"ETag": server.tag}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(server.content) - 1}/{len(server.content)}"
        if server.mood in ("truncates", "stalls", "no ranges") and len(server.requests) <= 2:
            return self.answer(206 if start else 200, body, headers, cut=len(body) // 2)
        if server.mood == "a byte a connection":
            return self.answer(206 if start else 200, body, headers, cut=1)
        if server.mood == "drips":
            return self.answer(206 if start else 200, body, headers, cut=0)
        if server.mood == "odd length":
            return self.answer(200, body, headers | {"Content-Length": server.length})
        if server.mood == "dies":
            return self.answer(206 if start else 200, body, headers, cut=0 if start else len(body) // 2)
        return self.answer(206 if start else 200, body, headers)

    def answer(self, code: int, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
        self.send_response(code)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body[:cut])
        self.wfile.flush()
        if cut is not None and self.server.mood == "stalls":
            time.sleep(1)
        if cut is not None and self.server.mood == "drips":
            with contextlib.suppress(OSError):  # until the other end has had enough
                for byte in body[:100]:
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.1)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch, tmp_path) -> Iterator[Server]:
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        running.content = published()
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield running
        running.shutdown()


def get(server: Server, **options) -> list[str]:
    notes: list[str] = []
    fetch("trafficsign", url=server.url, progress=False, tell=notes.append, patience=QUICK, **options)
    return notes


def left(tmp_path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "data").iterdir())


def test_a_good_download(server, tmp_path):
    assert get(server) == ["checksum not known, format and every array intact."]
    assert dataset_path("trafficsign").read_bytes() == server.content and left(tmp_path) == ["trafficsign.npz"]
    assert load_dataset("trafficsign").num_classes == 16
    assert "is there already" in get(server)[0] and server.requests == [None], "not asked again"
    get(server, force=True)
    assert server.requests == [None, None]


def test_the_records_checksum(server, tmp_path):
    record = server.url.replace("trafficsign.npz", "record")
    assert get(server, record=record) == ["checksum right, format and every array intact."]
    server.mood = "other record"
    with pytest.raises(DatasetError, match=r"gave a damaged file: MD5 [0-9a-f]{32}, published 0{32}"):
        get(server, record=record, force=True)
    assert left(tmp_path) == ["trafficsign.npz"], "what was there stays"
    server.mood = "404"
    server.content = b""
    assert "is there already" in get(server, record=record)[0]


@pytest.mark.parametrize("mood", ["truncates", "stalls"])
def test_goes_on_where_it_was_cut_off(server, mood, tmp_path):
    server.mood = mood
    get(server)
    size = len(server.content)
    assert server.requests == [None, f"bytes={size // 2}-", f"bytes={size // 2 + (size - size // 2) // 2}-"]
    assert dataset_path("trafficsign").read_bytes() == server.content and left(tmp_path) == ["trafficsign.npz"]


def test_without_ranges_it_starts_anew(server):
    server.mood = "no ranges"
    fetch("trafficsign", url=server.url, progress=False, patience=Patience(timeout=0.4, attempts=4, pause=0.01))
    assert dataset_path("trafficsign").read_bytes() == server.content


def test_goes_on_in_the_next_process_unless_the_file_is_another_now(server, tmp_path):
    server.mood = "dies"
    with pytest.raises(DatasetError, match=r"stopped answering .*; to go on, type the same again, or download http"):
        get(server)
    assert left(tmp_path) == [".trafficsign.npz.download", ".trafficsign.npz.download-version"]
    asked = len(server.requests)
    server.mood, server.tag = "good", '"2"'
    get(server)
    assert server.requests[asked:] == [f"bytes={len(server.content) // 2}-"]
    assert dataset_path("trafficsign").read_bytes() == server.content, "not the halves of two files"


@pytest.mark.parametrize("mood", ["a byte a connection", "drips"])
def test_a_server_that_hardly_sends_anything_is_given_up(server, mood):
    """A byte is no progress: at that rate a download would never end."""
    server.mood = mood
    with pytest.raises(DatasetError, match=r"stopped answering .* with [1-9]\d? bytes there"):
        get(server)
    assert len(server.requests) == QUICK.attempts


@pytest.mark.parametrize("length", ["²", "9" * 5000, "-1", "0x10", ""])
def test_lengths_that_are_not_numbers(server, length):
    server.mood, server.length = "odd length", length
    get(server)
    assert dataset_path("trafficsign").read_bytes() == server.content


@pytest.mark.parametrize("mood", ["redirect", "503 once"])
def test_redirects_and_hiccups(server, mood):
    server.mood = mood
    get(server)
    assert dataset_path("trafficsign").exists()


@pytest.mark.parametrize(
    ("mood", "message"),
    [
        ("html", r"answered with a web page in place of the file; to get it by hand, save it as .*trafficsign\.npz"),
        ("text", r"answered with something other than a \.npz file"),
        ("404", r"answered 404 Not Found"),
        ("503", r"cannot be reached or stopped answering \(Service Unavailable\)"),
        ("endless", r"answered 302"),
        ("elsewhere", r"answered 302 .*file:///etc/passwd' is not allowed"),
    ],
)
def test_answers_that_are_not_the_file(server, mood, message, tmp_path):
    server.mood = mood
    with pytest.raises(DatasetError, match=message) as caught:
        get(server)
    assert "\n" not in str(caught.value) and not dataset_path("trafficsign").exists()


def damage(content: bytes) -> bytes:
    return content[:5000] + bytes(byte ^ 0x55 for byte in content[5000:5050]) + content[5050:]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: damage(published()), "gave (a damaged|no intact)"),
        (lambda: published()[:-2000], "gave no intact .npz file"),
        (lambda: published(2), r"gave another dataset: \(classes, instances, channels\) = \(2, 25, 3\)"),
    ],
)
def test_files_that_are_not_right(server, content, message, tmp_path):
    server.content = content()
    with pytest.raises(DatasetError, match=message) as caught:
        get(server)
    assert "\n" not in str(caught.value)
    assert left(tmp_path) == [], "of what is wrong, nothing is kept"


def test_no_network(monkeypatch, tmp_path):
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as gone:
        url = gone.url
    with pytest.raises(DatasetError, match=r"127\.0\.0\.1:\d+ cannot be reached .*Connection refused") as caught:
        fetch("aerial", url=url, progress=False, patience=QUICK)
    assert f"save it as {tmp_path / 'data' / 'aerial.npz'}" in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_not_downloaded(tmp_path):
    for name in ("emoji", "mnist"):
        with pytest.raises(InvalidArgument, match=r"is not downloaded .*; those that are: trafficsign, aerial"):
            fetch(name)
    with pytest.raises(UnknownName, match="Did you mean 'trafficsign'"):
        fetch("trafficsing")


def test_on_the_command_line(benchmark, server):
    code, out, err = benchmark("data", "fetch", "trafficsign", "--url", server.url)
    assert code == 0 and "checksum not known" in out and "trafficsign" in err
    code, _, err = benchmark("data", "fetch", "aerial", "--url", "no address", "--quiet")
    assert code == 1 and "is no address" in err and err.count("\n") == 1


def test_never_from_an_encrypted_connection_to_a_plain_one():
    handler, request = _NoDowngrade(), urllib.request.Request("https://zenodo.org/a")
    with pytest.raises(_Refused, match=r"redirects to http://example\.org/a, which is not followed"):
        handler.redirect_request(request, None, 302, "Found", {}, "http://example.org/a")
    assert handler.redirect_request(request, None, 302, "Found", {}, "https://example.org/a").host == "example.org"
