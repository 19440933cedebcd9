"""A webcam's strokes grow while frames are late; times are given here, not measured."""

import pytest

from demo.pace import STEPS, WANTED, Pace
from inference.options import StyleOptions


def scales(seconds_at_scale_1, frames, pace=None):
    """Of each frame, on a machine whose network takes as much less as there are fewer pixels."""
    pace, found = pace or Pace(), []
    for _ in range(frames):
        found.append(pace.scale)
        pace.took(seconds_at_scale_1 / pace.scale**2)
    return found


@pytest.mark.parametrize("seconds, scale", [(0.99, 1.0), (1.25, 1.15), (2.0, 1.5), (50, 1.75)])
def test_strokes_grow_as_far_as_needed_stay_there_and_shrink_again(seconds, scale):
    pace = Pace()
    found = scales(seconds * WANTED, 200, pace)
    assert found == sorted(found) and found[20] == found[-1] == scale
    assert scales(0.5 * WANTED, 40, pace)[-1] == 1


def test_strokes_keep_their_size_where_larger_ones_take_no_less():
    pace, found = Pace(), []
    for _ in range(60):
        found.append(pace.scale)
        pace.took(1.25 * WANTED)
    assert found == [1.0] * 15 + [1.15] * 15 + [1.0] * 30


def test_what_was_asked_for_is_multiplied():
    pace = Pace()
    finer = StyleOptions(strength=0.5, stroke_scale=0.5)
    assert pace.enlarged(finer, 320, 240) is finer
    pace.scale = STEPS[-1]
    assert pace.enlarged(finer, 320, 240) == StyleOptions(strength=0.5, stroke_scale=0.875)
    assert pace.enlarged(StyleOptions(), 320, 240).stroke_scale == 1.75
    assert pace.enlarged(StyleOptions(), 1280, 960).working_size(1280, 960) == (549, 411)
