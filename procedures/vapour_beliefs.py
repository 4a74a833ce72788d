"""What a training on vapour cells believes of its bench: calibrations, or responses of its SLMs measured before."""

from __future__ import annotations

import argparse

from labonn.bench import Bench
from labonn.calibration import Store, current
from labonn.calibration.beliefs.belief import believed, seen_optics, show_as_believed, show_as_built
from labonn.calibration.beliefs.checks import Beliefs, note_passed
from labonn.channels import Floats
from labonn.errors import CalibrationError
from labonn.network import Network
from labonn.ranging import Ranges
from labonn.response import correct_slms
from labonn.runs import Run
from labonn.training import Training, set_up, warm_up

BELIEVE = ("measured", "nominal")
KINDS = ("modulators", "slm_weights", "detectors", "absorbers", "ovens")  # of calibrations that a training has a use for


def believe_calibrations(bench: Bench, args: argparse.Namespace, run: Run, network: Network) -> Beliefs:
    """Calibrations that hold, of the kinds that a training has a use for; the SLMs show fields as these say.

    A run that goes on believes what it did: its checkpoint names them, and the light is compared by a probe.
    """
    beliefs = Beliefs(bench, Store(args.calibrations), args, run)
    checkpoint = run.orders.checkpoint if run.orders is not None else None
    if checkpoint is None:
        beliefs.take(current(beliefs.store, bench, args.expired, kinds=KINDS))
        if not beliefs.found:
            count, name = len(beliefs.store.ids()), bench.file.name
            told = f"none of its {count} calibrations is of this bench ({name}) and of a kind that this training believes"
            raise CalibrationError(f"--calibrations {args.calibrations}: {told}; labonn run calibrate_all --bench FILE makes them")
        note_passed(run, beliefs.found)
    else:
        kept = map(beliefs.store.load, checkpoint.about.get("calibrations", {}).values())
        beliefs.take({(one.port, one.kind): one for one in kept})
    network.optics = seen_optics(beliefs.found, network.optics, args.cell, run.event)
    network.belief = believed(beliefs.found, bench.specs, network.layers, network.optics, network.depth, run.event)
    for one in beliefs.found.values():
        run.event(f"believes {one.title}, valid until {one.expires or 'it drifts'}")
    show_as_believed(bench, network.belief)
    return beliefs


def warm_bench_up(bench: Bench, run: Run, network: Network, believe: str) -> None:
    """The ovens to their temperature; before that, what SLMs show that no calibration is believed of."""
    known = set() if network.belief is None else set(network.belief.macropixels)
    measure = believe == "measured" and not known.issuperset(network.layers.weights())
    ranges = Ranges(bench.ports, bench.specs, network.layers)
    found: dict[str, Floats] = bench.run(warm_up(network, measure, ranges.fit))
    ranges.forget()
    responses = {port: one for port, one in found.items() if port not in known}
    if not measure:
        run.event("SLMs are believed to show fields as " + ("their calibrations say" if known else "they were built to"))
        return
    corrected = correct_slms(bench.ports, bench.specs, responses)
    run.event(f"SLM responses measured; largest correction of a field: {', '.join(f'{port} {off:.3g}' for port, off in corrected.items())}")


def recalibrate(bench: Bench, training: Training, ranges: Ranges, beliefs: Beliefs) -> None:
    """Between epochs: drift checks; what has drifted is measured again and believed, and the bench set for the training again."""
    network = training.network
    assert network.belief is not None
    ranges.widest()
    show_as_built(bench, network.belief)
    off = beliefs.checked()
    if off:
        beliefs.measure_again(off)
        network.belief = believed(beliefs.found, bench.specs, network.layers, network.optics, network.depth, lambda _: None)
    show_as_believed(bench, network.belief)
    bench.run(set_up(network, training.digits, training.learned.weights))
    ranges.restore()
