"""Why a server can't be read, in words."""

import asyncio
import os
import socket
import ssl


def reason(error: Exception) -> str:
    """Return what happened, as the end of a sentence that begins with the server."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {getattr(error, 'reason', None) or error}"
    if isinstance(error, socket.gaierror):
        return f"unknown host: {error.strerror}"
    if isinstance(error, asyncio.IncompleteReadError):
        return "the server closed the connection"
    if isinstance(error, OSError) and error.errno:
        # asyncio's text has the address, too.
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
