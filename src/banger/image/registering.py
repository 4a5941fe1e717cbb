"""Images from the user's file system images: used in place, or copied into the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from banger.core.errors import AlreadyExists, WrongState
from banger.core.progress import Progress
from banger.core.provenance import Provenance
from banger.image.registered import HostFile, copy, look_at
from banger.image.store import Image, ImageStore, name_rootfs

OF_FILE: Final = "file"  # where an image came from, as its provenance says
_STEP_BYTES: Final = 16 << 20


def register(
    store: ImageStore,
    name: str,
    path: Path,
    *,
    init: str | None,
    architecture: str,
    report: Callable[[Progress], None],
    check: Callable[[], None],
) -> Image:
    """Use a file system image where it lies; blocking, for a thread.

    One that has this name already is looked at again, as after a copy or a change of times. Raises `AlreadyExists`
    where it has another content, and what `look_at` raises.
    """
    file, root_fs = look_at(path, tell=_teller(f"reading {name}", report, check))
    known = store.find(name, architecture)
    if known is not None and (known.file is None or (known.file.digest, known.init) != (file.digest, init)):
        raise AlreadyExists(f"there is already another image named {name}", hint="choose another --name")
    said = _describe(name, architecture=architecture, init=init, root_fs=root_fs, file=file, before=known)
    manifest = {**said, "source": f"registered from {file.path}", "file": file.encode(), "file_digest": file.digest}
    with store.content.draft() as draft:
        return store.view(name, store.content.publish(draft, name=name, files=[], manifest=manifest))


def promote(store: ImageStore, image: Image, *, report: Callable[[Progress], None], check: Callable[[], None]) -> Image:
    """Copy the file of a registered image into the store, under its name; blocking, for a thread.

    Raises `WrongState` for what is in the store, and what `copy` raises.
    """
    file, name = image.file, image.name
    if file is None:
        raise WrongState(f"the image {name} is in the store already", hint="there is nothing to promote")
    rootfs = name_rootfs(image.root_fs)
    said = _describe(
        name, architecture=image.architecture, init=image.init, root_fs=image.root_fs, file=file, before=image
    )
    manifest = {**said, "source": f"promoted from {file.path}"}
    with store.content.draft() as draft:
        copy(file, draft / rootfs, tell=_teller(f"copying {name}", report, check))
        return store.view(name, store.content.publish(draft, name=name, files=[rootfs], manifest=manifest))


def _describe(
    name: str, *, architecture: str, init: str | None, root_fs: str, file: HostFile, before: Image | None
) -> Mapping[str, Any]:
    """The manifest. `before` had this name; its default kernel and disk size stay with the name."""
    machine = {"kernel": before.kernel, "disk_bytes": before.disk_bytes} if before is not None else {}
    return {
        "name": name,
        "architecture": architecture,
        "root_fs": root_fs,
        "init": init,
        "environment": {},
        "created_at_s": time.time(),
        "recipe": "",
        "provenance": Provenance(kind=OF_FILE, reference=file.path, digest=file.digest).encode(),
        "machine": machine,
    }


def _teller(text: str, report: Callable[[Progress], None], check: Callable[[], None]) -> Callable[[int, int], None]:
    told = -_STEP_BYTES

    def tell(done: int, total: int) -> None:
        nonlocal told
        check()
        if done - told >= _STEP_BYTES or done == total:
            told = done
            report(Progress(stage="image", text=text, done=done, total=total, unit="bytes"))

    return tell
