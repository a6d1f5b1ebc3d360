"""One thing wrong in each: spec, encoder, decoder, loss."""

from dataclasses import replace

from kit_good import Good, GoodClasses
from torch import nn


class OneFrame(Good):
    def spec(self, aligned):
        return replace(super().spec(aligned), frames=1)


class FewClasses(GoodClasses):
    def spec(self, aligned):
        return replace(super().spec(aligned), num_classes=7)


class FloatClasses(Good):
    def spec(self, aligned):
        return replace(super().spec(aligned), num_classes=7)


class Net(nn.Module):
    """A linear map of all frames, with something added."""

    def __init__(self, spec, width, extra=None):
        super().__init__()
        self.linear = nn.Linear(spec.frames * spec.size, width)
        self.extra = extra

    def forward(self, x, mask):
        h = self.linear((x * mask[..., None]).flatten(1).float())
        return h if self.extra is None else self.extra(h)


class Ignoring(Net):
    def forward(self, x, mask):
        return self.linear(x.flatten(1).float())


class Averaging(Net):
    def forward(self, x, mask):
        h = super().forward(x, mask)
        return h - h.mean(0)


class Dividing(Net):
    def forward(self, x, mask):
        return super().forward(x, mask) / mask.sum(1, keepdim=True)


class Three(Net):
    def forward(self, x, mask):
        return super().forward(x, mask)[:, None]


class Wide(Net):
    def __init__(self, spec, width):
        super().__init__(spec, width + 1)


class Constant(Net):
    """Sees the mask only."""

    def forward(self, x, mask):
        return super().forward(mask[..., None].expand_as(x), mask)


class Squashing(Net):
    def forward(self, x, mask):
        x *= mask[..., None]
        x /= 2
        return super().forward(x, mask)


class Wild(Net):
    """Finite, but the gradient of the root at 0 is not."""

    def forward(self, x, mask):
        return super().forward(x, mask) + (0 * self.linear.weight).sum().sqrt()


class Summing(nn.Module):
    """A decoder whose rows run together."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, h):
        return self.inner(h.cumsum(0))


class Idle(nn.Linear):
    def forward(self, h):
        return h


class Cut(nn.Linear):
    """Reached by the graph, but multiplied by nothing."""

    def forward(self, h):
        return h + 0 * super().forward(h)


class Drawing(nn.Module):
    def forward(self, h):
        return nn.functional.dropout(h, 0.5, training=True)


def with_encoder(build, name):
    def encode(self, spec, width):
        return build(spec, width)

    made = type(f"{name}Encoder", (Good,), {"encode": encode, "__module__": __name__})
    globals()[made.__name__] = made  # where pickle looks for it
    return made


class LeakyDecoder(Good):
    def decode(self, spec, width):
        return Summing(super().decode(spec, width))


class OneFrameShort(Good):
    def decode(self, spec, width):
        return super().decode(replace(spec, frames=spec.frames - 1), width)


class Reduced(Good):
    def loss(self, prediction, target):
        return super().loss(prediction, target).mean()


class Spread(Good):
    """Of the right shape, but each frame has the loss of the whole TR."""

    def loss(self, prediction, target):
        loss = super().loss(prediction, target)
        return loss.mean(1, keepdim=True).expand_as(loss)


class Negative(Good):
    def loss(self, prediction, target):
        return -super().loss(prediction, target)


class Shrinking(Good):
    """Asks for less than there is: smallest at half the target."""

    def loss(self, prediction, target):
        return super().loss(prediction, target / 2)


class LabelsMoved(GoodClasses):
    """Asks for the next class."""

    def loss(self, prediction, target):
        return super().loss(prediction, (target + 1) % 8)


class Blind(Good):
    def loss(self, prediction, target):
        return 0 * super().loss(prediction, target)


class WritingLoss(Good):
    def loss(self, prediction, target):
        if not prediction.requires_grad:
            target += 1
        return super().loss(prediction, target)


SHAPES, MIX, MASKED, GRADIENT = (
    "encode_decode_shapes",
    "rows_do_not_mix",
    "masked_frames_do_not_count",
    "every_parameter_gets_a_gradient",
)
LOSS, OWN, LEAST, INPUTS = (
    "loss_contract",
    "loss_is_of_its_frame",
    "loss_is_least_at_the_target",
    "inputs_are_left_alone",
)
MUTANTS = [
    (OneFrame, "spec_describes_the_features", "spec.frames is 1, a TR has up to 15", []),
    (FewClasses, "spec_describes_the_features", "num_classes is 7, but there is class 7", None),
    (FloatClasses, "spec_describes_the_features", "num_classes is set, but the values are float32", None),
    (with_encoder(Three, "Three"), SHAPES, "encode must give [n, width], not (", None),
    (with_encoder(Wide, "Wide"), SHAPES, "encode gave codes of 17 numbers, asked for 16", None),
    (with_encoder(Constant, "Constant"), "codes_follow_the_frames", "it must read x", []),
    (OneFrameShort, SHAPES, "decode gave (1, 14, 3) for (1, 15, 3)", None),
    (with_encoder(Averaging, "Averaging"), MIX, "influence each other in the encoder", [GRADIENT]),
    (with_encoder(lambda s, w: Net(s, w, nn.BatchNorm1d(w)), "Normed"), MIX, "BatchNorm mixes the rows", None),
    (LeakyDecoder, MIX, "influence each other in the decoder", []),
    (with_encoder(Ignoring, "Ignoring"), MASKED, "a masked frame changes the code", []),
    (with_encoder(Dividing, "Dividing"), MASKED, "a TR without frames must have a finite code", []),
    (with_encoder(lambda s, w: Net(s, w, Idle(w, w)), "Idling"), GRADIENT, "['extra.weight', 'extra.bias']", []),
    (with_encoder(lambda s, w: Net(s, w, Cut(w, w)), "Cutting"), GRADIENT, "['extra.weight', 'extra.bias']", []),
    (with_encoder(Wild, "Wild"), GRADIENT, "the gradient of ['linear.weight'] is not finite", []),
    (with_encoder(lambda s, w: Net(s, w, Drawing()), "Drawn"), "eval_is_deterministic", "draws in eval()", None),
    (with_encoder(Squashing, "Squashing"), INPUTS, "the encoder writes into its input", None),
    (Reduced, LOSS, "loss must be [n, F] = (4, 15), not ()", None),
    (Negative, LOSS, "a loss is never negative", [LEAST]),
    (Spread, OWN, "a wrong frame changes the loss of others", [LEAST]),
    (Blind, OWN, "does not notice that a frame is wrong", [GRADIENT]),
    (Shrinking, LEAST, "has a smaller loss", []),
    (LabelsMoved, LEAST, "has a smaller loss", []),
    (WritingLoss, INPUTS, "loss writes into its input", None),
]
"""As in `kit_data_mutants`."""
