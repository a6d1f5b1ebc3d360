"""Which checks a modality has to pass: by its role, and by what it overrides."""

from __future__ import annotations

from typing import Protocol

from giblet.modality import Modality
from giblet.testing import clock, extraction, inputs, losses, nets, playback, processes, settings
from giblet.testing.case import Case


class Check(Protocol):
    """A function that raises unless a case keeps its law, which the first line of its docstring states."""

    __name__: str

    def __call__(self, case: Case) -> None:
        """Raise unless the law is kept."""


ALWAYS: list[Check] = [
    settings.check_class_attributes,
    settings.check_methods_are_spelt,
    settings.check_settings_round_trip,
    settings.check_settings_forbid_unknown_keys,
    processes.check_picklable,
    processes.check_light_import,
    processes.check_extract_in_a_worker,
    extraction.check_extract_is_deterministic,
    extraction.check_times_increase,
    extraction.check_times_are_the_recordings,
    extraction.check_values_are_finite,
    extraction.check_chunks_are_small,
    extraction.check_chunks_do_not_matter,
    extraction.check_features_survive_the_store,
]
NETS: list[Check] = [
    nets.check_spec_describes_the_features,
    nets.check_encode_decode_shapes,
    nets.check_codes_follow_the_frames,
    nets.check_rows_do_not_mix,
    nets.check_masked_frames_do_not_count,
    nets.check_eval_is_deterministic,
    nets.check_every_parameter_gets_a_gradient,
    inputs.check_inputs_are_left_alone,
]
STIMULUS: list[Check] = [
    extraction.check_pieces_join_to_the_whole,
    clock.check_align_conserves_frames,
    clock.check_shifting_the_clock_shifts_the_rows,
    clock.check_missing_time_is_masked,
    losses.check_loss_contract,
    losses.check_loss_is_of_its_frame,
    losses.check_loss_is_least_at_the_target,
    losses.check_summary_contract,
]
FIT: list[Check] = [settings.check_fit_returns_a_copy]
PLAYED: list[Check] = [playback.check_reconstruct_writes_a_file]
ROUND_TRIP: list[Check] = [playback.check_reconstruct_comes_back]
CUDA: list[Check] = [nets.check_cuda_equals_cpu]
EVERY: list[Check] = [*ALWAYS, *FIT, *STIMULUS, *NETS, *PLAYED, *ROUND_TRIP, *CUDA]


def checks_for(modality: Modality) -> list[Check]:
    """The checks that fit a modality: its role, whether it overrides `fit` and `reconstruct`, and the machine's GPU."""
    plays = modality.can_reconstruct()
    offered = {
        *ALWAYS,
        *NETS,
        *(STIMULUS if modality.role == "stimulus" else []),
        *(FIT if type(modality).fit is not Modality.fit else []),
        *(PLAYED if plays else []),
        *(ROUND_TRIP if plays and modality.round_trip is not None else []),
        *(CUDA if _has_cuda() else []),
    }
    return [check for check in EVERY if check in offered]


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()
