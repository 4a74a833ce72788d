"""Every error that labonn raises on purpose: each says where, what, what is allowed, and whose rule it is."""


class LabonnError(Exception):
    """Root of the tree; the command line turns any of these into one line and exit code 2."""


class BenchFileError(LabonnError):
    """The bench file (or a dry run's settings) is wrong: file, key, value, and what is allowed."""


class LimitError(LabonnError):
    """A commanded value is outside its limits; raised before any byte is sent."""


class TableError(LabonnError):
    """A shot table does not fit the bench: unknown port, wrong shape, row out of range."""


class DataError(LabonnError):
    """A data folder or file cannot be read as what it should be."""


class ProcedureError(LabonnError):
    """A procedure or its options cannot be used as given."""


class MissingPackageError(LabonnError):
    """An optional package is absent, or another package of the same name is in its place."""


class LinkError(LabonnError):
    """Talking to an instrument failed below the level of its commands."""


class ConnectError(LinkError):
    """The instrument could not be reached at all."""


class LinkTimeoutError(LinkError):
    """No complete reply in time; what the instrument did is unknown."""


class LinkClosedError(LinkError):
    """The connection is gone."""


class DesyncError(LinkError):
    """A reply that does not belong to the request: late, foreign, doubled, truncated or malformed."""


class CalibrationError(LabonnError):
    """A calibration failed, is corrupt, or does not belong to what it was to be used on."""


class RecordError(LabonnError):
    """The record of a run cannot be written any more, or cannot be read."""


class InstrumentError(LabonnError):
    """The instrument answered, but not with what was asked."""


class IdentityError(InstrumentError):
    """Another instrument, or another model, than the bench file says."""


class RefusedError(InstrumentError):
    """The instrument refused a command; the message carries its own words."""


class ReadingError(InstrumentError):
    """A detector gave something that cannot be a reading: not a number, or the same for all light."""


class InterlockError(InstrumentError):
    """A reading or a temperature that the bench file watches left its range; the bench was made safe."""


class UnknownStateError(InstrumentError):
    """Read-back differs from what was set, or cannot be had: do not trust the output."""


class LeaseError(LabonnError):
    """The bench is another client's, or no longer this one's; the message says whose, or who took it."""


class SweepError(LabonnError):
    """A sweep, or one of its jobs, cannot be carried out as given."""
