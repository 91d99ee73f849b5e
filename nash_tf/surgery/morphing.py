"""`morph`: applies morphisms to a trained model of the user."""

import json
import warnings
from collections.abc import Callable, Sequence
from functools import cache, partial, reduce
from math import inf
from typing import Any, NamedTuple

import keras
import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.keras_models.calibration import parts_of
from nash_tf.keras_models.importing import from_keras
from nash_tf.keras_models.state import State, read_state, restart_averages, write_state
from nash_tf.keras_models.views import check_one_view
from nash_tf.morphisms import are_exact, known, reductions
from nash_tf.morphisms.base import Morphism, Move, Origin
from nash_tf.morphisms.draw import draw
from nash_tf.morphisms.options import Option, checked_limit
from nash_tf.morphisms.weight_transfer import Key
from nash_tf.seeds import derive
from nash_tf.surgery import certificate
from nash_tf.surgery import morph_arguments as arguments
from nash_tf.surgery.birth import cost, make_child
from nash_tf.surgery.filter_ranking import importance, open_reduction, settled
from nash_tf.surgery.morph_arguments import Place
from nash_tf.surgery.morphed import Morphed
from nash_tf.surgery.ranking import ranked


def morph(
    model: keras.Model,
    operators: str | Option | Sequence[Any] | None = None,
    *,
    count: int | None = None,
    moves: str | Sequence[Sequence[Any]] | None = None,
    seed: int | None = 0,
    calibration: Any = None,
    noise: float = 0.0,
    max_params: float = inf,
    max_channels: float | None = None,
    max_loss_change: float | None = None,
    edits: str | Sequence[Sequence[Any]] | None = None,
) -> Morphed:
    """A larger model that computes the same function as `model`. Where you do not say where it grows, that is drawn at random.

    With an operator of `nash_tf.morphisms.reductions` it makes a smaller one: `morph(model, ("remove_filters", ("conv_1",
    "to", 12)), calibration=(inputs, labels), max_loss_change=0.1)`. That is approximate unless the operator is `exact`: the
    certificate says how far outputs and loss moved, which is no error, and the call may limit it.

    Args:
        model: a functional model, trained or not, compiled or not. It is not changed.
        operators: what is applied: the name of an operator in `nash_tf.morphisms.registry` or `.reductions`, for a place that is
            drawn, or, of an approximate one where there are labels, for that where the loss rises least for each parameter that
            goes; an option of `nash_tf.morphisms.sites` or `.option`, or (operator, site), for that place; or a list of these,
            applied in that order. With `count`, the names to draw from.
        count: number of morphisms to draw from `operators`, by default from all of `registry`, none of `reductions`.
        moves: `Morphed.moves` of an earlier call, to be applied again; in place of `operators` and `count`.
        seed: seed of all random draws; None is 0.
        calibration: a batch of the model's inputs, or (inputs, labels). New batch normalisations get their statistics
            from it, and the certificate is measured on it. Without it the child is exact in inference, but in training
            mode its new batch normalisations compute something else until their statistics have adapted, and there is
            no certificate. Statistics of batch normalisations behind an approximate move are measured anew on it. Filters to
            be removed that are not named are ranked by the loss on it; without labels by the
            batch normalisations behind them (see `nash_tf.surgery.filter_ranking`).
        noise: standard deviation of Gaussian noise that is added to each new variable, as a fraction of the variable's
            own standard deviation; it breaks the symmetry of copies. With noise the function is not preserved exactly;
            the certificate says how far it changed. It is added to what `split` copies and to the kernels of inserted layers.
            `alter_channels`, `merge_concat`, `merge_convex` and reductions make none that it is added to: a call of these
            alone warns. (Of variables that grow, the new part is random already, or zero so that the function stays.)
        max_params: maximum number of parameters, of frozen layers too, without moving averages. A reduction at a given place may leave
            more.
        max_channels: the most channels that an image is given; None for 600, or as many as the widest image has, at a place that
            is drawn, and for no limit at a given one.
        max_loss_change: the most by which the loss may rise on the calibration batch, in inference; it needs labels. Penalties
            on weights and activities do not count.
        edits: former name of `moves`.

    Returns:
        (model, moves, certificate). The model has the parent's name and class (of a `keras.Sequential` it is a functional
        `keras.Model`), and takes and gives what the parent does. Of a class of your own it has the attributes too (see
        `nash_tf.keras_models.own_attributes.carry_attributes`).
        It has the parent's optimiser state, but that moving averages of the weights (`use_ema`) begin anew at its own: old and new parts
        of one average would be of different moments.
        What changed is in its `changes()`, as lines, and its `picture()`, as SVG.

    Raises:
        ValueError: the model answers by the mean over two views, or cannot be represented as an architecture; `get_config` of a
            layer, metric or optimiser leaves settings out; an operator is unknown or has no site under the
            limits, or none at the given place, with the reason; a move does not fit, moves lead over a limit, a number is out
            of range, or the calibration data do not fit the model's inputs; or the model's outputs on them, or the loss where
            it is limited, are not finite.
        nash_tf.certificate.NotPreserved: the outputs changed by more than the tolerance, though all operators are exact; or
            the child is in half precision and beyond its range; or the loss rose by more than `max_loss_change`.
    """
    seed = 0 if seed is None else seed
    arguments.check_numbers(seed, noise, max_params)
    seed = int(seed)  # NumPy's numbers are no JSON
    limits = _Limits(max_params, None if max_channels is None else checked_limit("max_channels", max_channels))
    most = None if max_loss_change is None else checked_limit("max_loss_change", max_loss_change)
    inputs, labels = parts_of(calibration)
    check_one_view(model, "morph")
    parent = from_keras(model)
    wishes = arguments.wishes(parent, operators, count, moves, edits)
    arguments.check_calibration(model, parent, inputs, labels)
    if most is not None and labels is None:
        raise ValueError("max_loss_change needs a loss to measure: give calibration=(inputs, labels)")
    before = None
    if inputs is not None:
        before = certificate.measure_parent(model, inputs, labels, with_loss=most is not None)
    given = _Given(model, parent, inputs, labels)
    argument, listed = ("moves", moves) if edits is None else ("edits", edits)
    if listed is None:
        chosen = _drawn(given, wishes, count, limits, seed)
    else:
        chosen = arguments.parsed(listed, argument)
        limits.check(parent, chosen, argument)
    chosen = given.settled(chosen)
    grown, child = make_child(model, parent, chosen, inputs)
    if noise and chosen and not _add_noise(grown, child.fresh, noise, seed):
        names = ", ".join(dict.fromkeys(move.operator for move in chosen))
        warnings.warn(f"noise={noise:g} changed nothing: {names} made no variable that it is added to", stacklevel=2)
    restart_averages(grown)
    facts: dict[str, float] = {}
    if before is not None:
        is_exact = not noise and are_exact(move.operator for move in chosen)
        facts = _certified(given, chosen, grown, before, is_exact, most) | cost(parent, child.architecture)
    return Morphed.of(grown, json.dumps(chosen), facts, parent, child.architecture)


