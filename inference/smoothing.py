"""Films that keep still: each result mixed with the last one, moved along the optical flow of the film."""

import numpy as np

from imaging.optical_flow import Motion, opencv


class Smoother:
    """Keeps a part of the last result, wherever the film shows the same thing as before.

    The last result is moved along the flow of the film, and mixed in where the flow is the same forwards and backwards
    (Ruder et al., 2016, section 3.3, use these masks in optimisation); elsewhere, and after a cut, the result stays as
    it is.

    Args:
        keep: part of the last result in the next one, in [0, 1).

    Raises:
        UserError: where OpenCV is not installed.
    """

    def __init__(self, keep: float):
        opencv()
        self.keep = keep
        self._frame: np.ndarray | None = None
        self._result: np.ndarray | None = None

    def smooth(self, frame: np.ndarray, result: np.ndarray) -> np.ndarray:
        """The next result.

        Args:
            frame: of the film, H x W x 3 or 4, uint8, RGB or RGBA.
            result: what the network made of it, the same.

        Returns:
            The same; transparency stays the frame's own.
        """
        frame, smoothed = np.ascontiguousarray(frame[..., :3]), result[..., :3].astype(np.float32)
        if self._frame is not None:
            motion = Motion(frame, self._frame)
            if not motion.cut:
                mixed = self.keep * motion.warped(self._result) + (1 - self.keep) * smoothed
                smoothed = np.where(motion.seen[..., None], mixed, smoothed)
        self._frame, self._result = frame, smoothed
        return np.concatenate([smoothed.round().astype(np.uint8), result[..., 3:]], -1)
