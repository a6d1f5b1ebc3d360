"""Mutants live in modules that other processes can import, as plugins do."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
