"""Tests in several processes share the processors; in the background they can be interrupted; none has a time limit."""

import os
import signal

from hypothesis import settings

# A machine that stands still for half a second makes no law wrong.
settings.register_profile("giblet", deadline=None)
settings.load_profile("giblet")

if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, here // int(workers))))

# A shell shuts SIGINT off for what it starts in the background, and what tests start would not hear it either.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
