"""Settings of the recipe that every network of a run is trained by."""

from dataclasses import dataclass

from nash_tf.settings import ABOVE_0, number, one_of, optional, setting, some_of, switch, whole

GROUP, DATA = "Training", "Data"
PAPER_AUGMENTATIONS = ("normalise", "flip", "shift", "cutout")
# What each is set to where it is asked for, see `nash_tf.data.augmentation.Augmentation`; that of cutout is a setting.
STRENGTHS: dict[str, float] = {
    "normalise": True,
    "flip": True,
    "shift": 0.125,
    "zoom": 1.25,
    "rotate": 15.0,
    "colour": 0.3,
}
AUGMENTATIONS = (*STRENGTHS, "cutout")
DEFAULT_AUGMENTATIONS = ("normalise", "flip", "shift")  # less flip, where a mirrored image is of another class
PRECISIONS = ("float32", "mixed_bfloat16")
OPTIMIZERS = ("sgd", "muon")

_SHARE = number("of at least 0 and below 1", lambda value: 0 <= value < 1)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """The recipe."""

    batch_size: int = setting(whole(1), "Number of images in a batch.", default=64, group=GROUP)
    precision: str = setting(one_of(PRECISIONS), "Precision of the arithmetic.", default="float32", group=GROUP)
    augment: tuple[str, ...] | None = setting(
        optional(some_of(AUGMENTATIONS, all=PAPER_AUGMENTATIONS, none=(), strong=AUGMENTATIONS)),
        f"Augmentation of training images: none, or some of {','.join(AUGMENTATIONS)}; strong stands for them all, all for those of the "
        f"paper, {','.join(PAPER_AUGMENTATIONS)}. zoom scales by up to {STRENGTHS['zoom']:g} either way, rotate turns by up to "
        f"{STRENGTHS['rotate']:g} degrees, colour changes contrast and brightness. Unset: normalise,shift, and flip where a mirrored image keeps its class.",
        default=None,
        group=DATA,
    )
    cutout_size: float = setting(
        number("above 0 and at most 1", lambda value: 0 < value <= 1),
        "Side of the squares that the augmentation cutout blanks, as a share of the image's shorter side.",
        default=0.25,
        group=DATA,
        before=0.5,
    )
    mixup: float = setting(
        number("of at least 0", lambda value: value >= 0),
        "Alpha of mixup's beta distribution; 0 for no mixup.",
        default=0.0,
        group=DATA,
    )
    class_weight: str = setting(
        one_of(("none", "balanced")),
        "Weights of the training loss by class: balanced has all classes count alike, however many images they have.",
        default="none",
        group=GROUP,
    )
    learning_rate: float = setting(ABOVE_0, "Initial learning rate in the search.", default=0.05, group=GROUP)
    final_learning_rate: float = setting(
        ABOVE_0, "Initial learning rate of the final training.", default=0.025, group=GROUP
    )
    optimizer: str = setting(
        one_of(OPTIMIZERS),
        "SGD with momentum; or muon, which makes its steps on kernels of convolutions orthogonal: they learn faster (and networks of "
        "images from about 28 pixels on cost 5 to 8 % more, smaller ones up to twice as much, which a budget does not count).",
        default="sgd",
        group=GROUP,
    )
    average_weights: bool = setting(
        switch(),
        "End on the mean of the weights after each step of the last part of the cooldown, not on the last ones: of methods with one budget, "
        "and of the control beside them.",
        default=True,
        group=GROUP,
        before=False,
    )
    momentum: float = setting(_SHARE, "Momentum of the optimiser.", default=0.9, group=GROUP)
    nesterov: bool = setting(switch(), "Nesterov's momentum.", default=True, group=GROUP, before=False)
    label_smoothing: float = setting(
        _SHARE,
        "Share of each label that is spread evenly over all classes in training; the loss on validation images has it too, that on "
        "test images has not.",
        default=0.1,
        group=GROUP,
        before=0.0,
    )
    weight_decay: float = setting(
        _SHARE,
        "Weight decay of convolution and dense kernels, decoupled from the loss.",
        default=5e-4,
        group=GROUP,
    )
