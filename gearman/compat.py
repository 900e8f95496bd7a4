"""Names that programs written for old Pythons import from here."""

from builtins import all, any
from collections import defaultdict

__all__ = ["all", "any", "defaultdict"]
