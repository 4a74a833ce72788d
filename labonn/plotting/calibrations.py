"""What a calibration found: coefficients channel by channel with their errors, curves with bands, residuals of fresh points."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from labonn.calibration import Calibration, Store
from labonn.calibration.heaters.model import BANK, HEATER
from labonn.calibration.models import INTENSITY, Model, field_model
from labonn.channels import Floats
from labonn.errors import CalibrationError
from labonn.plotting.axes import legend_above, log_scale
from labonn.plotting.look import BAND, BLUE, FAINT, ORANGE, bare, colour, style_of
from labonn.plotting.past import Past
from labonn.units import format_quantity

ID = re.compile(r"\bcalibration ([0-9a-f]{12}) of \S+ \(.{20}\) kept in (.+?): ([0-9a-f]{12})")
MANY = 150  # channels, above which values are shown as a histogram
PANELS, LINES = 4, 6
TOLD = ("v_pi", "p_pi", "bias", "offset", "extinction", "gain", "zero", "strength", "saturation", "transparency", "dark", "optical_depth")
SIGMAS = 3.0  # of bands


def kept_by(past: Past) -> list[tuple[str, str]]:
    """(id, folder) of the calibrations that a run made, as its result and its events say; the newest last."""
    texts = [str(event.get("text", "")) for event in past.ask(lambda record: record.events(), [])] or _log(past)
    found = {match[3]: match[2] for text in texts for match in ID.finditer(text)}
    own = past.result.get("calibration")
    if isinstance(own, str) and own not in found:
        found[own] = str(past.options.get("calibrations") or "calibrations")
    return list(found.items())


def _log(past: Past) -> list[str]:
    try:
        return (past.folder / "events.log").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def loaded(past: Past, wanted: Iterable[tuple[str, str]]) -> tuple[list[Calibration], list[str]]:
    """(calibrations, what could not be had): folders are looked for from here, and from where the run was started."""
    found, problems = list[Calibration](), list[str]()
    for id, folder in wanted:
        places = [Path(folder), past.folder.parent.parent / folder, past.folder.parent / folder]
        place = next((one for one in places if (one / f"{id}.npz").is_file()), None)
        if place is None:
            problems.append(f"calibration {id} is not in {folder} any more; from where it was kept, run this again")
            continue
        try:
            found.append(Store(place).load(id))
        except CalibrationError as problem:
            problems.append(str(problem))
    return found, problems


def told_coefficients(one: Calibration) -> list[str]:
    """Names of those that say most: a value a channel, those with errors and well-known names first."""
    count = len(one.channels)
    own = [name for name, c in one.coefficients.items() if np.shape(c.values) == (count,) and np.isfinite(np.asarray(c.values)).any()]
    return sorted(own, key=lambda name: (name not in TOLD, TOLD.index(name) if name in TOLD else 0, name not in one.parameters))


def errors_of(one: Calibration, name: str) -> Floats | None:
    """(C,) standard errors, of the covariance or of a coefficient `<name>_error`."""
    error = one.errors(name)
    beside = one.coefficients.get(f"{name}_error")
    return error if beside is None else np.asarray(beside.values)


def draw_coefficient(axes: Any, one: Calibration, name: str) -> None:
    """Values by channel with bars of one standard error; of very many channels their histogram."""
    values, unit = np.asarray(one.values(name), np.float64), one.coefficients[name].unit
    label = f"{name} ({unit})" if unit not in ("", "1") else name
    good = np.isfinite(values)
    if values.size > MANY:
        axes.hist(values[good], bins=60, color=colour(BLUE))
        axes.set(xlabel=label, ylabel="channels")
    else:
        places, error = np.arange(values.size), errors_of(one, name)
        bars = None if error is None else error[good]
        axes.errorbar(places[good], values[good], bars, fmt="o", ms=2.5, lw=0.8, capsize=1.5, color=colour(BLUE))
        for place in places[~good]:
            axes.axvline(place, color=FAINT, lw=0.6, ls=":")
        axes.set(xlabel=f"channel of {one.port}", ylabel=label)
    bare(axes)


def draw_residuals(axes: Any, one: Calibration) -> None:
    """Largest and rms residual of fresh points by channel, with what is allowed."""
    seen = one.verification
    places = np.arange(np.size(seen.largest))
    style = {"ls": "", "ms": 3.0 if places.size <= MANY else 1.0, "rasterized": places.size > 300}
    axes.plot(places, seen.largest, "o", color=colour(ORANGE), label="largest", **style)
    axes.plot(places, seen.rms, "s", color=colour(BLUE), label="rms", mfc="none", **style)
    allowed = np.broadcast_to(np.asarray(seen.allowed, np.float64), places.shape)
    axes.plot(places, allowed, color=FAINT, lw=0.8, ls="--", label="allowed", rasterized=places.size > 300)
    log_scale(axes.yaxis)
    unit = f" ({seen.unit})" if seen.unit not in ("", "1") else ""
    axes.set(xlabel=f"channel of {one.port}", ylabel=f"fresh points - fit{unit}")
    legend_above(axes, 3)
    bare(axes)


def model_of(one: Calibration) -> Model | None:
    """The curve of a reading against the port's own values, where there is one."""
    if one.model == INTENSITY.name:
        return INTENSITY
    if one.model == BANK:
        return HEATER
    return field_model(0.0) if one.model == "mach-zehnder-field" else None


