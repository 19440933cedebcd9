"""The command that builds the page without a server: what it refuses."""

import pytest

from demo.build_site import RUNTIME, SiteConfig, build_site
from utils.errors import UserError


def test_what_is_missing_or_there_is_refused(tmp_path):
    with pytest.raises(UserError, match="npm install onnxruntime-web"):
        build_site(SiteConfig(tmp_path / "site", None, tmp_path))
    (tmp_path / "onnxruntime-web" / "dist").mkdir(parents=True)
    for name in RUNTIME:
        (tmp_path / "onnxruntime-web" / "dist" / name).touch()
    with pytest.raises(UserError, match="give a folder that is not there"):
        build_site(SiteConfig(tmp_path, None, tmp_path, overwrite=True))
    with pytest.raises(UserError, match="--models"):
        build_site(SiteConfig(tmp_path / "site", ("no such model",), tmp_path))
    assert not (tmp_path / "site").exists()


def test_the_command_names_the_flag(call_cli):
    assert "give --node_modules" in call_cli("demo.build_site", "site", "--node_modules", "no such").error
