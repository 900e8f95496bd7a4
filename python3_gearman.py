"""This library under the name of python3-gearman, for programs that import that."""

import sys

import gearman

for _name, _module in list(sys.modules.items()):
    if _name.startswith("gearman."):
        sys.modules[f"python3_{_name}"] = _module
sys.modules[__name__] = gearman
