"""The real window of slm_monitor: pygame-ce (SDL 2), borderless, on one monitor at its native size, exact gray levels.

It appears with its first frame. The picture is drawn in memory and handed over whole (SDL's window surface), so the old frame stays
until the new one is up. Never SDL's full screen: at another than the native size that switches the video mode and can leave the
SLM's output off.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers import sdl
from drivers.macropixels import Codes, enlarge
from drivers.sdl import Monitor, SdlThread, load_pygame, start_video
from drivers.slm_monitors import check_native, chosen, monitors
from labonn.errors import ConnectError, LinkClosedError, UnknownStateError

_LOCK = threading.Lock()  # of opening and closing
_sdl: SdlThread | None = None


class PygameWindow:
    """A borderless window; its methods may be called from any thread."""

    def __init__(self, thread: SdlThread, monitor: Monitor) -> None:
        self._sdl, self._monitor = thread, monitor
        self._window: Any = None

    def size(self) -> tuple[int, int]:
        """Pixels (rows, columns)."""
        return self._monitor.size

    def name(self) -> str:
        """The monitor's own name, its connector and what its EDID says."""
        m = self._monitor
        connector = f" on {m.connector}" if m.connector not in ("", m.name) else ""
        return f"{m.name}{connector}" + (f", {m.edid}" if m.edid else "")

    def show(self, frame: Codes) -> None:
        """Put a frame on the whole panel; returns once it is handed to the display.

        Args:
            frame: (h, w) uint8 gray levels, or uint16 codes (high byte to red, low byte to green); h and w divide the panel.

        Raises:
            ConnectError: the window could not be put there. UnknownStateError: it is not where it was put; the next frame gets a new one.
        """
        height, width = self._monitor.size
        kind = frame.dtype in (np.uint8, np.uint16) and frame.ndim == 2 and frame.size > 0
        if not kind or height % frame.shape[0] or width % frame.shape[1]:
            given = f"{frame.dtype}{list(frame.shape)}"
            raise ValueError(f"a frame for {height} x {width} pixels is uint8 or uint16 with whole fractions of that, not {given}")
        self._sdl.call(lambda: self._draw(frame))

    def _draw(self, frame: Codes) -> None:
        self._check_open()
        if self._window is None:
            self._appear(frame)
        elif wrong := misplaced(self._window, self._monitor):
            self._vanish()
            raise UnknownStateError(f"the window on monitor {self._monitor} {wrong}: something has moved it or changed the desktop")
        paint(self._window, frame)
        self._window.flip()

    def _appear(self, frame: Codes) -> None:
        """Open the window with `frame` in it; then the window system has had its chance to resize or move it, which is checked."""
        pygame, monitor = load_pygame(), self._monitor
        now = [m for m in sdl.monitors() if m.index == monitor.index]
        if not now or (now[0].size, now[0].position) != (monitor.size, monitor.position):
            there = f"is now {now[0]}" if now else "is gone"
            raise ConnectError(f"monitor {monitor} {there}; set the desktop back, or open the bench again")
        height, width = monitor.size
        window = pygame.Window(f"SLM {monitor.name}", (width, height), monitor.position, hidden=True, borderless=True, always_on_top=True)
        self._window, self._sdl.windows[window.id] = window, window
        try:
            if not (wrong := misplaced(window, monitor)):
                paint(window, frame)
                window.show()
                window.flip()
                pygame.mouse.set_visible(False)
                self._sdl.look_after_events()
                wrong = misplaced(window, monitor)
            if wrong:
                raise ConnectError(f"the window on monitor {monitor} {wrong}; a window manager or a scaled desktop is in the way")
        except BaseException:
            self._vanish()
            raise

    def _vanish(self) -> None:
        if self._window is not None:
            self._sdl.windows.pop(self._window.id).destroy()
            self._window = None

    def _check_open(self) -> None:
        if self._sdl.users.get(self._monitor.index) is not self:
            raise LinkClosedError(f"the window on monitor {self._monitor} was closed")

    def read_back(self) -> NDArray[np.uint8]:
        """(H, W, 3) red, green, blue of the picture as it was handed over, to check a set-up."""

        def read() -> NDArray[np.uint8]:
            self._check_open()
            if self._window is None:
                raise UnknownStateError(f"nothing was shown on monitor {self._monitor} yet")
            surface = self._window.get_surface()
            return np.stack([(_pixels(surface) >> shift).astype(np.uint8) for shift in surface.get_shifts()[:3]], axis=-1)

        return self._sdl.call(read)

    def close(self) -> None:
        """Close the window; the last one ends SDL."""
        with _LOCK:
            if self._sdl.users.get(self._monitor.index) is self:
                self._sdl.call(self._vanish)
                del self._sdl.users[self._monitor.index]
                _stop_if_idle(self._sdl)


