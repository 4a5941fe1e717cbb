"""Errors for places to which a registry must not send us."""

from __future__ import annotations

from banger.core.errors import BangerError, Denied
from banger.image.registry.urls import Origin


def forbidden_place(origin: Origin) -> BangerError:
    """The error for a server inside the user's network that a stranger wants us to connect to."""
    return Denied(
        f"the registry sent us to {origin}, which is inside this computer or its network",
        hint=f'if that is right, name it in the configuration file: [registries."{origin.authority}"]',
    )


def forbidden_scheme(origin: Origin) -> BangerError:
    """The error for a server without TLS that a stranger wants us to connect to."""
    return Denied(
        f"the registry sent us to {origin}, which has no TLS",
        hint="ask its operator; only where the configuration says plain_http of both is it followed",
    )
