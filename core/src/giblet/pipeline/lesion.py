"""A lesion of a finished run: what each modality loses, and the film as it is seen without a region and by it alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from torch import Tensor

from giblet import stages
from giblet.analysis.decode import Reader
from giblet.analysis.lesions import SOURCES, Ablation, How, Lesions, Plan, Space, lesion_table
from giblet.analysis.lesions.table import MOST_REGIONS
from giblet.analysis.scores import Real
from giblet.data.split import Block
from giblet.data.study import Study
from giblet.data.written import read_arrays
from giblet.errors import ConfigError, did_you_mean
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.lesion_target import Target, Wanted, compared, find_target
from giblet.pipeline.lesions import space_of
from giblet.pipeline.prepare import Inputs
from giblet.pipeline.reconstruct import cut, decoded, moment, read_summary, stretch
from giblet.pipeline.regions import Masks, read_atlas, unit_masks
from giblet.pipeline.reopen import Reopened, ReopenedStudy, with_data
from giblet.pipeline.results import results_folder
from giblet.types import Progress

MARKER = "lesion.json"
MAP, IMAGE = "lesion.png", "lesion.nii.gz"
UNLIKE = 2
"""Regions of more than so many times as many units are not alike in what they could cost."""
ReadData = Callable[[Reopened, Study, Progress], ReopenedStudy]
WELL_MATCHED = 0.9
"""Share of random lesions within the tolerance of the region's ceiling below which the table warns."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the lesion is made and tested.

    Raises
    ------
    ConfigError
        If a value is not possible.
    """

    how: How = "resample"
    strength: float = 1.0
    draws: int = 4
    random: int = 1000
    only: bool = False

    def __post_init__(self) -> None:
        if self.how not in get_args(How):
            raise ConfigError(f"how = {self.how!r} is not possible; {did_you_mean(str(self.how), get_args(How))}")
        if not 0 <= self.strength <= 1:
            raise ConfigError(f"strength = {self.strength} is not possible; give the share that is ablated, 0 to 1")
        for name, value, least in (("draws", self.draws, 1), ("random", self.random, 0)):
            if not isinstance(value, int | np.integer) or value < least:
                raise ConfigError(f"{name} = {value!r} is not possible; give a whole number, at least {least}")


@dataclass(frozen=True, eq=False)
class Lesioned:
    """A lesion and what it costs: `told` is `lesion.json` without files."""

    told: dict[str, Any]
    reader: Reader
    inputs: Inputs
    target: Target
    plan: Plan


def lesion_run(
    again: Reopened, study: Study, wanted: Wanted, options: Options, progress: Progress, read: ReadData = with_data
) -> Lesioned:
    """Lesion a reopened run with its study; `read` reads the data, after all that can be refused is.

    Raises
    ------
    ConfigError, DataError, PluginError
        As `with_data`, `find_target` and `read_atlas`.
    """
    atlas = read_atlas(study.atlas, study.labels, again.brain)
    voxels = next(iter(again.blueprint.voxels.values()))
    target = find_target(wanted, atlas, again.brain, again.model, voxels)
    _, inputs, _, reader = read(again, study, progress)
    places = {} if atlas is None else atlas.masks(atlas.networks or atlas.names)
    regions, notes = _compared(target, unit_masks(places, again.brain))
    plan = Plan(
        target.units,
        _space(again.run, inputs, target),
        Ablation(options.how, options.strength, reader.config.seed),
        options.draws,
        options.random,
        options.only,
    )
    table = lesion_table(reader, regions, plan, progress, against=target.name)
    sizes = {name: int(mask.sum()) for name, mask in regions.items()}
    told = _told(again.run, target, table, sizes, [*inputs.described["notes"], *notes])
    return Lesioned(told, reader, inputs, target, plan)


def write_lesion(made: Lesioned, out: Path, progress: Progress) -> dict[str, Any]:
    """Write `lesion.json` (returned), where the lesion lies, and the film without the region and by it alone.

    Raises
    ------
    ConfigError, GibletError
        As `results_folder`.
    """
    with results_folder(out, MARKER) as folder:
        place = stretch(made.inputs, made.reader.config.evaluate.reconstruct_s)
        files = _films(made, place, folder, progress)
        told = made.told | {"files": files, "files_from": moment(made.inputs, *place)}
        told |= _place(made.inputs, made.target, folder)
        RunFolder(folder).write_json(MARKER, told)
    return told


def _compared(target: Target, regions: Masks) -> tuple[Masks, list[str]]:
    """The target with the regions that it is compared with, unless those are too many to be decoded."""
    found = compared(target, regions)
    if len(found) <= MOST_REGIONS:
        return found, []
    note = f"not compared with other regions: the atlas has {len(found) - 1} beside it, more than {MOST_REGIONS}"
    return {target.name: target.chosen}, [note]


def _space(run: Path, inputs: Inputs, target: Target) -> Space:
    """Where the units lie and how reliable they are; components have neither."""
    return space_of(inputs, _ceiling(run, target)) if target.of_voxels else Space()


def _ceiling(run: Path, target: Target) -> Real | None:
    """The group's ceiling of each voxel, as the run measured it."""
    if not (run / "maps.npz").is_file():
        return None
    maps = read_arrays(run / "maps.npz")
    values = maps.get("ceiling_group")
    if values is not None and "unit" in maps:
        values = values[np.unique(maps["unit"], return_index=True)[1]]
    return values if values is not None and len(values) == target.units.count else None


