"""Files from a real web server, into the real cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.web import Page, WebServer

from banger.catalogue.document import Bundle
from banger.core.errors import BangerError, Denied, Failed, NotFound, Unavailable
from banger.core.progress import Progress
from banger.daemon.host_catalogues import fetch_bundle
from banger.image.blob_cache import BlobCache
from banger.image.registry.patience import Patience
from banger.image.web import open_web

HASTE = Patience(attempts=2, backoff_s=0.01)
CONTENT = os.urandom(3 << 20)


@pytest.fixture
def web() -> Iterator[WebServer]:
    with WebServer().running() as server:
        yield server


async def read(url: str, *, limit_bytes: int = 1000) -> bytes:
    async with open_web({}, patience=HASTE) as files:
        return await files.read(url, limit_bytes=limit_bytes)


async def test_a_small_file(web: WebServer) -> None:
    web.pages["/c.json?x=1"] = Page(b"text")
    assert await read(f"{web.url}/c.json?x=1") == b"text"


@pytest.mark.parametrize(
    ("page", "error", "words"),
    [
        (Page(b"", status=404), NotFound, "nothing at"),
        (Page(b"", status=401, headers={"WWW-Authenticate": 'Basic realm="x"'}), Denied, "wants a login"),
        (Page(b"", status=403), Denied, "does not give"),
        (Page(b"", status=500), Unavailable, "status 500"),
        (Page(b"", status=418), Failed, "status 418"),
        (Page(b"x" * 1001), Failed, "at most"),
        (Page(b"", status=302, headers={"Location": "/c.json"}), Failed, "from place to place"),
        (Page(b"", status=302, headers={"Location": "file:///etc/passwd"}), Failed, "sent us to"),
        (Page(b"", status=302, headers={"Location": "http://169.254.169.254/"}), Denied, "169"),
        (Page(b"x", headers={"Content-Encoding": "gzip"}), Failed, "compressed"),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, str) else "",
)
async def test_what_is_no_answer(web: WebServer, page: Page, error: type[BangerError], words: str) -> None:
    web.pages["/c.json"] = page
    with pytest.raises(error, match=words) as caught:
        await read(f"{web.url}/c.json")
    assert caught.value.hint


async def test_nobody_there() -> None:
    with pytest.raises(Unavailable):
        await read("http://127.0.0.1:1/c.json")


class Bundles:
    def __init__(self, root: Path, url: str) -> None:
        self.cache = BlobCache(root, check_space=lambda _path, *, needed_bytes: None)
        self.url = url
        self.told: list[Progress] = []

    async def fetch(self, content: bytes = CONTENT) -> Path:
        bundle = Bundle(url=self.url, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        return await fetch_bundle(self.cache, bundle, "tiny", self.told.append)


async def test_a_bundle_that_breaks_off_is_resumed(web: WebServer, tmp_path: Path) -> None:
    web.pages["/b.tar"] = Page(CONTENT, break_after=2 << 20)
    bundles = Bundles(tmp_path, f"{web.url}/b.tar")
    assert (await bundles.fetch()).read_bytes() == CONTENT
    assert [wanted for _, wanted in web.requests] == [None, f"bytes={2 << 20}-"]
    assert bundles.told[-1].done == bundles.told[-1].total == len(CONTENT)
    await bundles.fetch()
    assert len(web.requests) == 2


@pytest.mark.parametrize("bit", [0, 7, len(CONTENT) * 4, len(CONTENT) * 8 - 1])
async def test_one_flipped_bit_of_a_bundle(web: WebServer, tmp_path: Path, bit: int) -> None:
    damaged = bytearray(CONTENT)
    damaged[bit // 8] ^= 1 << bit % 8
    web.pages["/b.tar"] = Page(bytes(damaged))
    with pytest.raises(Failed) as caught:
        await Bundles(tmp_path, f"{web.url}/b.tar").fetch()
    for content in (CONTENT, bytes(damaged)):
        assert f"sha256:{hashlib.sha256(content).hexdigest()}" in caught.value.summary
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.parent.name == "blobs"] == []


async def test_a_bundle_of_another_length(web: WebServer, tmp_path: Path) -> None:
    for content in (CONTENT[:-1], CONTENT + b"x"):
        web.pages["/b.tar"] = Page(content)
        with pytest.raises(Failed):
            await Bundles(tmp_path, f"{web.url}/b.tar").fetch()
