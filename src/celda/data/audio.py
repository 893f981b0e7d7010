"""Recordings as frames: how strong each band of frequencies is, by the mel scale."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from celda.data.reading import bytes_of
from celda.errors import CeldaError

# Of the power, so that silence has a logarithm. A full tone lies 92 dB above it at 8 kHz, and higher at a higher rate,
# as a window then has more samples.
_FLOOR = 1e-8


def log_mel(path: str | Path, *, bands: int = 40, window: float = 0.025, hop: float = 0.010) -> tuple[np.ndarray, int]:
    """Frames (T, bands) of a WAV file, natural logarithms of the power in each band, and its rate in Hz.

    A frame spans `window` seconds (Hann), and frames begin `hop` seconds apart. The bands are triangles, evenly spaced
    on the mel scale, 2595 log10(1 + f / 700), from 0 Hz to half the rate; of several channels the mean is taken.
    """
    path = Path(path)
    bytes_of(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of parts that hold no sound
            warnings.filterwarnings("error", "Reached EOF", wavfile.WavFileWarning)
            rate, samples = wavfile.read(path)
    except wavfile.WavFileWarning as error:
        raise CeldaError(f"{path.name} is cut off ({error}): copy it anew, or leave it out.") from error
    except (ValueError, EOFError, OSError, struct.error) as error:
        raise CeldaError(
            f"{path.name} cannot be read as a recording ({error}): save it as WAV, whole and not compressed."
        ) from error
    if not len(samples):
        raise CeldaError(f"{path.name} holds no sample: record it anew, or leave it out.")
    if not np.isfinite(samples).all():
        raise CeldaError(f"{path.name} holds a sample that is no number: record it anew, or leave it out.")
    return frames(_unit(samples), rate, bands=bands, window=window, hop=hop), int(rate)


def frames(wave: np.ndarray, rate: int, *, bands: int = 40, window: float = 0.025, hop: float = 0.010) -> np.ndarray:
    """The same of a wave (samples,) between -1 and 1, `rate` samples a second: (T, bands) float32."""
    size, step = max(2, round(window * rate)), max(1, round(hop * rate))
    padded = np.pad(wave, (0, max(0, size - len(wave))))
    cut = np.lib.stride_tricks.sliding_window_view(padded, size)[::step] * np.hanning(size)
    points = 1 << (2 * size - 1).bit_length() - 1  # of the transform: the next power of two at least
    power = np.abs(np.fft.rfft(cut, points)) ** 2 / size
    logs: np.ndarray = np.log(power @ filters(rate, points, bands).T + _FLOOR).astype(np.float32)
    return logs


def filters(rate: int, points: int, bands: int) -> np.ndarray:
    """The weight of each frequency of a transform of `points` in each band: (bands, points // 2 + 1)."""
    mel = np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), bands + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    frequencies = np.linspace(0, rate / 2, points // 2 + 1)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((frequencies - low) / (centre - low), (high - frequencies) / (high - centre))
    return np.maximum(triangles, 0)


def _unit(samples: np.ndarray) -> np.ndarray:
    """Samples of any kind as floats between -1 and 1, one channel."""
    wave = samples.astype(np.float64)
    if samples.dtype == np.uint8:
        wave = (wave - 128) / 128
    elif samples.dtype.kind == "i":
        wave /= -float(np.iinfo(samples.dtype).min)
    return wave.mean(1) if wave.ndim > 1 else wave
