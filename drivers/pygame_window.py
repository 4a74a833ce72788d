"""The real window of slm_monitor: pygame-ce (SDL 2), borderless, on one monitor at its native size, exact gray levels.

The picture is drawn in memory and handed over whole (SDL's window surface), so the old frame stays until the new one is up.
Never SDL's full screen: at another than the native size that switches the video mode and can leave the SLM's output off.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.macropixels import Codes, enlarge
from drivers.sdl import Monitor, SdlThread, load_pygame, monitors, start_video
from labonn.errors import ConnectError, LinkClosedError

_LOCK = threading.Lock()  # of opening and closing
_sdl: SdlThread | None = None


class PygameWindow:
    """A borderless window; its methods may be called from any thread."""

    def __init__(self, sdl: SdlThread, monitor: Monitor, window: Any) -> None:
        self._sdl, self._monitor, self._window, self._id = sdl, monitor, window, int(window.id)

    def size(self) -> tuple[int, int]:
        """Pixels (rows, columns)."""
        return self._monitor.size

    def name(self) -> str:
        """The monitor's own name."""
        return self._monitor.name

    def show(self, frame: Codes) -> None:
        """Put a frame on the whole panel; returns once it is handed to the display.

        Args:
            frame: (h, w) uint8 gray levels, or uint16 codes (high byte to red, low byte to green); h and w divide the panel.
        """
        height, width = self._monitor.size
        kind = frame.dtype in (np.uint8, np.uint16) and frame.ndim == 2 and frame.size > 0
        if not kind or height % frame.shape[0] or width % frame.shape[1]:
            given = f"{frame.dtype}{list(frame.shape)}"
            raise ValueError(f"a frame for {height} x {width} pixels is uint8 or uint16 with whole fractions of that, not {given}")
        self._sdl.call(lambda: self._draw(frame))

    def _draw(self, frame: Codes) -> None:
        surface = self._surface()
        pixels = _pixels(surface)
        enlarge(packed(frame, surface.get_shifts()), np.empty((frame.shape[0], pixels.shape[1]), np.uint32), pixels)
        del pixels  # while it lives the surface is locked
        self._window.flip()

    def _surface(self) -> Any:
        if self._id not in self._sdl.windows:
            raise LinkClosedError(f"the window on monitor {self._monitor} was closed")
        return self._window.get_surface()

    def read_back(self) -> NDArray[np.uint8]:
        """(H, W, 3) red, green, blue of the picture as it was handed over, to check a set-up."""

        def read() -> NDArray[np.uint8]:
            surface = self._surface()
            return np.stack([(_pixels(surface) >> shift).astype(np.uint8) for shift in surface.get_shifts()[:3]], axis=-1)

        return self._sdl.call(read)

    def close(self) -> None:
        """Close the window; the last one ends SDL."""
        with _LOCK:
            if self._id in self._sdl.windows:
                self._sdl.call(lambda: self._sdl.windows.pop(self._id).destroy())
                _stop_if_idle(self._sdl)


def open_window(monitor: str) -> PygameWindow:
    """A black window on the monitor with this index or name.

    Raises:
        MissingPackageError: pygame-ce is not installed.
        ConnectError: no display, no such monitor (all are listed), or not at its native size.
    """
    global _sdl
    with _LOCK:
        load_pygame()
        sdl = _sdl = _sdl or SdlThread()
        try:
            return sdl.call(lambda: _opened(sdl, monitor))
        finally:
            _stop_if_idle(sdl)


def _stop_if_idle(sdl: SdlThread) -> None:
    global _sdl
    if not sdl.windows:
        sdl.stop()
        _sdl = None


def _opened(sdl: SdlThread, wanted: str) -> PygameWindow:
    start_video()
    found = monitors()
    chosen = [m for m in found if wanted == str(m.index)] or [m for m in found if wanted == m.name]
    if len(chosen) != 1:
        problem = "no monitor" if not chosen else "more than one monitor"
        raise ConnectError(f"monitor://{wanted}: {problem} is called {wanted!r}; there are {', '.join(map(str, found))}")
    monitor, pygame = chosen[0], load_pygame()
    height, width = monitor.size
    window = pygame.Window(f"SLM {monitor.name}", (width, height), monitor.position, borderless=True, always_on_top=True)
    sdl.windows[window.id] = window
    try:
        _blacken(sdl, window, monitor)
    except BaseException:
        sdl.windows.pop(window.id).destroy()
        raise
    return PygameWindow(sdl, monitor, window)


def _blacken(sdl: SdlThread, window: Any, monitor: Monitor) -> None:
    """The first picture; then the window system has had its chance to resize or move the window, which is checked."""
    load_pygame().mouse.set_visible(False)
    window.get_surface().fill(0)
    window.flip()
    sdl.look_after_events()
    surface, size, bits = window.get_surface(), window.get_surface().get_size()[::-1], window.get_surface().get_bitsize()
    if size != monitor.size or bits != 32 or tuple(window.position) != monitor.position:
        got = f"{size[0]} x {size[1]} pixels of {bits} bits at {tuple(window.position)}"
        wanted = f"{monitor.size[0]} x {monitor.size[1]} of 32 bits at {monitor.position}"
        raise ConnectError(f"the window on monitor {monitor} got {got}, not {wanted}; a window manager or a scaled desktop is in the way")
    surface.fill(0)
    window.flip()


def packed(frame: Codes, shifts: tuple[int, ...]) -> NDArray[np.uint32]:
    """Pixel words for gray levels (uint8) or for codes in red and green (uint16)."""
    red, green, blue = shifts[:3]
    words = frame.astype(np.uint32)
    if frame.dtype == np.uint8:
        return words * np.uint32(1 << red | 1 << green | 1 << blue)
    return (words >> np.uint32(8)) << np.uint32(red) | (words & np.uint32(255)) << np.uint32(green)


def _pixels(surface: Any) -> NDArray[np.uint32]:
    """The (H, W) pixel words of a surface, as they lie in its memory."""
    import pygame.surfarray

    return pygame.surfarray.pixels2d(surface).T.view(np.uint32)
