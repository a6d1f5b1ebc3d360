"""Weights of published models on this machine, by names that people give them."""

from giblet.weights.names import NamedWeights, add_weights, named_weights, remove_weights, weights_place

__all__ = ["NamedWeights", "add_weights", "named_weights", "remove_weights", "weights_place"]
