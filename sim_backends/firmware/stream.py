"""The streaming DAC and ADC of drivers/STREAM_PROTOCOL.md: bank memory, trigger, converters of 8 to 16 bits or floats."""

from sim_backends.firmware.stream_adc import RANGES_V, StreamAdcFirmware
from sim_backends.firmware.stream_base import BLOCK_BYTES, StreamFirmware
from sim_backends.firmware.stream_dac import StreamDacFirmware

__all__ = ["BLOCK_BYTES", "RANGES_V", "StreamAdcFirmware", "StreamDacFirmware", "StreamFirmware"]
