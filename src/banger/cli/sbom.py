"""The packages of an image as a bill of materials, for programs that compare it with lists of known holes."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from banger.api.messages import ImageDetail

_SPECIFICATION: Final = "1.5"  # of CycloneDX, https://cyclonedx.org/docs/1.5/json/


def describe_packages(image: ImageDetail) -> dict[str, Any]:
    """A CycloneDX document. That packages cannot be told, and why, is a property of the image in it."""
    created = datetime.datetime.fromtimestamp(image["created_at_s"], tz=datetime.UTC)
    unknown = image["packages_unknown"]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": _SPECIFICATION,
        "version": 1,
        "metadata": {
            "timestamp": created.isoformat(timespec="seconds"),
            "component": {
                "type": "container",
                "bom-ref": image["digest"],
                "name": image["name"],
                "version": image["digest"],
                **({"properties": [{"name": "banger:packages-unknown", "value": unknown}]} if unknown else {}),
            },
        },
        "components": [
            _describe(
                package["name"],
                package["version"],
                form=image["packages_format"],
                distribution=image["packages_distribution"],
            )
            for package in image["packages"] or ()
        ],
    }


def _describe(name: str, version: str, *, form: str, distribution: str) -> dict[str, str]:
    purl = package_url(name, version, form=form, distribution=distribution)
    return {
        "type": "library",
        "bom-ref": purl or f"{name}@{version}",
        "name": name,
        "version": version,
        **({"purl": purl} if purl else {}),
    }


def package_url(name: str, version: str, *, form: str, distribution: str) -> str:
    """The package URL (purl-spec, its types deb, apk and rpm); empty where format or distribution are not known."""
    if not form or not distribution:
        return ""
    qualifiers = ""
    if form == "rpm" and ":" in version:
        epoch, _, version = version.partition(":")
        qualifiers = f"?epoch={epoch}"
    return f"pkg:{form}/{quote(distribution, safe='')}/{quote(name, safe='')}@{quote(version, safe=':')}{qualifiers}"
