"""Stacks of layers by name, and exactly what becomes of each."""

from __future__ import annotations

from tests.hostile.layer_breakouts import BREAKOUTS
from tests.hostile.layer_compression import COMPRESSION
from tests.hostile.layer_entries import ENTRIES
from tests.hostile.layer_sparse import SPARSE
from tests.hostile.layer_whiteouts import WHITEOUTS
from tests.hostile.layer_wholes import WHOLE

CASES = {**BREAKOUTS, **WHITEOUTS, **ENTRIES, **SPARSE, **COMPRESSION, **WHOLE}
