"""An image out of the store, as a stream. Nothing is written here, so there is nothing to undo."""

from __future__ import annotations

import asyncio

from banger.api.messages import ExportedImage, ImageExportRequest
from banger.core.errors import Invalid, NotFound
from banger.core.platforms import parse_platform
from banger.core.threads import from_thread, run_in_thread
from banger.daemon.collaborators import Exported, Images
from banger.daemon.context import Request
from banger.daemon.progress import reporter
from banger.daemon.streams import StreamExchange
from banger.image.exporting import FORMATS


class ExportImage:
    """Sends one image in one of the formats that other tools read."""

    def __init__(self, *, images: Images) -> None:
        self._images = images

    async def __call__(
        self, request: Request, name: str, asked: ImageExportRequest, exchange: StreamExchange
    ) -> ExportedImage:
        """Send the archive; not a byte of an image that is damaged in the store. Raises `NotFound`, `Failed`."""
        platform, wanted = asked.get("platform"), asked["format"]
        format_ = next((known for known in FORMATS if known == wanted), None)
        if format_ is None:
            raise Invalid(f"{ascii(wanted[:40])} is not a format of images", hint=f"give one of {', '.join(FORMATS)}")
        image = self._images.find(name, parse_platform(platform) if platform else None)
        if image is None:
            raise NotFound(
                f"there is no image named {ascii(name)[1:-1]} here"
                + (f" for {ascii(platform)[1:-1]}" if platform else ""),
                hint="`banger image list` shows those that are",
            )
        exported = Exported()
        pieces = self._images.export(image, format_, exported, from_thread(reporter(request)))
        try:
            while (piece := await run_in_thread(lambda _check: next(pieces, None))) is not None:
                await exchange.send_output(piece)
        finally:
            await asyncio.to_thread(pieces.close)
        return {
            "name": image.name,
            "digest": image.digest,
            "architecture": image.architecture,
            "format": format_,
            "archive_digest": exported.digest or None,
            "size_bytes": exported.size_bytes,
        }
