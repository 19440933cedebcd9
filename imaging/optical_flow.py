"""Optical flow between neighbouring frames of a film, by OpenCV."""

import numpy as np

from utils.errors import optional


class Motion:
    """Where the pixels of a frame are in the next one, and which of them both frames show.

    Dense inverse search (Kroeger et al., 2016) as OpenCV has it, its preset MEDIUM, forwards and backwards. A pixel is
    occluded where |w + w'|² ≥ 0.01 (|w|² + |w'|²) + 0.5, with w the flow and w' the flow back from where it leads
    (Sundaram et al., 2010, in the form of Ruder et al., 2016, equation 5), or if it leaves the frame.

    Frames are H x W x 3, uint8, RGB; ``seen``, H x W, bool, is what is not occluded; ``cut`` says whether the two are
    of different scenes: less than a quarter of the frame is seen. Needs OpenCV, else raises :class:`UserError`.
    """

    def __init__(self, frame: np.ndarray, following: np.ndarray):
        self._cv2 = opencv()
        flow = self._cv2.DISOpticalFlow_create(self._cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        grey, next_grey = (self._cv2.cvtColor(pixels, self._cv2.COLOR_RGB2GRAY) for pixels in (frame, following))
        forwards, backwards = flow.calc(grey, next_grey, None), flow.calc(next_grey, grey, None)
        height, width = grey.shape
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        self._x, self._y = columns + forwards[..., 0], rows + forwards[..., 1]
        back = self.warped(backwards)
        lengths = np.square(forwards).sum(-1) + np.square(back).sum(-1)
        consistent = np.square(forwards + back).sum(-1) < 0.01 * lengths + 0.5
        inside = (self._x >= 0) & (self._x <= width - 1) & (self._y >= 0) & (self._y <= height - 1)
        self.seen = consistent & inside
        self.cut = bool(self.seen.mean() < 0.25)

    def warped(self, following: np.ndarray) -> np.ndarray:
        """What belongs to the next frame, H x W x channels, moved to this one's pixels, float32."""
        return self._cv2.remap(following.astype(np.float32), self._x, self._y, self._cv2.INTER_LINEAR)

    def error(self, result: np.ndarray, following: np.ndarray) -> float:
        """Mean squared difference of two results, H x W x 3 in [0, 255], where not occluded, with values in [0, 1]."""
        return np.square((self.warped(following) - result)[self.seen] / 255).mean().item()


def opencv():
    """The package ``cv2``; see :func:`optional`."""
    return optional("cv2", "flow needs OpenCV: pip install -r requirements-video.txt")
