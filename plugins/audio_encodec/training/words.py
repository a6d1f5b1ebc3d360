"""Random sentences: numbers, which every language reads as words of its own, common words, and made-up ones."""

from __future__ import annotations

import numpy as np

COMMON = (
    "the of and to in that was his he it with is for as had you not be her on at by which have or from this him but "
    "all she they were my are me one their so an said them we who would been will no when there if more out up into "
    "any your what has man could other than our some very time upon about may its only now like little then can made "
    "should did us such great before must two these see know over much down after first mister good men own never most "
    "old shall day where those came come himself way work life without go make well through being long say might how "
    "am too even again many back here think every people went same last thought away under take found hand eyes still "
    "place while just also young yet though against things get ever give god years off face nothing right once another "
    "left part saw house world head three took new love always put night each king between tell mind heart few because "
    "thing whom far seemed looked called whole set both got find done heard look name days told let lord country asked "
    "going seen better having home knew side something moment father among course hands woman enough words mother soon "
    "full end gave room almost small thou cannot water want however light quite brought nor word whose given door best "
    "sure voice family church others poor felt stood lost wish watch yellow orange measure joy boy jump church judge"
).split()
ONSETS = "b d f g h j k l m n p r s t v w z sh ch th br dr fl gl kr pl pr sk sp st tr".split()
VOWELS = "a e i o u ai au ei oi ee oo ou".split()
CODAS = ["", "", "", "n", "m", "l", "r", "s", "t", "k", "p", "d", "g", "f", "sh", "nd", "st", "ng"]


def sentence(rng: np.random.Generator, n_words: int) -> str:
    """Words of three kinds, with a stop now and then."""
    words = [KINDS[int(rng.choice(len(KINDS), p=(0.5, 0.3, 0.2)))](rng) for _ in range(n_words)]
    stops = rng.choice(["", "", "", "", "", ",", ".", "?"], n_words)
    return " ".join(f"{word}{stop}" for word, stop in zip(words, stops, strict=True)) + "."


def _common(rng: np.random.Generator) -> str:
    return str(rng.choice(COMMON))


def _made_up(rng: np.random.Generator) -> str:
    syllables = int(rng.integers(1, 4))
    return "".join(f"{rng.choice(ONSETS)}{rng.choice(VOWELS)}{rng.choice(CODAS)}" for _ in range(syllables))


def _number(rng: np.random.Generator) -> str:
    return str(int(10 ** rng.uniform(0, 4)))


KINDS = (_common, _made_up, _number)