def open_window(monitor: str, native: bool = True) -> PygameWindow:
    """A window for the monitor with this index, name or `edid:WORDS`; nothing is changed before its first frame.

    Args:
        native: refuse a monitor whose EDID tells another size than the desktop gives it.

    Raises:
        MissingPackageError: pygame-ce is not installed.
        ConnectError: no display, no such monitor (all are listed), not at its native size, or taken by another port.
    """
    global _sdl
    with _LOCK:
        load_pygame()
        thread = _sdl = _sdl or SdlThread()
        try:
            return thread.call(lambda: _opened(thread, monitor, native))
        finally:
            _stop_if_idle(thread)


def list_monitors() -> list[Monitor]:
    """All monitors of the desktop; nothing is changed on them."""
    global _sdl
    with _LOCK:
        load_pygame()
        thread = _sdl = _sdl or SdlThread()
        try:
            return thread.call(_listed)
        finally:
            _stop_if_idle(thread)


def _listed() -> list[Monitor]:
    start_video()
    return monitors()


def _stop_if_idle(thread: SdlThread) -> None:
    global _sdl
    if not thread.users:
        thread.stop()
        _sdl = None


def _opened(thread: SdlThread, wanted: str, native: bool) -> PygameWindow:
    start_video()
    monitor = chosen(monitors(), wanted)
    if native:
        check_native(monitor)
    if monitor.index in thread.users:
        raise ConnectError(f"monitor://{wanted}: monitor {monitor} already is the SLM of another port")
    window = thread.users[monitor.index] = PygameWindow(thread, monitor)
    return window


def misplaced(window: Any, monitor: Monitor) -> str:
    """What is wrong with a window's place or pixels; "" if nothing is."""
    surface = window.get_surface()
    size, bits, position = surface.get_size()[::-1], surface.get_bitsize(), tuple(window.position)
    if (size, bits, position) == (monitor.size, 32, monitor.position):
        return ""
    both = ((size, bits, position), (monitor.size, 32, monitor.position))
    got, wanted = (f"{pixels[0]} x {pixels[1]} pixels of {depth} bits at {corner}" for pixels, depth, corner in both)
    return f"got {got}, not {wanted}"


def paint(window: Any, frame: Codes) -> None:
    """Draw a frame in a window's memory, enlarged by replication."""
    surface = window.get_surface()
    pixels = _pixels(surface)  # while it lives the surface is locked
    words = packed(frame, surface.get_shifts())
    if words.shape == pixels.shape:
        pixels[...] = words
    else:
        enlarge(words, np.empty((words.shape[0], pixels.shape[1]), np.uint32), pixels)


def packed(frame: Codes, shifts: tuple[int, ...]) -> NDArray[np.uint32]:
    """Pixel words for gray levels (uint8) or for codes in red and green (uint16)."""
    red, green, blue = shifts[:3]
    words = frame.astype(np.uint32)
    if frame.dtype == np.uint8:
        return np.multiply(words, np.uint32(1 << red | 1 << green | 1 << blue), out=words)
    return (words >> np.uint32(8)) << np.uint32(red) | (words & np.uint32(255)) << np.uint32(green)


def _pixels(surface: Any) -> NDArray[np.uint32]:
    """The (H, W) pixel words of a surface, as they lie in its memory."""
    import pygame.surfarray

    return pygame.surfarray.pixels2d(surface).T.view(np.uint32)
