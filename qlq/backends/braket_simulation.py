"""One simulation of Braket's simulators at a time in this process.

They run numba's parallel loops. Numba's own work queue, which it uses where no other threading
layer is installed, is not safe for threads: it aborts the whole process when two of them enter it.

Source: Numba's documentation on threading layers, "workqueue".
"""

from __future__ import annotations

import threading

alone = threading.Lock()
"""Held while a simulation runs."""
