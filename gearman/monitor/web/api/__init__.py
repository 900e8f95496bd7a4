"""The API: a table of endpoints, which is also what its description is made from."""

from .endpoints import Endpoint
from .table import ENDPOINTS

__all__ = ["ENDPOINTS", "Endpoint"]
