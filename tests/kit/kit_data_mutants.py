"""One thing wrong in each: class, settings, fit, extract, align, reconstruct."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
from giblet import Features, TRGrid
from kit_good import RATE_HZ, Good, GoodBrain, GoodEvents, GoodSound


class BadName(Good):
    kind = "other"


class Loose(Good):
    model_config = {"extra": "ignore"}


class Forgetful(Good):
    def settings(self):
        return {}


class Rounding(Good):
    """Loses digits of a setting: no default shows it."""

    def settings(self):
        return super().settings() | {"gain": max(round(self.gain, 3), 0.001)}


class Unpicklable(Good):
    def __getstate__(self):
        raise TypeError("cannot pickle this modality")


class Amnesiac(Good):
    """Loses what it learned on the way to a worker."""

    def __reduce__(self):
        return (Amnesiac, ())


class Salted(Good):
    """Depends on the salt of hash(), which is another one in each process."""

    def extract(self, source):
        for chunk in super().extract(source):
            yield chunk.with_values(chunk.values + np.float32(hash("salt") % 1000))


class FitChanges(Good):
    def fit(self, sources, train):
        self._state["mean"] = np.zeros(3)
        return self


class FitDraws(Good):
    def fit(self, sources, train):
        return self.fitted(mean=np.random.default_rng().normal(size=3))


class FitOther(Good):
    def fit(self, sources, train):
        return self.model_copy(update={"gain": 2.0})


class Random(Good):
    def extract(self, source):
        for chunk in super().extract(source):
            yield chunk.with_values(chunk.values + np.random.default_rng().normal(size=3).astype(np.float32))


class Touching(Good):
    """Writes into the recording."""

    def extract(self, source):
        yield from super().extract(source)
        source.path.write_text(source.path.read_text() + "# read\n")


class FloatTimes(Good):
    def extract(self, source):
        for chunk in super().extract(source):
            yield Features(chunk.values, chunk.ticks / RATE_HZ, Fraction(1))


class FloatBase(Good):
    def extract(self, source):
        for chunk in super().extract(source):
            yield replace(chunk, timebase=0.1)


class Backwards(Good):
    def extract(self, source):
        for chunk in super().extract(source):
            yield replace(chunk, ticks=chunk.ticks[::-1].copy())


class Holes(Good):
    def extract(self, source):
        for chunk in super().extract(source):
            yield chunk.with_values(np.where(chunk.values > 2, np.nan, chunk.values).astype(np.float32))


class Nothing(Good):
    def extract(self, source):
        for chunk in super().extract(source):
            yield Features(chunk.values[:0], chunk.ticks[:0], chunk.timebase)


class Huge(Good):
    def extract(self, source):
        yield Features.regular(np.zeros((65, 1 << 20), np.uint8), RATE_HZ)


class Changing(Good):
    def extract(self, source):
        for chunk in super().extract(source):
            half = len(chunk.values) // 2
            for part, kind in ((slice(0, half), np.float32), (slice(half, None), np.float64)):
                yield Features(chunk.values[part].astype(kind), chunk.ticks[part], chunk.timebase)


class Attributed(Good):
    def extract(self, source):
        for chunk in super().extract(source):
            yield chunk.with_values(chunk.values, window=np.hanning)


class Tupled(Good):
    def extract(self, source):
        for chunk in super().extract(source):
            yield chunk.with_values(chunk.values, size=(3, 4))


class FromItsStart(Good):
    """Counts the time of a cut from the cut."""

    def extract(self, source):
        for chunk in super().extract(source):
            yield replace(chunk, ticks=np.arange(len(chunk.ticks)))


class ScaledByItsOwn(Good):
    """Makes each cut as loud as the others."""

    def extract(self, source):
        for chunk in super().extract(source):
            yield chunk.with_values(chunk.values / (1 + chunk.values[0]))


class Stretching(Good):
    """Fits the features to the grid whatever the time: the mistake that gave 45 s of drift."""

    def align(self, features, grid):
        edges = np.linspace(0, len(features.values), grid.n_trs + 1).astype(np.int64)
        return replace(super().align(features, grid), first=edges[:-1], count=np.diff(edges))


class Doubling(Good):
    """Lets TRs share a frame, as a closed interval does."""

    def align(self, features, grid):
        aligned = super().align(features, grid)
        more = (aligned.count > 0) & (aligned.first + aligned.count < len(features.values))
        return replace(aligned, count=aligned.count + more)


class Halving(Good):
    """Keeps every other frame."""

    def align(self, features, grid):
        return super().align(replace(features, values=features.values[::2], ticks=features.ticks[::2]), grid)


class FromZero(Good):
    """Begins at the first sample wherever the grid starts."""

    def align(self, features, grid):
        return super().align(features, TRGrid(grid.tr_s, grid.n_trs))


class Filling(Good):
    """Repeats the last frame where there is none."""

    def align(self, features, grid):
        aligned = super().align(features, grid)
        first = np.where(aligned.count > 0, aligned.first, np.maximum(aligned.first - 1, 0))
        return replace(aligned, first=first, count=np.maximum(aligned.count, 1))


class LosingEvents(GoodEvents):
    """Sees events only where they begin."""

    def align(self, features, grid):
        return super().align(replace(features, durations=np.zeros_like(features.durations)), grid)


class WritingAlign(Good):
    def align(self, features, grid):
        features.values[:] += 1
        return super().align(features, grid)


class Flat(Good):
    def summary(self, aligned):
        return super().summary(aligned)[:, 0]


class Short(Good):
    def summary(self, aligned):
        return super().summary(aligned)[1:]


class Ungrouped(Good):
    def summary_groups(self, columns):
        return [columns - 1]


class Empty(Good):
    round_trip = None

    def reconstruct(self, features, out):
        out.with_suffix(".txt").touch()
        return out.with_suffix(".txt")


class Gone(Good):
    round_trip = None

    def reconstruct(self, features, out):
        return out.with_suffix(".txt")


class Renamed(Good):
    def reconstruct(self, features, out):
        return super().reconstruct(features, out.with_name("mine"))


class Coarse(Good):
    """Writes whole numbers."""

    def reconstruct(self, features, out):
        return super().reconstruct(features.with_values(features.values.round()), out)


class Dropping(Good):
    def reconstruct(self, features, out):
        return super().reconstruct(replace(features, values=features.values[:-1], ticks=features.ticks[:-1]), out)


class Restarting(GoodSound):
    """Counts the time of each chunk from its start."""

    def extract(self, source):
        for chunk in super().extract(source):
            yield replace(chunk, ticks=chunk.ticks - chunk.ticks[0])


class Centred(GoodSound):
    """Takes the mean of each chunk away."""

    def extract(self, source):
        for chunk in super().extract(source):
            yield chunk.with_values(chunk.values - chunk.values.mean())


class DoubleTime(GoodSound):
    def extract(self, source):
        for chunk in super().extract(source):
            yield replace(chunk, ticks=2 * chunk.ticks)


class Late(GoodSound):
    def extract(self, source):
        for chunk in super().extract(source):
            yield replace(chunk, ticks=chunk.ticks + 5000)


class Misspelt(Good):
    def lose(self, prediction, target):
        return super().loss(prediction, target)


class Sumary(Good):
    def sumary(self, aligned):
        return super().summary(aligned)


class Nuisances(GoodBrain):
    def nuisances(self, source):
        return super().nuisance(source)


class Line(Good):
    """Numbers, not frames of one number."""

    def extract(self, source):
        for chunk in super().extract(source):
            yield chunk.with_values(chunk.values[:, 0])


class FillingHoles(Good):
    """Gives a TR that has none the sample before it, if there is one on both sides."""

    def align(self, features, grid):
        aligned = super().align(features, grid)
        count = aligned.count.copy()
        for k in range(1, grid.n_trs - 1):
            if not count[k] and count[k - 1] and count[k + 1]:
                count[k] = 1
        return replace(aligned, count=count)


class Cutting(Good):
    """Refuses every cut: nothing is tried, and the check says so."""

    def extract(self, source):
        from giblet import DataError

        if source.start_s is not None or source.stop_s is not None:
            raise DataError("no cuts")
        yield from super().extract(source)


class Whole(Good):
    """Gives the whole for every cut."""

    def extract(self, source):
        yield from super().extract(replace(source, start_s=None, stop_s=None))


ALIGN, SHIFT, MISSING = "align_conserves_frames", "shifting_the_clock_shifts_the_rows", "missing_time_is_masked"
DETERMINED, WORKER = "extract_is_deterministic", "extract_in_a_worker"
CLOCK, CHUNKS = "times_are_the_recordings", "chunks_do_not_matter"
STORE, PIECES, BACK = "features_survive_the_store", "pieces_join_to_the_whole", "reconstruct_comes_back"

MUTANTS = [
    (BadName, "class_attributes", "a name begins with its kind: 'other_...'", []),
    (Loose, "settings_forbid_unknown_keys", "an unknown setting was accepted", []),
    (Forgetful, "settings_round_trip", "must equal the original", []),
    (Rounding, "settings_round_trip", "must equal the original", []),
    (Unpicklable, "picklable", "cannot pickle this modality", [WORKER]),
    (Amnesiac, "picklable", "comes back from pickle is another", []),
    (Misspelt, "methods_are_spelt", "did you mean 'loss'?", []),
    (Sumary, "methods_are_spelt", "did you mean 'summary'?", []),
    (Nuisances, "methods_are_spelt", "did you mean 'nuisance'?", []),
    (Salted, WORKER, "a worker extracts something else", [BACK]),
    (FitChanges, "fit_returns_a_copy", "fit changed the modality", []),
    (FitDraws, "fit_returns_a_copy", "fit learned something else the second time", []),
    (FitOther, "fit_returns_a_copy", "fit changed the settings", []),
    (Random, DETERMINED, "something else the second time", [WORKER, PIECES, BACK]),
    (Touching, DETERMINED, "extract changed table.txt", []),
    (FloatTimes, "times_increase", "ticks must be int64, not float64", None),
    (FloatBase, "times_increase", "timebase is 0.1", None),
    (Backwards, "times_increase", "go backwards", None),
    (DoubleTime, CLOCK, "seconds from the file's start", None),
    (Late, CLOCK, "seconds from the file's start", None),
    (Restarting, CHUNKS, "samples at other times", None),
    (Centred, CHUNKS, "give other values", None),
    (Line, "values_are_finite", "give [N, 1]", None),
    (FillingHoles, MISSING, "align filled a TR", [ALIGN]),
    (Holes, "values_are_finite", "features must be finite", None),
    (Nothing, "values_are_finite", "the source gave no features", None),
    (Huge, "chunks_are_small", "a chunk of 65 MB", None),
    (Changing, STORE, "must be alike", []),
    (Attributed, STORE, "attrs must hold plain values", []),
    (Tupled, STORE, "attrs must hold plain values", []),
    (FromItsStart, PIECES, "samples at other times than the whole", []),
    (ScaledByItsOwn, PIECES, "pieces differ from the whole", [BACK]),
    (Stretching, ALIGN, "align lost, doubled or moved frames", [SHIFT, MISSING]),
    (Doubling, ALIGN, "align lost, doubled or moved frames", []),
    (Halving, ALIGN, "align lost, doubled or moved frames", [MISSING]),
    (FromZero, SHIFT, "bin by grid.start_s", [ALIGN, MISSING]),
    (Filling, MISSING, "leave their count 0", [ALIGN]),
    (LosingEvents, ALIGN, "align lost events", []),
    (WritingAlign, "inputs_are_left_alone", "align writes into its input", [ALIGN, SHIFT]),
    (Flat, "summary_contract", "summary must be [T, P], not (4,)", []),
    (Short, "summary_contract", "summary has 3 rows for 4 TRs", []),
    (Ungrouped, "summary_contract", "which do not add up to the", []),
    (Empty, "reconstruct_writes_a_file", "made.txt is empty", []),
    (Gone, "reconstruct_writes_a_file", "reconstruct wrote no file made.txt", []),
    (Renamed, "reconstruct_writes_a_file", "reconstruct wrote mine.txt; put a suffix to", []),
    (Coarse, BACK, "round_trip states 1e-06", []),
    (Dropping, BACK, "reconstruct wrote 63 samples of 64", []),
]
"""The mutant, the check meant for it, what it says, and the others that may fail too (None: many, only it is tried)."""
