"""Studies, features on disk, windows and splits."""
