"""Failures of requests, as errors that a user can act on, and whether a retry may help."""

from __future__ import annotations

import ssl
from typing import Final

import httpcore2

from banger.core.errors import Failed, Internal, TimedOut, Unavailable
from banger.core.untrusted import printable
from banger.image.registry.patience import Patience, Transient
from banger.image.registry.refusals import forbidden_place
from banger.image.registry.urls import Origin

_LATER_HINT: Final = "try again later; what is downloaded already is kept"
_PROXY_HINT: Final = "see whether the proxy variables of the daemon's environment are right"
_REACH_HINT: Final = "see whether this host reaches the registry, and whether the name is right"


class Forbidden(Exception):
    """A host has no address that may be connected to; becomes `Denied` where the origin is known."""


def translate(error: Exception, origin: Origin, patience: Patience) -> Exception:
    """The error for a failed request to `origin`; an error that is not the network's stays as it is."""
    if isinstance(error, Forbidden):
        return forbidden_place(origin)
    if isinstance(error, httpcore2.TimeoutException | TimeoutError):
        return Transient(TimedOut(_what_took_long(error, origin, patience), hint=_LATER_HINT))
    if isinstance(error, httpcore2.ConnectError):
        return _cannot_connect(error, origin)
    if isinstance(error, httpcore2.NetworkError):
        return Transient(Unavailable(f"the connection to {origin} broke", hint=_REACH_HINT))
    if isinstance(error, httpcore2.ProtocolError | httpcore2.ProxyError):
        return _cannot_understand(error, origin)
    return error


def _what_took_long(error: Exception, origin: Origin, patience: Patience) -> str:
    if isinstance(error, httpcore2.ConnectTimeout):
        return f"{origin} was not reached within {patience.connect_s:g} s"
    if isinstance(error, httpcore2.ReadTimeout):
        return f"{origin} sent nothing for {patience.idle_s:g} s"
    return f"{origin} did not answer within {patience.answer_s:g} s"


def _cannot_understand(error: Exception, origin: Origin) -> Exception:
    said = printable(str(error), limit=200)
    if isinstance(error, httpcore2.ProxyError):
        return Transient(Unavailable(f"the proxy did not lead to {origin}: {said}", hint=_PROXY_HINT))
    if isinstance(error, httpcore2.LocalProtocolError):
        return Internal(f"a request to {origin} was malformed: {said}")
    return Transient(
        Failed(
            f"{origin} does not speak proper HTTP: {said}",
            hint="check that the address is a registry's, or ask its operator",
        )
    )


def _cannot_connect(error: Exception, origin: Origin) -> Exception:
    said = printable(str(error), limit=200)
    causes = [error.__cause__, error.__context__]
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return Failed(
            f"the certificate of {origin} is not trusted: {said}",
            hint="add its authority to the host's trusted certificates (Debian: `update-ca-certificates`)",
        )
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return Failed(
            f"{origin} does not speak TLS: {said}",
            hint=f'for a registry without TLS write [registries."{origin.authority}"] and plain_http = true'
            " into the configuration file, and restart the daemon",
        )
    return Transient(Unavailable(f"cannot connect to {origin}: {said}", hint=_REACH_HINT))
