"""`giblet lesion`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from giblet.cli.complete import complete_regions
from giblet.cli.figures import row
from giblet.cli.flags import json_option, print_file, quiet_option, run_argument
from giblet.errors import ConfigError

SOURCES = {"from_measured": "measured scans", "from_predicted": "predicted scans with a scan's noise"}


@click.command(context_settings={"show_default": True})
@run_argument
@click.option(
    "--region",
    "regions",
    metavar="NAME",
    multiple=True,
    help="Name in the study's atlas; several together.",
    shell_complete=complete_regions,
)
@click.option(
    "--network",
    "networks",
    metavar="NAME",
    multiple=True,
    help="Network of the study's atlas.",
    shell_complete=complete_regions,
)
@click.option("--mask", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="NIfTI on the scans' grid.")
@click.option("--sphere", metavar="X,Y,Z,R", default=None, help="Centre and radius in mm of the scans' world space.")
@click.option("--component", "components", metavar="N", type=int, multiple=True, help="Of a compressed brain space.")
@click.option("--only", is_flag=True, help="Keep it alone: ablate everything else.")
@click.option(
    "--how", type=click.Choice(["resample", "zero", "mean"]), default="resample", help="What stands in its place."
)
@click.option("--strength", type=click.FloatRange(0, 1), default=1.0, help="Share that is ablated.")
@click.option("--draws", type=click.IntRange(min=1), default=4, help="Moments that ablated values are taken from.")
@click.option("--random", type=click.IntRange(min=0), default=1000, help="Matched random lesions to compare with.")
@click.option("--study", type=click.Path(path_type=Path), default=None, help="Its study.toml, if files have moved.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/lesion"), help="Folder of the results.")
@json_option("lesion.json")
@quiet_option
def command(
    run: Path,
    regions: Sequence[str],
    networks: Sequence[str],
    mask: Path | None,
    sphere: str | None,
    components: Sequence[int],
    study: Path | None,
    out: Path,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Take a part of the brain away in a finished RUN, and see what each modality loses.

    Also writes the film as it is seen without that part, and by it alone.
    """
    from giblet.api.run import Run
    from giblet.pipeline.lesion import MARKER
    from giblet.pipeline.results import require_own

    centre = None if sphere is None else parse_sphere(sphere)
    where: dict[str, Any] = {"networks": networks, "mask": mask, "sphere": centre, "components": components}
    opened = Run(run)
    require_own(out, MARKER)
    made = opened.lesion(regions, **where, **options, study=study, quiet=quiet)
    made.save(out, quiet=quiet)
    if as_json:
        print_file(out / MARKER)
        return
    print_lesion(made.result)
    click.echo(out / MARKER)


def parse_sphere(text: str) -> tuple[float, float, float, float]:
    """`X,Y,Z,R` in mm.

    Raises
    ------
    ConfigError
        If it is anything else.
    """
    try:
        x, y, z, radius = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--sphere {text!r} is not X,Y,Z,R in mm, for example --sphere=-12,-80,4,15") from None
    return x, y, z, radius


def print_lesion(told: dict[str, Any]) -> None:
    """What a lesion costs, from both sources, and what must be known of it."""
    kept = ", all else ablated" if told["settings"]["only"] else ""
    click.echo(f"{told['lesion']}: {told['n_units']} of {told['of_units']} {told['units']}{kept}")
    widths = (14, 10, 10, 10, 12, 22, 9)
    for source, title in SOURCES.items():
        click.echo(f"\nfrom {title}")
        click.echo(row(("", "intact", "lesion", "effect", "on codes", "95 % interval", "p"), widths))
        for name, m in told["modalities"].items():
            click.echo(_line(name, m if source == "from_measured" else m["from_predicted"], widths))
        for x in told["interactions"][source]:
            low, high = x["interval"]
            (a, b), (m, n) = x["regions"], x["modalities"]
            tested = f"{x['estimate']:.4f} [{low:.4f}, {high:.4f}], Holm's p {x['p_holm']:.4f}"
            click.echo(f"  ({m} - {n}) x ({a} - {b}): {tested}")
    _print_matching(told)
    for warning in told["warnings"]:
        click.echo(f"warning: {warning}")
    for note in told["notes"]:
        click.echo(f"note: {note}", err=True)


def _print_matching(told: dict[str, Any]) -> None:
    """What p is against, where there is one."""
    match, rows = told["matching"], told["modalities"].values()
    if all(m.get("p") is None for row in rows for m in (row, row["from_predicted"])):
        return
    turned = ", each kept alone too: p counts those at most as costly" if told["settings"]["only"] else ""
    click.echo(f"\np is against random lesions: {match['n']} different ones, as large, as connected, beside it{turned}")
    if match["within_tolerance"] is not None:
        click.echo(
            f"   ceiling {match['random_ceiling']:.3f} (the lesion's {match['region_ceiling']:.3f}), "
            f"{match['within_tolerance']:.0%} of them within {match['tolerance']:g}"
        )


def _line(name: str, m: dict[str, Any], widths: Sequence[int]) -> str:
    known = (name, m["intact"], m["lesion"], m["effect"])
    if not m["decodable"]:
        return row((*known, None, "not decodable", None), widths)
    low, high = m["code_interval"]
    return row((*known, f"{m['code_effect']:.4f}", f"[{low:.4f}, {high:.4f}]", m["p"]), widths)
