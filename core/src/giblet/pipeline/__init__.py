"""A run, stage by stage: the one place that joins the rooms."""

from giblet.pipeline.prepare import Inputs, extract_study

__all__ = ["Inputs", "extract_study"]
