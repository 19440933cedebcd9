"""The page as a static site, which repaints in the visitor's browser: for GitHub Pages, a Space, any plain file server.

    npm install onnxruntime-web
    python -m demo.build_site site
    python -m demo.build_site site --models starry_night wave --overwrite

Photographs, all that is to taste, mixtures and the webcam work without a server; nothing is uploaded. After the first
visit the page works without a network as well.
"""

import hashlib
import json
import os
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from config import REQUIRED, DemoConfig, setting
from utils.errors import UserError
from utils.settings import run_command

RUNTIME = (
    "ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm",
    "ort.jspi.min.mjs", "ort-wasm-simd-threaded.jspi.mjs", "ort-wasm-simd-threaded.jspi.wasm",
)  # fmt: skip
"""Of ONNX Runtime Web: for WebAssembly alone, and with WebGPU. A browser loads one of the two."""

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self' blob:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'"
)
_HEAD = '<meta charset="utf-8">\n'


@dataclass(frozen=True)
class SiteConfig:
    """Settings of ``demo.build_site``."""

    target: str = setting(REQUIRED, "folder that receives the site", metavar="OUT")
    models: tuple[str, ...] | None = setting(None, "models, in place of all in checkpoints/", metavar="MODEL")
    node_modules: str = setting("node_modules", "where npm installed onnxruntime-web", metavar="FOLDER")
    overwrite: bool = setting(False, "replace the site in OUT")


def build_site(config: SiteConfig) -> int:
    """Write the site, which appears whole or not at all, and give its number of styles."""
    target, runtime = Path(config.target), Path(config.node_modules, "onnxruntime-web", "dist")
    missing = [name for name in RUNTIME if not (runtime / name).is_file()]
    if missing:
        raise UserError(f"{runtime} has no {missing[0]}: npm install onnxruntime-web, or give --node_modules")
    is_site = (target / "site.json").is_file()
    if os.path.lexists(target) and not (config.overwrite and is_site):
        what = "add --overwrite to replace it" if is_site else "give a folder that is not there"
        raise UserError(f"{target} exists already: {what}")
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.absolute().parent, prefix=".site_") as scratch:
        built = Path(scratch, "site")
        styles = _fill(built, config.models, runtime)
        if os.path.lexists(target):
            os.replace(target, Path(scratch, "old"))
        os.replace(built, target)
    return styles


def _fill(folder: Path, models: tuple[str, ...] | None, runtime: Path) -> int:
    from demo.catalogue import PICTURES, Catalogue, shipped_pictures
    from demo.painter import Painter
    from export.onnx import OnnxConfig, export_onnx
    from models.checkpoints import find_model

    for part in ("static", "site"):
        shutil.copytree(Path(__file__).with_name(part), folder, dirs_exist_ok=True)
    for path in (*(runtime / name for name in RUNTIME), *PICTURES.glob("*.jpg")):
        shutil.copyfile(path, folder / path.name)
    page = (folder / "index.html").read_text(encoding="utf-8")
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
    manifest = '<link rel="manifest" href="site.webmanifest">\n'
    (folder / "index.html").write_text(page.replace(_HEAD, _HEAD + policy + manifest), encoding="utf-8")

    paths = [find_model(name, "--models").resolve() for name in models or ()]
    catalogue = Catalogue([path.parent for path in paths])
    painter = Painter(DemoConfig(precision="float32"), catalogue)
    every = catalogue.styles()
    styles = [style for style in every.values() if not paths or find_model(style.model).resolve() in paths]
    listed, files = [], {}

    def exported(model: str, precision: str, prefix: str = "") -> str:
        """The name of the network's file."""
        if model not in files:
            files[model] = f"{prefix}{Path(model).stem}.onnx"
            while (folder / files[model]).exists():
                files[model] = f"_{files[model]}"
            export_onnx(OnnxConfig(find_model(model), folder / files[model], precision))
        return files[model]

    for number, style in enumerate(styles):
        file = exported(style.twin or style.model, "float16")
        rows = [other.style for other in every.values() if other.model == style.model and other.style is not None]
        (folder / f"style_{number}.jpg").write_bytes(painter.sample(style, threading.Event()))
        listed.append({
            "id": style.id, "name": style.name, "model": style.model, "file": file,
            "live": exported(style.live, "float32", "live_") if style.live else file, "quick": style.twin is not None,
            "rows": len(rows), "row": rows.index(style.style) if rows else 0, "thumbnail": f"style_{number}.jpg",
            "painting": style.painting.name if style.credit else None, "credit": style.credit,
        })  # fmt: skip
    kept = [path.name for path in sorted(folder.iterdir()) if path.suffix not in (".onnx", ".mjs", ".wasm")]
    kept.remove("service_worker.js")
    examples = [{"url": f"{name}.jpg", **one} for name, one in shipped_pictures()["examples"].items()]
    about = json.dumps({"styles": listed, "examples": examples, "first": [*kept, "site.json"]})
    (folder / "site.json").write_text(about, encoding="utf-8")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.iterdir())))
    worker = folder / "service_worker.js"
    text = worker.read_text(encoding="utf-8").replace("VERSION", digest.hexdigest()[:12])
    worker.write_text(text, encoding="utf-8")
    return len(listed)


def main(config: SiteConfig) -> None:
    styles, target = build_site(config), Path(config.target)
    size = sum(path.stat().st_size for path in target.iterdir()) / 2**20
    print(f"Wrote {target}, {styles} styles, {size:.1f} MiB; look at it: python -m http.server -d {target}")


if __name__ == "__main__":
    run_command(main, SiteConfig, __doc__)
