"""Words from an embedding by inversion: the method of vec2text (Morris et al. 2023, arXiv:2310.06816)."""

from giblet_text_bge.inversion.inverter import Found, Inverter, load_inverter

__all__ = ["Found", "Inverter", "load_inverter"]
