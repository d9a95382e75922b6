"""Signatures of scores, as metrics write them.

They live in ``core`` because statistics, which must not depend on metrics, check them too.
"""

from qingting.core.signature import Level, Signature, require_same

__all__ = ["Level", "Signature", "require_same"]
