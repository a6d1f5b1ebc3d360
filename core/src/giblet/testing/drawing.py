"""Values for laws that hold for all of them, drawn by hypothesis: the same ones each time, nothing kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any

from giblet.modality import Modality
from giblet.types import TRGrid

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


def for_all(law: Callable[..., None], examples: int, **values: SearchStrategy[Any]) -> None:
    """Try a law on drawn values; what fails is made simple and named in a note of the error."""
    from hypothesis import HealthCheck, Phase, given, settings

    quiet = settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    quiet(given(**values)(law))()


def grids(most_trs: int = 12) -> SearchStrategy[TRGrid]:
    """TR grids of TRs from 0.4 to 3 s, in milliseconds or thirds, that begin up to 6 s early or late."""
    from hypothesis import strategies as st

    tr_s = st.sampled_from([Fraction(3, 2), Fraction(2), Fraction("0.72"), Fraction(4, 3), Fraction("2.0045")])
    tr_s |= st.integers(400, 3000).map(lambda ms: Fraction(ms, 1000))
    start_s = st.integers(-6000, 6000).map(lambda ms: Fraction(ms, 1000)) | st.just(Fraction(0))
    return st.builds(TRGrid, tr_s, st.integers(0, most_trs), start_s)


def legal_settings(cls: type[Modality], given: dict[str, Any]) -> SearchStrategy[dict[str, Any]]:
    """Settings that a modality accepts field by field: drawn where the type says how, else as they were given."""
    from hypothesis import strategies as st

    return st.fixed_dictionaries({name: _field(cls, name) | st.just(given[name]) for name in given})


def _field(cls: type[Modality], name: str) -> SearchStrategy[Any]:
    """Values that pass the validation of one field; none where its type is not one of the plain ones."""
    from hypothesis import strategies as st
    from pydantic import TypeAdapter, ValidationError

    field = cls.model_fields[name]
    annotation: Any = field.annotation
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[annotation, field])

    def legal(value: Any) -> bool:
        try:
            adapter.validate_python(value)
        except ValidationError:
            return False
        return True

    return _plain(annotation, _bounds(field.metadata)).filter(legal) if _is_plain(annotation) else st.nothing()


def _is_plain(annotation: Any) -> bool:
    from typing import Literal, get_args, get_origin

    parts = get_args(annotation)
    if get_origin(annotation) is Literal:
        return True
    return all(map(_is_plain, parts)) if parts else annotation in (bool, int, float, str, type(None))


def _bounds(metadata: list[Any]) -> dict[str, Any]:
    """The ends that a field's constraints name, as hypothesis takes them."""
    found = {}
    for rule in metadata:
        for ours, theirs in (("ge", "min_value"), ("gt", "min_value"), ("le", "max_value"), ("lt", "max_value")):
            if getattr(rule, ours, None) is not None:
                found[theirs] = getattr(rule, ours)
    return found


def _plain(annotation: Any, bounds: dict[str, Any]) -> SearchStrategy[Any]:
    from typing import get_args

    from hypothesis import strategies as st

    if annotation is float:
        return st.floats(allow_nan=False, allow_infinity=False, **bounds)
    if annotation is int:
        return st.integers(**bounds)
    if type(None) in get_args(annotation):
        return st.none() | st.one_of(*(_plain(a, bounds) for a in get_args(annotation) if a is not type(None)))
    return st.from_type(annotation)
