"""Names for weights on this machine: a setting such as `text.weights=NAME` finds the folder or file behind it."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from giblet.errors import ConfigError, GibletError, WeightsError, did_you_mean
from giblet.folders import cache_folder
from giblet.weights.files import n_bytes_of, require_weights, sha256_of

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
NOBODY = "none"
"""What plugins call no weights at all."""


@dataclass(frozen=True, slots=True)
class NamedWeights:
    """Where weights of a name are, and what was there when they got it: bytes, and a SHA-256 over all files."""

    name: str
    path: Path
    n_bytes: int
    sha256: str

    @property
    def state(self) -> str:
        """What is there now: "there", "changed" (by its size) or "gone"."""
        if not self.path.exists():
            return "gone"
        return "there" if n_bytes_of(self.path) == self.n_bytes else "changed"


def weights_place(weights: str) -> str:
    """What a plugin's setting means: the place of the weights of that name, or the setting itself where it is none.

    Raises
    ------
    WeightsError
        If the weights of that name are gone.
    """
    found = next((w for w in named_weights() if w.name == weights), None)
    if found is None:
        return weights
    if found.state == "gone":
        raise WeightsError(
            f"weights {weights!r} were at {found.path}, where nothing is now; put them back, or say where they are: "
            f"giblet weights add {weights} PATH"
        )
    return str(found.path)


def named_weights() -> list[NamedWeights]:
    """All weights that have a name on this machine.

    Raises
    ------
    WeightsError
        If the list is damaged.
    """
    try:
        kept = json.loads(_list().read_text(encoding="utf-8"))
        return [NamedWeights(**(w | {"path": Path(w["path"])})) for w in kept]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(f"the list of weights {_list()} cannot be read ({error}); mend it or delete it") from None


def add_weights(name: str, path: Path) -> NamedWeights:
    """Give the weights in a file, or a model in a folder, a name; the files stay where they are.

    Raises
    ------
    ConfigError
        If the name is taken, or looks like a path.
    WeightsError
        If nothing is there, or no weights.
    """
    place, there = path.expanduser().absolute(), named_weights()
    if not NAME.fullmatch(name) or name == NOBODY:
        raise ConfigError(f"{name!r} cannot name weights; give letters, digits, '.', '_' and '-', but not {NOBODY!r}")
    taken = next((w for w in there if w.name == name), None)
    if taken is not None and taken.path != place:
        raise ConfigError(f"{name!r} names {taken.path}; give another name, or first: giblet weights remove {name}")
    require_weights(place)
    added = NamedWeights(name, place, n_bytes_of(place), sha256_of(place))
    _keep([*(w for w in there if w.name != name), added])
    return added


def remove_weights(name: str) -> NamedWeights:
    """Forget a name; the files stay.

    Raises
    ------
    ConfigError
        If there is no such name.
    """
    there = named_weights()
    found = next((w for w in there if w.name == name), None)
    if found is None:
        raise ConfigError(f"no weights are named {name!r}; {did_you_mean(name, [w.name for w in there])}")
    _keep([w for w in there if w.name != name])
    return found


def _list() -> Path:
    return cache_folder() / "weights.json"


def _keep(weights: list[NamedWeights]) -> None:
    """Write the list in one piece."""
    tmp = _list().with_name(f".weights-{uuid.uuid4().hex}.json")
    try:
        tmp.parent.mkdir(parents=True, exist_ok=True)
        tmp.write_text(json.dumps([asdict(w) for w in weights], indent=1, default=str), encoding="utf-8")
        tmp.replace(_list())
    except OSError as error:
        raise GibletError(f"cannot write {_list()}: {error.strerror}; name another folder in GIBLET_CACHE") from None
