"""On what kind of machine a run was computed, for the page; nothing that tells which one."""

from __future__ import annotations

import os
import platform


def machine() -> dict[str, str]:
    """Python, operating system, processor and accelerator, in words."""
    import torch

    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    cores = f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    return {
        "Python": platform.python_version(),
        "system": platform.system(),
        "processor": cores,
        "accelerator": device,
    }
