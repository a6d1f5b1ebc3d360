"""How like the original a decoded text is: by its embedding, by rank among a corpus, and by its words."""

from giblet.analysis.text.compare import compare, metrics
from giblet.analysis.text.corpus import Corpus
from giblet.analysis.text.noise import LEVELS, noise_curve
from giblet.analysis.text.retrieval import centred_cosine, retrieval

__all__ = ["LEVELS", "Corpus", "centred_cosine", "compare", "metrics", "noise_curve", "retrieval"]
