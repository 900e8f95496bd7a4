"""Certificates for tests, in files: an authority, and those that it has signed."""

import ssl
from functools import cached_property
from pathlib import Path

import trustme

from tests.servers import HOST


class Authority:
    """An authority with the certificates of a server on loopback and of a client."""

    def __init__(self, folder: Path) -> None:
        self._signer = trustme.CA()
        self._folder = folder
        self.path = folder / "authority.pem"
        self._signer.cert_pem.write_to_path(self.path)

    @cached_property
    def server(self) -> Path:
        """A file with the server's certificate and its key."""
        return self.issue("server", HOST, "localhost")

    @cached_property
    def client(self) -> Path:
        """A file with a client's certificate and its key."""
        return self.issue("client", "client.example")

    def issue(self, name: str, *identities: str) -> Path:
        """Return a new file of this name, with a certificate and its key."""
        path = self._folder / name
        path.unlink(missing_ok=True)
        pem = self._signer.issue_cert(*identities).private_key_and_cert_chain_pem
        pem.write_to_path(path)
        return path

    def trust(self, certificate: Path | None = None) -> ssl.SSLContext:
        """Return a context that trusts this authority, with a certificate if given."""
        context = ssl.create_default_context(cafile=self.path)
        if certificate is not None:
            context.load_cert_chain(certificate)
        return context

    def options(self, verify: str = "none") -> list[str]:
        """Return the options of a server with its certificate."""
        options = ["--ssl", f"--ssl-certificate={self.server}"]
        if verify == "none":
            return options
        return [*options, f"--ssl-ca-file={self.path}", f"--ssl-verify={verify}"]

    def environment(self) -> dict[str, str]:
        """Return the variables of a tool with the client's certificate."""
        return {
            "GEARMAN_CA_CERTIFICATE": str(self.path),
            "GEARMAN_CLIENT_PEM": str(self.client),
            "GEARMAN_CLIENT_KEY": str(self.client),
        }
