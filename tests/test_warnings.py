"""Warnings that the project's own code causes are errors while the tests run (pyproject.toml)."""

import warnings

import pytest

MODULES = """
    config begin_training training.run inference.batch data.loader imaging.reading losses.functional models.vgg19
    utils.files benchmarks.common
"""


@pytest.mark.parametrize("module", MODULES.split())
def test_a_warning_out_of_the_project_is_an_error(module):
    with pytest.raises(DeprecationWarning):
        warnings.warn_explicit("old", DeprecationWarning, "file.py", 1, module=module)


def test_those_of_others_are_not():
    with pytest.warns(DeprecationWarning):
        warnings.warn_explicit("old", DeprecationWarning, "file.py", 1, module="torch.nn")
