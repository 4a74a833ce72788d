"""One open session of the simulated VISA library: its attributes, and where a read ends, by the rules of VPP-4.3."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pyvisa import attributes, constants, rname
from pyvisa.constants import ResourceAttribute, SerialTermination, StatusCode

from labonn import __version__
from labonn.visa_instrument import VisaInstrument

DEFAULT_TIMEOUT_MS = 2000
LINEFEED = 10
Given = tuple[bytes, StatusCode]


class VisaSession:
    """A program's way to one instrument.

    Messages (GPIB, USB, VXI-11) end where the instrument ends them, and at the termination character where that is enabled. A socket has
    only that; a serial port ends at it by default (ASRL_END_IN). Nothing comes later than a write: a read that is not satisfied
    lets its timeout pass on the simulated clock and gives VI_ERROR_TMO at once, an infinite one too.

    Args:
        number: of the session. manager: of the session of the resource manager.
    """

    def __init__(self, instrument: VisaInstrument, number: Any, manager: Any) -> None:
        self.instrument, self.number = instrument, number
        parsed = rname.parse_resource_name(instrument.name)
        self._kind = (parsed.interface_type_const, parsed.resource_class)
        self._serial, self._socket = instrument.name.startswith("ASRL"), instrument.name.endswith("SOCKET")
        self._own = _own_attributes(parsed, manager, instrument.name)
        self._live: dict[int, Callable[[], Any]] = {int(ResourceAttribute.asrl_avalaible_number): lambda: len(instrument.output)}
        self.events: list[Any] = []  # contexts of service requests that wait to be taken
        self.queues = self.handles = False
        self._settle()

    def get(self, attribute: int) -> tuple[Any, StatusCode]:
        """(the attribute's value, status)."""
        described = attributes.AttributesByID.get(attribute)
        if described is None or not described.in_resource(self._kind) or not described.read:
            return 0, StatusCode.error_nonsupported_attribute
        if attribute in self._live:
            return self._live[attribute](), StatusCode.success
        value = self._own.get(attribute, described.default)
        known = value is not attributes.NotAvailable and value != "N/A"
        return (value, StatusCode.success) if known else (0, StatusCode.error_nonsupported_attribute)

    def set(self, attribute: int, value: Any) -> StatusCode:
        """Change an attribute; the status says whether that is possible."""
        described = attributes.AttributesByID.get(attribute)
        if described is None or not described.in_resource(self._kind):
            return StatusCode.error_nonsupported_attribute
        if not described.write:
            return StatusCode.error_attribute_read_only
        if attribute == ResourceAttribute.termchar and not 0 <= value <= 255:
            return StatusCode.error_nonsupported_attribute_state
        self._own[attribute] = value
        self._settle()
        return StatusCode.success

    def _settle(self) -> None:
        """What the attributes mean for the next read and write."""
        own = self._own
        self._terminator: int | None = own[int(ResourceAttribute.termchar)] if own[int(ResourceAttribute.termchar_enabled)] else None
        if self._serial:
            ends = own[int(ResourceAttribute.asrl_end_in)]
            self._terminator = own[int(ResourceAttribute.termchar)] if ends == SerialTermination.termination_char else self._terminator
        self._gives_what_there_is = self._socket and not own[int(ResourceAttribute.suppress_end_enabled)]
        self._ends = bool(own[int(ResourceAttribute.send_end_enabled)])
        timeout_ms = own[int(ResourceAttribute.timeout_value)]
        self._timeout_s = 0.0 if timeout_ms == constants.VI_TMO_INFINITE else 1e-3 * timeout_ms

    def write(self, data: bytes) -> None:
        """Send."""
        if self._serial and self._ends and self._own[int(ResourceAttribute.asrl_end_out)] == SerialTermination.termination_char:
            data += bytes([self._own[int(ResourceAttribute.termchar)]])
        self.instrument.receive(data, self._ends)

    def read(self, count: int) -> Given:
        """(at most `count` bytes, why they end there)."""
        instrument = self.instrument
        output = instrument.output
        if not output and not instrument.listen():
            return self._nothing()
        if self._terminator is not None and (found := output.find(self._terminator, 0, count)) >= 0:
            last = instrument.whole and found + 1 == len(output)
            return instrument.give(found + 1), StatusCode.success if last else StatusCode.success_termination_character_read
        if instrument.whole and len(output) <= count:
            return instrument.give(count), StatusCode.success
        if len(output) >= count:
            return instrument.give(count), StatusCode.success_max_count_read
        if self._gives_what_there_is:
            return instrument.give(count), StatusCode.success
        return self._nothing()

    def _nothing(self) -> Given:
        """What a timeout leaves: the bytes that came until then are gone."""
        self.wait(math.inf)
        self.instrument.output.clear()
        return b"", StatusCode.error_timeout

    def wait(self, seconds: float) -> None:
        """Let time pass, at most the session's timeout."""
        self.instrument.clock.wait(min(seconds, self._timeout_s))


def _own_attributes(parsed: Any, manager: Any, name: str) -> dict[int, Any]:
    """What differs from PyVISA's table of defaults, or is needed for every read."""
    own: dict[Any, Any] = {
        ResourceAttribute.timeout_value: DEFAULT_TIMEOUT_MS,
        ResourceAttribute.termchar: LINEFEED,
        ResourceAttribute.termchar_enabled: False,
        ResourceAttribute.send_end_enabled: True,
        ResourceAttribute.suppress_end_enabled: parsed.resource_class == "SOCKET",
        ResourceAttribute.asrl_end_in: SerialTermination.termination_char,
        ResourceAttribute.asrl_end_out: SerialTermination.none,
        ResourceAttribute.resource_manager_session: manager,
        ResourceAttribute.resource_name: name,
        ResourceAttribute.resource_class: parsed.resource_class,
        ResourceAttribute.resource_lock_state: constants.AccessModes.no_lock,
        ResourceAttribute.resource_manufacturer_name: f"labonn {__version__}, simulated",
        ResourceAttribute.resource_impl_version: 0x00100000,
        ResourceAttribute.resource_spec_version: 0x00500800,
        ResourceAttribute.interface_type: parsed.interface_type_const,
        ResourceAttribute.interface_number: _whole(getattr(parsed, "board", "0")),
        ResourceAttribute.gpib_primary_address: _whole(getattr(parsed, "primary_address", "0")),
        ResourceAttribute.gpib_secondary_address: _whole(getattr(parsed, "secondary_address", None)) or constants.VI_NO_SEC_ADDR,
        ResourceAttribute.tcpip_address: getattr(parsed, "host_address", ""),
        ResourceAttribute.tcpip_hostname: getattr(parsed, "host_address", ""),
        ResourceAttribute.tcpip_port: _whole(getattr(parsed, "port", "0")),
        ResourceAttribute.tcpip_device_name: getattr(parsed, "lan_device_name", ""),
        ResourceAttribute.manufacturer_id: _whole(getattr(parsed, "manufacturer_id", "0")),
        ResourceAttribute.model_code: _whole(getattr(parsed, "model_code", "0")),
        ResourceAttribute.usb_serial_number: getattr(parsed, "serial_number", ""),
    }
    return {int(attribute): value for attribute, value in own.items()}


def _whole(text: object) -> int:
    try:
        return int(str(text), 0)
    except ValueError:  # no secondary address; a serial port that has a name in place of a number
        return 0