class _Given(NamedTuple):
    """What is morphed, and the batch that it is measured on."""

    model: keras.Model
    architecture: Architecture
    inputs: Any
    labels: Any

    def after(self, moves: Sequence[Move]) -> "_Given":
        """With what some moves make of the model."""
        if not moves:
            return self
        made, child = make_child(self.model, self.architecture, moves, self.inputs)
        return self._replace(model=made, architecture=child.architecture)

    def settled(self, moves: Sequence[Move]) -> list[Move]:
        """The same moves; where one leaves open which filters go, the least important are named."""
        done: list[Move] = []
        for move in moves:
            if open_reduction(move):
                made = self.after(done)
                rank = partial(importance, made.model, made.architecture, inputs=self.inputs, labels=self.labels)
                move = settled(made.architecture, move, rank)
            done.append(move)
        return done


class _Limits(NamedTuple):
    """The limits of a call: of parameters, and of channels, None for the usual ones."""

    params: float
    channels: float | None

    def operator(self, name: str) -> Morphism:
        """An operator at a given place, where no limit on channels holds but one that was given."""
        return known()[name].limited_to(inf if self.channels is None else self.channels)

    def are_exceeded(self, child: Architecture, parent: Architecture) -> bool:
        """Whether a child has too many parameters; a reduction of a parent over the limit comes nearer to it."""
        return child.params > self.params and child.params >= parent.params

    def check(self, parent: Architecture, moves: Sequence[Move], argument: str) -> None:
        """Checks moves, given as this argument.

        Raises:
            ValueError: they lead over a limit.
        """
        if self == (inf, None):
            return
        child = reduce(lambda made, move: self.operator(move.operator).apply(made, move.site)[0], moves, parent)
        if self.are_exceeded(child, parent):
            raise ValueError(
                f"{argument} must stay within max_params={self.params:,.0f}: they make a model of {child.params:,} parameters"
            )

    def __str__(self) -> str:
        """Those that were given, in words."""
        under = "" if self.params == inf else f" under {self.params:,.0f} parameters"
        return under if self.channels is None else f"{under} with max_channels={self.channels:g}"