def _told(
    run: Path, target: Target, table: dict[str, Any], sizes: Mapping[str, int], notes: list[str]
) -> dict[str, Any]:
    rows = table["regions"][target.name]
    smuggling = (RunFolder(run).read_json("metrics.json") or {}).get("smuggling") or {}
    return {
        "run": run.absolute(),
        "lesion": target.name,
        "units": "voxels" if target.of_voxels else "components",
        "n_units": int(target.chosen.sum()),
        "of_units": target.units.count,
        "modalities": {m: row["from_measured"] | {"from_predicted": row["from_predicted"]} for m, row in rows.items()},
        "compared_units": {name: n for name, n in sizes.items() if name != target.name},
        "others": {name: row for name, row in table["regions"].items() if name != target.name},
        "interactions": table["interactions"],
        "not_decodable": table["not_decodable"],
        "matching": table["matching"].get(target.name),
        "settings": table["settings"],
        "smuggling": smuggling.get("flag"),
        "warnings": [*_warnings(table, target, smuggling), *_other_sizes(target, sizes)],
        "notes": [*table["notes"], *notes],
    }


def _warnings(table: dict[str, Any], target: Target, smuggling: dict[str, Any]) -> list[str]:
    """What must be known before the table is believed."""
    out = [str(smuggling["text"])] if smuggling.get("flag") else []
    for source in SOURCES:
        for m, loss in table["not_decodable"][source].items():
            losses = f"intact loss {loss['intact']:.2f}, of its code {loss['code_intact']:.2f}"
            out.append(f"{m} is not decodable {source.replace('_', ' ')} scans ({losses}): no test of it")
    match = table["matching"].get(target.name) or {"notes": [], "within_tolerance": None}
    tested = any(s.get("p") is not None for row in table["regions"][target.name].values() for s in row.values())
    share = match["within_tolerance"]
    if tested and share is not None and share < WELL_MATCHED:
        out.append(f"only {share:.0%} of the random lesions are as reliable as {target.name}: p is hard to read")
    return [*out, *match["notes"]]


def _other_sizes(target: Target, sizes: Mapping[str, int]) -> list[str]:
    """Regions that are compared with the target though they are much larger or smaller: a larger lesion costs more."""
    mine = sizes[target.name]
    odd = [f"{name} {n}" for name, n in sizes.items() if max(n, mine) > UNLIKE * max(min(n, mine), 1)]
    said = f"{target.name} has {mine} units and is compared with regions of other sizes ({', '.join(odd)})"
    return [f"{said}: that one of two costs more may be for its size"] if odd else []


def _films(made: Lesioned, place: tuple[int, Block], folder: Path, progress: Progress) -> dict[str, dict[str, str]]:
    """The beginning of a test block as read from measured scans: intact, without the target, and by it alone."""
    progress("films", 0, 1)
    reader, inputs, target, (i, block) = made.reader, made.inputs, made.target, place
    whole = next(b for b in reader.timelines[i].of("test") if b.start == block.start)
    masks = np.stack([np.zeros_like(target.chosen), target.chosen, ~target.chosen])
    lesions = Lesions(reader, target.units, made.plan.ablation, SOURCES["from_measured"], 1)
    z: Tensor = lesions.mean_latents((i, whole), masks, 0)
    n_trs = block.stop - block.start
    guess = {n: h.detach()[:, :n_trs] for n, h in reader.model.rebuild(z).items()}
    files: dict[str, dict[str, str]] = {}
    playable = [n for n in reader.nets if n.name in guess and inputs.modalities[n.name].can_reconstruct()]
    for done, n in enumerate(playable):
        progress("films", done, len(playable))
        aligned, modality = reader.timelines[i].aligned[n.name], inputs.modalities[n.name]
        versions = {"original": cut(aligned, block)}
        for name, h in zip(("intact", "without", "alone"), guess[n.name], strict=True):
            versions[name] = cut(
                aligned, block, decoded(n, reader, h, aligned, block), read_summary(n, reader.codes, h)
            )
        (folder / n.kind).mkdir(exist_ok=True)
        paths = {k: stages.reconstruct(inputs.registry, modality, f, folder / n.kind / k) for k, f in versions.items()}
        files[n.name] = {k: path.relative_to(folder).as_posix() for k, path in paths.items()}
    progress("films", len(playable), len(playable))
    return files


def _place(inputs: Inputs, target: Target, folder: Path) -> dict[str, str | None]:
    """Where the target lies, as a picture and as an image on the scans' grid; neither where voxels have no places.

    Of voxels the image is a mask, which `--mask` takes again; of components it has their weights.
    """
    assert inputs.brain is not None
    if not {"mask", "affine"} <= set(inputs.brain.state):
        return {"map": None, "image": None}
    import nibabel

    from giblet.report.brain import mosaic
    from giblet.report.figures import save_png

    maps = {k: inputs.brain.state[k] for k in ("mask", "affine")}
    save_png(mosaic(maps, {target.name: target.weights}), folder / MAP)
    volume = np.zeros(maps["mask"].shape, np.float32)
    volume[maps["mask"].astype(bool)] = target.weights
    image = nibabel.Nifti1Image(volume, maps["affine"])
    image.header.set_xyzt_units("mm")
    nibabel.save(image, folder / IMAGE)
    return {"map": MAP, "image": IMAGE}
