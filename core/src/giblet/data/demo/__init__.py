"""The demo study: a made-up world whose truth is known."""

from giblet.data.demo.write import make_demo

__all__ = ["make_demo"]
