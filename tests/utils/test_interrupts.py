"""What a first and a second signal do, and say."""

import signal

import pytest

from utils.interrupts import Interrupts, ctrl_c_waits


def test_the_first_signal_says_what_is_saved_and_the_second_what_is_lost(ctrl_c, capfd):
    with pytest.raises(KeyboardInterrupt), Interrupts("Saving", "all of it is lost") as interrupts:
        signal.raise_signal(signal.SIGINT)
        assert capfd.readouterr().err.split("\n") == ["", "Saving. Once more ends at once", ""]
        assert interrupts.received == signal.SIGINT and interrupts.exit_status == 130
        signal.raise_signal(signal.SIGINT)
    assert capfd.readouterr().err.strip() == "Ended at once: all of it is lost"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_one_of_each_kind_is_no_second_signal(ctrl_c, capfd):
    """torchrun sends SIGTERM where a terminal has sent SIGINT."""
    with Interrupts("Saving", "all") as interrupts:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert interrupts.received
    assert capfd.readouterr().err.strip() == "Saving. Once more ends at once"


def test_ctrl_c_waits_for_the_end_of_a_block(ctrl_c):
    done = False
    with pytest.raises(KeyboardInterrupt), ctrl_c_waits():
        signal.raise_signal(signal.SIGINT)
        done = True
    assert done and signal.getsignal(signal.SIGINT) is signal.default_int_handler
