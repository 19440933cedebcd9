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


def test_a_fast_machine_paints_strokes_as_they_were_wanted():
    assert set(scales(0.99 * WANTED, 200)) == {1.0}


@pytest.mark.parametrize("seconds, scale", [(1.25, 1.15), (2.0, 1.5), (50, 1.75)])
def test_strokes_grow_as_far_as_needed_and_stay_there(seconds, scale):
    found = scales(seconds * WANTED, 400)
    assert found == sorted(found) and found[-1] == scale and found[60] == scale
    assert scale == STEPS[-1] or seconds / scale**2 <= 1


def test_they_shrink_step_by_step_once_there_is_time_to_spare():
    pace = Pace()
    assert scales(9 * WANTED, 60, pace)[-1] == STEPS[-1]
    found = scales(0.5 * WANTED, 300, pace)
    assert list(dict.fromkeys(found)) == sorted(STEPS, reverse=True) and found[20] == STEPS[-1]


def test_what_was_asked_for_is_multiplied():
    pace = Pace()
    finer = StyleOptions(strength=0.5, stroke_scale=0.5)
    assert pace.enlarged(finer, 320, 240) is finer
    scales(9 * WANTED, 60, pace)
    assert pace.enlarged(finer, 320, 240) == StyleOptions(strength=0.5, stroke_scale=0.875)
    assert pace.enlarged(StyleOptions(), 320, 240).stroke_scale == 1.75
    assert pace.enlarged(StyleOptions(), 1280, 960).working_size(1280, 960) == (549, 411)
