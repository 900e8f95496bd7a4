"""The certificates of the server: from files to the SSLContext of connections."""

import logging
import ssl
from collections.abc import Callable
from typing import Final, NoReturn

from ...errors import StartupError
from .config import Tls
from .levels import NOTICE

log = logging.getLogger("gearman.server")

_MODES: Final = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


class Certificates:
    """The certificates in use. `context` is for new connections.

    If the server `dials`, `as_client` is for connections that it opens, to others of
    its cluster: it shows them the same certificate. The constructor reads the files.
    Raises StartupError if they cannot be used.
    """

    def __init__(self, files: Tls, dials: bool = False) -> None:
        self._files = files
        self._dials = dials
        self.as_client: ssl.SSLContext | None = None
        self._load()

    def _load(self) -> None:
        self.context = _context(self._files)
        if self._dials:
            self.as_client = _client_context(self._files)

    def reload(self) -> None:
        """Read the files again, for new connections.

        If they cannot be used, an error is logged, and the old ones stay in use.
        """
        try:
            self._load()
        except StartupError as error:
            log.error("the certificates in use are kept: %s", error)
        else:
            log.log(NOTICE, "certificates read again")


def open_certificates(files: Tls | None, dials: bool = False) -> Certificates | None:
    """Return the certificates in these files, or None if TLS is not in use.

    A server `dials` if it opens connections to others of its cluster.
    """
    return None if files is None else Certificates(files, dials)


def _context(files: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A peer could use much of the server's CPU time with it.
    context.options |= ssl.OP_NO_RENEGOTIATION
    _load_certificate(context, files)
    if files.authorities and files.verify != "none":
        _load_authorities(context, files.authorities)
        context.verify_mode = _MODES[files.verify]
    return context


def _client_context(files: Tls) -> ssl.SSLContext:
    """Return the context of connections to other servers of the cluster.

    These have certificates of the same authorities, if some are named. Their names are
    not checked: servers are found by addresses, and prove that they belong to the
    cluster.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _load_certificate(context, files)
    if files.authorities:
        _load_authorities(context, files.authorities)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load_certificate(context: ssl.SSLContext, files: Tls) -> None:
    _check(files.certificate, "certificate", "--ssl-certificate")
    _check(files.key, "private key", "--ssl-key")
    try:
        context.load_cert_chain(files.certificate, files.key, _no_password(files.key))
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise StartupError(
                f"the private key in {files.key!r} is not that of the first certificate"
                f" in {files.certificate!r}: give --ssl-key and --ssl-certificate files"
                " that belong together"
            ) from error
        raise StartupError(
            f"the certificate in {files.certificate!r} and the private key in"
            f" {files.key!r} cannot be used ({error.reason or 'no PEM files'}): create"
            " them again, or name others with --ssl-certificate and --ssl-key"
        ) from error


def _load_authorities(context: ssl.SSLContext, path: str) -> None:
    _check(path, "certificate", "--ssl-ca-file")
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise StartupError(
            f"the certificates of authorities in {path!r} cannot be used"
            f" ({error.reason or error}): name another file with --ssl-ca-file"
        ) from error


def _check(path: str, what: str, option: str) -> None:
    """Raise StartupError unless the file can be read and contains a `what`."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise StartupError(
            f"the file {path!r} cannot be read ({error.strerror}): give {option} a file"
            f" with a {what} that this user may read"
        ) from error
    if f"{what.upper()}-----".encode() not in content:
        raise StartupError(
            f"the file {path!r} contains no {what} in PEM form: name another one with"
            f" {option}"
        )


def _no_password(path: str) -> Callable[[], NoReturn]:
    def ask() -> NoReturn:
        raise StartupError(
            f"the private key in {path!r} is encrypted, and the server cannot ask for"
            " its password: decrypt it with `openssl pkey`, and let only this user read"
            " it"
        )

    return ask
