"""How like the original a reconstructed sound is: samples, loudness, spectrum, speech, words, and blind listening."""

from giblet.analysis.audio.listening import Task, Trial, binomial_p, draw_trials, least_right
from giblet.analysis.audio.quality import PIECE_S, compare, score_sounds
from giblet.analysis.audio.spectrum import log_mel, mel_correlation
from giblet.analysis.audio.speech import pesq_nb, pesq_wb, stoi
from giblet.analysis.audio.waveform import envelope_correlation, rhythm_correlation, rhythm_rates, si_sdr, snr
from giblet.analysis.audio.words import find_recogniser, transcribe, word_errors, word_scores

__all__ = [
    "PIECE_S",
    "Task",
    "Trial",
    "binomial_p",
    "compare",
    "draw_trials",
    "envelope_correlation",
    "find_recogniser",
    "least_right",
    "log_mel",
    "mel_correlation",
    "pesq_nb",
    "pesq_wb",
    "rhythm_correlation",
    "rhythm_rates",
    "score_sounds",
    "si_sdr",
    "snr",
    "stoi",
    "transcribe",
    "word_errors",
    "word_scores",
]
