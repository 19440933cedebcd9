"""Warnings that the project's own code causes are errors while the tests run (pyproject.toml)."""

import warnings

import pytest


@pytest.mark.parametrize("module", ["config", "training.run", "benchmarks.common"])
def test_a_warning_out_of_the_project_is_an_error(module):
    with pytest.raises(DeprecationWarning):
        warnings.warn_explicit("old", DeprecationWarning, "file.py", 1, module=module)
