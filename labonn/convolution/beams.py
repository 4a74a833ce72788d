"""How every input beam of a bench answers, measured with its own matrix: brightness and bias, so that black is black and white is white.

Each beam alone at full light of either sign, and all of them dark, through a matrix of known signs. Of a beam's three fields
share (sin(+90 deg - phi), sin(-90 deg - phi), -sin phi) half the difference of the first two is its share, half their sum less the third is
share sin(phi), its bias error. All neurons see the beam, so that single macropixels and detectors average out.
"""

from __future__ import annotations

import numpy as np

from labonn.belief import Belief, Inputs
from labonn.channels import Floats
from labonn.convolution.matrixbench import RELAY, Tables
from labonn.convolution.stages import relay
from labonn.errors import UnknownStateError
from labonn.network import Network
from labonn.shots import ShotTable

REPEATS = 8
LEVEL = 0.8  # of the matrix: fields of full light and half the detectors' range are not reached by one beam


def measure_beams(network: Network, repeats: int = REPEATS) -> Tables:
    """Believe from now on what is measured here of the input beams (`Network.belief`).

    Raises:
        UnknownStateError: a beam of which hardly any light arrives.
    """
    beams, neurons, _ = network.layers.sizes
    signs: Floats = np.random.default_rng(1).choice([-LEVEL, LEVEL], (neurons, beams)).astype(network.dtype)
    network.fit_gains(weights := [signs, relay(neurons, RELAY, network.dtype)])
    yield ShotTable({"gain": network.currents(), **network.fields(weights)}, dwell_s=network.dwell_s, read=())
    frames: Floats = np.concatenate([np.eye(beams), -np.eye(beams), np.zeros((1, beams))]).astype(network.dtype)
    bank = {"input": network.optics.modulator.volts(frames)}
    order = np.tile(np.arange(len(frames)), repeats)  # repeats are far apart: an SLM's flicker is another by then
    readings = yield ShotTable(bank, {"input": order}, network.dwell_s, ("forward_in",))
    shown = network.displayed(weights)[0]
    z = network.tapped(readings, "forward_in")[0].astype(np.float64).reshape(repeats, len(frames), neurons)
    means, norm = z.mean(axis=0), np.square(shown).sum(axis=0)
    up, down = (np.einsum("bn,nb->b", means[part], shown) / norm for part in (slice(0, beams), slice(beams, 2 * beams)))
    dark = shown.T @ means[-1] / norm
    share, wrong = 0.5 * (up - down), 0.5 * (up + down) - dark
    usual = float(np.median(share))
    dead = np.flatnonzero(~(share > 0.2 * usual))
    if not usual > 0 or len(dead):
        names = ", ".join(network.specs["input"].names[i] for i in dead[:5])
        raise UnknownStateError(f"input: of {len(dead)} of {beams} beams hardly any light arrives ({names}, ...); blocked, or not aligned?")
    network.belief = network.belief or Belief()
    network.belief.inputs = _believed(network, share / usual, np.arcsin(np.clip(wrong / share, -0.5, 0.5)))


def _believed(network: Network, share: Floats, phi_rad: Floats) -> Inputs:
    modulator, spec = network.optics.modulator, network.specs["input"]
    v_pi = np.full(len(share), modulator.v_pi_v)
    bias = modulator.bias_v + 2 * v_pi / np.pi * phi_rad
    return Inputs.within(v_pi, bias, share, np.asarray(spec.lower), np.asarray(spec.upper))