def has_curve(one: Calibration) -> bool:
    """Whether `draw_curves` can draw it."""
    return model_of(one) is not None or {"commanded", "response"} <= set(one.coefficients) or one.kind == "ovens"


def draw_curves(axes: Any, one: Calibration) -> None:
    """What was found as a curve: of a few channels reading against value with a band of three standard errors, or the table itself."""
    model = model_of(one)
    if model is not None:
        _draw_model(axes, one, model)
    elif one.kind == "ovens":
        _draw_ovens(axes, one)
    else:
        axes.plot(one.values("commanded"), one.values("response"), color=colour(BLUE))
        axes.plot(one.values("commanded"), one.values("commanded"), color=FAINT, lw=0.8, ls="--", label="as told")
        axes.set(xlabel="field as told", ylabel="field as shown")
        axes.legend(loc="best")
    bare(axes)


def _draw_model(axes: Any, one: Calibration, model: Model) -> None:
    table = np.stack([np.asarray(one.values(name), np.float64) for name in model.parameters], axis=1)
    known = np.flatnonzero(np.isfinite(table).all(axis=1))
    half = float(np.nanmedian(one.values("v_pi")))
    x = np.linspace(0.0, 1.5 * half, 200) if one.kind == "heaters" else np.linspace(-1.2 * half, 1.2 * half, 200)
    for place, channel in enumerate(known[np.unique(np.round(np.linspace(0, len(known) - 1, LINES)).astype(int))]):
        value, slope = (part[0] for part in model.curve(table[channel : channel + 1], x[None, :]))
        covariance = np.nan_to_num(np.asarray(one.covariance)[channel]) if one.covariance is not None else np.zeros((len(slope[0]),) * 2)
        error = np.sqrt(np.maximum(np.einsum("ni,ij,nj->n", slope, covariance, slope), 0))
        style = style_of(place)
        axes.plot(x, value, **style, lw=0.9, label=one.channels[channel])
        axes.fill_between(x, value - SIGMAS * error, value + SIGMAS * error, color=style["color"], alpha=BAND, lw=0)
    units = [one.coefficients[name].unit for name in ("v_pi", model.parameters[0])]
    axes.set(xlabel=f"{one.port} ({units[0]})", ylabel=f"reading ({units[1]})")
    legend_above(axes, 3)


def _draw_ovens(axes: Any, one: Calibration) -> None:
    error = errors_of(one, "optical_depth")
    depth, celsius = np.atleast_2d(one.values("optical_depth")), np.atleast_2d(one.values("temperature"))
    for place, (y, x) in enumerate(zip(depth, celsius, strict=True)):
        bars = None if error is None else np.atleast_2d(error)[place]
        axes.errorbar(x, y, bars, fmt="o-", ms=2.5, lw=0.9, capsize=1.5, color=style_of(place)["color"], label=one.channels[place])
    axes.set(xlabel="temperature (degC)", ylabel="optical depth")
    log_scale(axes.yaxis)
    legend_above(axes, 3)


def summed_up(one: Calibration) -> str:
    """A line for a legend or a caption."""
    seen = one.verification
    largest = float(np.nanmax(seen.largest)) if np.isfinite(np.asarray(seen.largest, np.float64)).any() else float("nan")
    return f"{one.kind} of {one.port}, {one.id}: fresh points at most {format_quantity(largest, seen.unit, 3)} off"
