"""Everything that is wrong with a data set, found in one go: ``mult data check``."""

from mult.data.check.run import check
from mult.data.check.table import lines

__all__ = ["check", "lines"]
