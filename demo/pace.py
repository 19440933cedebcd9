"""How large strokes have to be for the frames of a webcam to follow each other fast enough."""

import collections
import dataclasses
import statistics

from inference.options import StyleOptions

WANTED = 1 / 15
"""Seconds that a frame may take."""

STEPS = (1.0, 1.15, 1.3, 1.5, 1.75)
"""By which strokes are enlarged: a network takes about as much less as the square of it."""

_HASTE, _CALM = 8, 45  # frames after which strokes may grow, and shrink
_MARGIN = 0.9  # of what is wanted: a step back that takes more would soon be undone


class Pace:
    """Strokes that grow while frames are late, and shrink once there is time to spare.

    Attributes:
        scale: by which they are larger than was asked for.
    """

    def __init__(self):
        self._step, self._times = 0, collections.deque(maxlen=_CALM)

    @property
    def scale(self) -> float:
        return STEPS[self._step]

    def took(self, seconds: float) -> None:
        """Count a frame. One that is late, among others that are not, changes nothing."""
        times = self._times
        times.append(seconds)
        late = len(times) >= _HASTE and statistics.median(list(times)[-_HASTE:]) > WANTED
        if late and self._step < len(STEPS) - 1:
            self._step += 1
        elif self._step and len(times) == _CALM and self._before(statistics.median(times)) < _MARGIN * WANTED:
            self._step -= 1
        else:
            return
        times.clear()

    def _before(self, seconds: float) -> float:
        """What a frame would take with strokes a step smaller, at most."""
        return seconds * (STEPS[self._step] / STEPS[self._step - 1]) ** 2

    def enlarged(self, options: StyleOptions, width: int, height: int) -> StyleOptions:
        """The options for a frame of a size, with strokes so much larger than they say."""
        if self.scale == 1:
            return options
        return dataclasses.replace(options, stroke_scale=self.scale * width / options.working_size(width, height)[0])
