"""Whether a predicted scan holds film that no scan could hold: then lesions measure a hiding place, not a brain."""

from __future__ import annotations

from collections.abc import Mapping

FAINT = 0.05
"""Power of the faint noise, as a share of a scan's own. It costs a decoder that reads as loud as scans are about 5 % of
what their full noise costs it (exactly so if it is linear); one that reads fainter patterns drowns in it."""
MARGIN = 0.1
"""How much better, in relative loss, one reading must be than another before it is called so."""


def smuggling(losses: Mapping[str, Mapping[str, float]]) -> dict[str, object]:
    """The verdict on `{modality: {condition: loss}}`.

    `hidden` is what the loss of a predicted scan rises by under a twentieth of a scan's noise; `excess` is how much
    better a prediction with all of that noise is read than a real scan. An honest prediction has neither. That it is
    read better clean than noisy is no offence, so these two are not compared: noise costs an honest decoder, too.
    """
    hidden = {n: by["faint"] - by["predicted"] for n, by in losses.items()}
    excess = {n: by["measured"] - by["noisy"] for n, by in losses.items()}
    said = [
        f"{what} ({', '.join(names)})"
        for what, gap in (
            ("decoders read from a predicted scan what is far fainter than the noise of real ones", hidden),
            ("decoders read more from predicted scans with a real one's noise than from real ones", excess),
        )
        if (names := [n for n, g in gap.items() if g > MARGIN])
    ]
    text = (
        f"{'; '.join(said)}: lesions of predicted scans are in doubt"
        if said
        else f"no loss of predicted scans rises by over {MARGIN:g} under faint noise, and none with a real scan's "
        f"noise is better by over {MARGIN:g} than that of real scans"
    )
    return {"hidden": hidden, "excess": excess, "flag": bool(said), "text": text}