def _certified(
    given: _Given,
    moves: Sequence[Move],
    grown: keras.Model,
    before: certificate.Measured,
    is_exact: bool,
    max_loss_change: float | None,
) -> dict[str, float]:
    """The certificate of a child; an error where it does not hold, which names the first move that is to blame."""
    certificate.check_range(given.model, grown, given.inputs)
    after = certificate.measure(grown, given.inputs, given.labels)
    own = cache(lambda: certificate.rounding(given.model, given.inputs))
    try:
        return certificate.certify(before, after, len(moves), is_exact, max_loss_change, own)
    except certificate.NotPreserved as error:
        if not is_exact:
            raise
        culprit, halves = _culprit(given, moves, before, own), _in_half(given.model)
        cause = f"; its weights are kept in {halves[0]}, to which new ones are rounded" if halves else ""
        raise certificate.NotPreserved(f"{culprit}: {error}{cause}") from None


def _in_half(model: keras.Model) -> list[str]:
    """The types of half precision in which some weights are kept; none under mixed policies."""
    return sorted({str(variable.dtype) for variable in model.weights} & {"float16", "bfloat16"})


def _culprit(given: _Given, moves: Sequence[Move], before: certificate.Measured, own: Callable[[], float]) -> str:
    """In words the first of the moves that changes the outputs by more than the tolerance."""
    for number, (operator, site, _) in enumerate(moves, start=1):
        grown = given.after(moves[:number]).model
        try:
            certificate.certify(before, certificate.measure(grown, given.inputs), number, own_rounding=own)
        except certificate.NotPreserved:
            return f"{operator} at {site}"
    return f"{len(moves)} morphisms together"


def _drawn(given: _Given, wishes: Sequence[str | Place], count: int | None, limits: _Limits, seed: int) -> list[Move]:
    """The moves of all wishes. An approximate reduction without a place gets the one where it costs least, if there are labels."""
    parent, channels = given.architecture, limits.channels
    variants = {} if channels is None else {name: each.limited_to(channels) for name, each in known().items()}
    if count is not None:
        _, moves = draw(parent, count, dict.fromkeys(map(str, wishes), 1.0), limits.params, seed, variants)
        if len(moves) < count:
            names = ", ".join(map(str, wishes))
            raise ValueError(f"only {len(moves)} of {count} morphisms could be made with {names}{limits}")
        return list(moves)
    chosen: list[Move] = []
    for number, wish in enumerate(wishes):
        own_seed = derive(seed, number)
        if isinstance(wish, str) and given.labels is not None and wish in reductions and not reductions[wish].exact:
            chosen = given.settled(chosen)
            places = ranked(*given.after(chosen)[:2], [wish], given.inputs, given.labels)
            found = [each for each in places if each.child.params <= limits.params][:1]
            moves = tuple(each.move._replace(seed=own_seed) for each in found)
            parent = found[0].child if found else parent
        elif isinstance(wish, str):
            parent, moves = draw(parent, 1, {wish: 1.0}, limits.params, own_seed, variants)
        else:
            child, _ = limits.operator(wish[0]).apply(parent, wish[1], Origin.NAMED)
            is_fitting = not limits.are_exceeded(child, parent)
            parent, moves = (child, (Move(*wish, own_seed),)) if is_fitting else (parent, ())
        if not moves:
            place = wish if isinstance(wish, str) else f"{wish[0]} at {wish[1]}"
            raise ValueError(
                f"{place} (number {number + 1} of {len(wishes)}): there is no place for it in this model{limits}"
            )
        chosen += moves
    return chosen


def _add_noise(model: keras.Model, fresh: frozenset[Key], noise: float, seed: int) -> bool:
    """Adds noise to new variables; whether there was one that it changed."""
    state, changed = read_state(model), False
    for key in sorted(fresh):
        array = state.weights[key]
        rng = np.random.default_rng(derive(seed, "noise", *key))
        if key[1] not in ("moving_mean", "moving_variance", "alpha") and array.std() > 0:
            changed = True
            state.weights[key] = array + np.asarray(noise * array.std() * rng.normal(size=array.shape), array.dtype)
    write_state(model, State(state.weights, {}))
    return changed
