"""How large strokes have to be for the frames of a webcam to follow each other fast enough."""

import dataclasses
import statistics

from inference.options import StyleOptions

WANTED = 1 / 15  # seconds that a frame may take
STEPS = (1.0, 1.15, 1.3, 1.5, 1.75)  # by which strokes grow: a network takes about as much less as the square of it
_FRAMES = 15  # between two decisions
_MARGIN = 0.9  # of what is wanted: smaller strokes that take more would soon grow again


class Pace:
    """Strokes that grow by ``scale`` while frames are late, and shrink once there is time to spare."""

    def __init__(self):
        self.scale, self._times = 1.0, []
        self._at_own_size, self._helps = 0.0, True  # seconds of a frame, and whether larger strokes took less

    def took(self, seconds: float) -> None:
        """Count a frame. One that is late, among others that are not, changes nothing."""
        self._times.append(seconds)
        if len(self._times) < _FRAMES:
            return
        took, before, self._times = statistics.median(self._times), self.scale, []
        if before == 1:
            self._at_own_size = took
        elif took >= self._at_own_size:  # resizing took more than a small network saved
            self._helps = False
        took *= before**2  # at strokes of their own size, about
        soon = (step for step in STEPS if took <= WANTED * step**2 * (1 if step >= before else _MARGIN))
        self.scale = next(soon, STEPS[-1]) if self._helps else 1.0

    def enlarged(self, options: StyleOptions, width: int, height: int) -> StyleOptions:
        """The options for a frame of a size, with strokes so much larger than they say."""
        if self.scale == 1:
            return options
        return dataclasses.replace(options, stroke_scale=self.scale * width / options.working_size(width, height)[0])
