"""The demo study: a made-up world whose truth is known."""

from giblet.data.demo.bids import make_bids_demo
from giblet.data.demo.write import demo_outline, make_demo

__all__ = ["demo_outline", "make_bids_demo", "make_demo"]
