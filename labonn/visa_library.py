"""A VISA library in process: any PyVISA program runs unchanged on a simulated bench, all of whose instruments share its light.

    pyvisa.ResourceManager("bench.toml@labonn"), or PYVISA_LIBRARY=bench.toml@labonn, or labonn exec --bench bench.toml program.py

| VISA | here |
| --- | --- |
| resources | INSTR on GPIB, USB, LAN (VXI-11, HiSLIP) and serial, SOCKET: those of the bench file's links |
| read, write, clear, serial poll, trigger, lock, attributes | implemented |
| service requests | queue and handler, called inside the write that causes them |
| other events | VI_ERROR_INV_EVENT |
| asynchronous transfers, register access, INTFC, BACKPLANE, memory | VI_ERROR_NSUP_OPER |
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from typing import Any

from pyvisa import constants, errors, highlevel, rname
from pyvisa.constants import AccessModes, EventMechanism, EventType, Lock, StatusCode
from pyvisa.util import LibraryPath

from labonn.visa_bench import VisaBench, bench_of, canonical
from labonn.visa_session import VisaSession

QUEUES = EventMechanism.queue
HANDLES = EventMechanism.handler | EventMechanism.suspend_handler


class SimulatedVisaLibrary(highlevel.VisaLibraryBase):
    """The VISA functions on one simulated bench; its library path is what `visa_bench.bench_of` takes."""

    @staticmethod
    def get_library_paths() -> Iterable[LibraryPath]:
        """`ResourceManager("@labonn")`: the bench of PYVISA_LIBRARY."""
        bench, _, backend = os.environ.get("PYVISA_LIBRARY", "").rpartition("@")
        if not bench or backend != "labonn":
            raise OSError('which bench? ResourceManager("bench.toml@labonn"), or PYVISA_LIBRARY=bench.toml@labonn')
        return (LibraryPath(bench),)

    def _init(self) -> None:
        self.bench: VisaBench = bench_of(str(self.library_path))
        self._turn = self.bench.turn
        self._numbers = itertools.count(1)
        self._sessions: dict[Any, VisaSession] = {}
        self._events: set[Any] = set()

    def open_default_resource_manager(self) -> tuple[Any, StatusCode]:
        """A session of the resource manager."""
        number: Any = next(self._numbers)
        return number, self.handle_return_value(number, StatusCode.success)

    def list_resources(self, session: Any, query: str = "?*::INSTR") -> tuple[str, ...]:
        """Names of the bench's instruments that match."""
        return tuple(rname.filter(self.bench.resources, query))

    def parse_resource_extended(self, session: Any, resource_name: str) -> tuple[highlevel.ResourceInfo, StatusCode]:
        """What a name says; a port's name stands for its instrument's."""
        name = self.bench.alias(resource_name)
        info, status = super().parse_resource_extended(session, name)
        return (info._replace(alias=resource_name) if name != resource_name else info), status

    def open(
        self, session: Any, resource_name: str, access_mode: Any = AccessModes.no_lock, open_timeout: Any = 0
    ) -> tuple[Any, StatusCode]:
        """A session with an instrument."""
        instrument = self.bench.find(resource_name)
        if instrument is None:
            known = highlevel.VisaLibraryBase.parse_resource_extended(self, session, canonical(resource_name))[1]
            missing = StatusCode.error_resource_not_found if known == StatusCode.success else known
            return 0, self.handle_return_value(session, missing)
        number: Any = next(self._numbers)
        with self._turn:
            free = instrument.open_to(number)
            if not free or (access_mode & AccessModes.exclusive_lock and not instrument.lock(number, None)):
                return 0, self.handle_return_value(session, StatusCode.error_resource_locked)
            found = self._sessions[number] = VisaSession(instrument, number, session)
            instrument.requested[number] = lambda: self._request(found)
        return number, self.handle_return_value(number, StatusCode.success)

    def close(self, session: Any) -> StatusCode:
        """End a session, or let go of an event."""
        with self._turn:
            self._events.discard(session)
            if (found := self._sessions.pop(session, None)) is not None:
                found.instrument.forget(session)
        return self.handle_return_value(None, StatusCode.success)

    def _found(self, session: Any) -> VisaSession:
        """The open session."""
        found = self._sessions.get(session)
        if found is None:
            raise errors.VisaIOError(StatusCode.error_invalid_object)
        return found

    def _free(self, session: Any) -> VisaSession:
        """The open session, if no other has locked its instrument."""
        found = self._found(session)
        if not found.instrument.open_to(session):
            self.handle_return_value(session, StatusCode.error_resource_locked)
        return found

    def write(self, session: Any, data: bytes) -> tuple[int, StatusCode]:
        """Send bytes; what the wire takes passes on the bench's clock."""
        found = self._free(session)
        status = StatusCode.success
        with self._turn:
            self.bench.catch_up()
            try:
                found.write(bytes(data))
            except ConnectionError:  # a fault that was asked for
                status = StatusCode.error_connection_lost
            self.bench.leave()
        return len(data), self.handle_return_value(session, status)

    def read(self, session: Any, count: int) -> tuple[bytes, StatusCode]:
        """Receive at most `count` bytes."""
        found = self._free(session)
        with self._turn:
            self.bench.catch_up()
            data, status = found.read(count)
            self.bench.leave()
        return data, self.handle_return_value(session, status)

    buffer_write, buffer_read = write, read

    def clear(self, session: Any) -> StatusCode:
        """Device clear."""
        with self._turn:
            self._free(session).instrument.clear()
        return self.handle_return_value(session, StatusCode.success)

    def flush(self, session: Any, mask: Any) -> StatusCode:
        """Drop what has come, if that is asked for; what is sent never waits."""
        found = self._free(session)
        if mask & ~(constants.BufferOperation.flush_write_buffer | constants.BufferOperation.flush_transmit_buffer):
            found.instrument.output.clear()
        return self.handle_return_value(session, StatusCode.success)

    def read_stb(self, session: Any) -> tuple[int, StatusCode]:
        """Serial poll; sockets and serial ports have none."""
        instrument = self._free(session).instrument
        if not instrument.whole:
            return 0, self.handle_return_value(session, StatusCode.error_nonsupported_operation)
        with self._turn:
            return instrument.poll(), self.handle_return_value(session, StatusCode.success)

    def assert_trigger(self, session: Any, protocol: Any) -> StatusCode:
        """Group execute trigger."""
        if protocol != constants.TriggerProtocol.default:
            return self.handle_return_value(session, StatusCode.error_invalid_protocol)
        with self._turn:
            done = self._free(session).instrument.trigger()
        return self.handle_return_value(session, StatusCode.success if done else StatusCode.error_nonsupported_operation)

    def get_attribute(self, session: Any, attribute: Any) -> tuple[Any, StatusCode]:
        """An attribute of a session, or the kind of an event."""
        if session in self._events and attribute == constants.EventAttribute.event_type:
            return EventType.service_request, StatusCode.success
        value, status = self._found(session).get(int(attribute))
        return value, self.handle_return_value(session, status)

    def set_attribute(self, session: Any, attribute: Any, attribute_state: Any) -> StatusCode:
        """Change an attribute of a session."""
        return self.handle_return_value(session, self._found(session).set(int(attribute), attribute_state))

    def lock(self, session: Any, lock_type: Any, timeout: int, requested_key: str | None = None) -> tuple[str, StatusCode]:
        """Lock the instrument; while others have it nobody waits, as nobody could give it back meanwhile."""
        found = self._sessions.get(session)
        key = None if lock_type == Lock.exclusive else requested_key or f"labonn-{session}"
        with self._turn:
            done = found is not None and found.instrument.lock(session, key)
        return key or "", self.handle_return_value(session, StatusCode.success if done else StatusCode.error_resource_locked)

    def unlock(self, session: Any) -> StatusCode:
        """Give it back."""
        with self._turn:
            done = self._found(session).instrument.unlock(session)
        return self.handle_return_value(session, StatusCode.success if done else StatusCode.error_session_not_locked)

    def enable_event(self, session: Any, event_type: Any, mechanism: Any, context: None = None) -> StatusCode:
        """From now on service requests go into the queue, or to the handlers."""
        found = self._found(session)
        if event_type != EventType.service_request or not found.instrument.whole:
            return self.handle_return_value(session, StatusCode.error_invalid_event)
        found.queues, found.handles = found.queues or bool(mechanism & QUEUES), found.handles or bool(mechanism & HANDLES)
        return self.handle_return_value(session, StatusCode.success)

    def disable_event(self, session: Any, event_type: Any, mechanism: Any) -> StatusCode:
        """They no longer do."""
        if (found := self._sessions.get(session)) is not None:
            found.queues, found.handles = found.queues and not mechanism & QUEUES, found.handles and not mechanism & HANDLES
        return self.handle_return_value(session, StatusCode.success)

    def discard_events(self, session: Any, event_type: Any, mechanism: Any) -> StatusCode:
        """Forget those in the queue."""
        if (found := self._sessions.get(session)) is not None and mechanism & QUEUES:
            found.events.clear()
        return self.handle_return_value(session, StatusCode.success)

    def wait_on_event(self, session: Any, in_event_type: Any, timeout: int) -> tuple[Any, Any, StatusCode]:
        """The next event of the queue; without one the time passes, and nothing can come."""
        found = self._found(session)
        if not found.queues:
            return in_event_type, None, self.handle_return_value(session, StatusCode.error_not_enabled)
        if not found.events:
            found.instrument.clock.wait(0.0 if timeout in (None, constants.VI_TMO_INFINITE) else 1e-3 * timeout)
            return in_event_type, None, self.handle_return_value(session, StatusCode.error_timeout)
        return EventType.service_request, found.events.pop(0), self.handle_return_value(session, StatusCode.success)

    def install_handler(self, session: Any, event_type: Any, handler: Any, user_handle: Any = None) -> tuple[Any, Any, Any, StatusCode]:
        """Keep a handler; VisaLibraryBase has the list."""
        return handler, user_handle, handler, self.handle_return_value(session, StatusCode.success)

    def uninstall_handler(self, session: Any, event_type: Any, handler: Any, user_handle: Any = None) -> StatusCode:
        """VisaLibraryBase has the list."""
        return self.handle_return_value(session, StatusCode.success)

    def _request(self, found: VisaSession) -> None:
        """The instrument of a session requests service."""
        context: Any = next(self._numbers)
        self._events.add(context)
        if found.queues:
            found.events.append(context)
        if found.handles:
            for handler, user_handle, _, event_type in list(self.handlers[found.number]):
                if event_type == EventType.service_request:
                    handler(found.number, event_type, context, user_handle)

    def gpib_send_ifc(self, session: Any) -> StatusCode:
        """Interface clear: nothing on this bus is stuck."""
        return self.handle_return_value(session, StatusCode.success)

    def gpib_control_ren(self, session: Any, mode: Any) -> StatusCode:
        """Remote enable: emulators have no front panel."""
        return self.handle_return_value(session, StatusCode.success)

    def status_description(self, session: Any, status: Any) -> tuple[str, StatusCode]:
        """The words for a status code."""
        return errors.completion_and_error_messages.get(status, (str(status),))[-1], StatusCode.success


def _unsupported(name: str) -> Any:
    def refused(self: SimulatedVisaLibrary, session: Any, *given: Any, **named: Any) -> Any:
        return self.handle_return_value(session, StatusCode.error_nonsupported_operation)

    refused.__name__, refused.__doc__ = name, "Not on this bench."
    return refused


for _name in (
    "read_asynchronously", "write_asynchronously", "terminate", "set_buffer", "gpib_command", "gpib_control_atn", "gpib_pass_control",
    "usb_control_in", "usb_control_out", "vxi_command_query", "map_address", "map_trigger", "assert_interrupt_signal",
):  # fmt: skip
    setattr(SimulatedVisaLibrary, _name, _unsupported(_name))
