"""A page to repaint photographs on, in the browser, with the models and the engine of this machine.

    python -m demo
    python -m demo --models my_models --port 8080

It listens at this machine's own address, and no photograph leaves the machine. Ctrl-C ends it.
"""

import contextlib
import os
import socket
import sys
import threading
import webbrowser

import torch

from config import DemoConfig
from utils.errors import UserError, optional
from utils.settings import run_command

DEFAULT_PORT = 8000


def listening_socket(host: str, port: int | None) -> socket.socket:
    """A socket at ``host`` and ``port``; without a port, at the default one, or at any free one if that is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in (DEFAULT_PORT, 0) if port is None else (port,):
        try:
            return socket.create_server((host, candidate), family=family, backlog=128)
        except OSError as error:
            reason = error.strerror or error
    flags = f"--host {host}" if port is None else f"--host {host} --port {port}"
    raise UserError(f"{flags} cannot be listened at ({reason}): give another")


def reached_at(host: str) -> list[str]:
    """The hosts of the page's addresses: one for this machine, and where it listens everywhere one for others."""
    if host not in ("0.0.0.0", "::"):
        return [f"[{host}]" if ":" in host else host]
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        route.connect(("192.0.2.1", 9))  # sends nothing; the system chooses the address that it would send from
        return ["127.0.0.1", route.getsockname()[0]]
    return ["127.0.0.1"]


def main(config: DemoConfig) -> None:
    """Serve the page until Ctrl-C."""
    for package in ("starlette", "uvicorn", "websockets"):
        optional(package, f"the page needs {package}: pip install -r requirements-demo.txt")
    import uvicorn

    from demo.app import LARGEST_MESSAGE, Server
    from demo.guard import is_loopback

    for flag, folders in (("models", config.models), ("dataset_dir", config.dataset_dir)):
        for folder in folders or ():
            if not os.path.isdir(folder):
                raise UserError(f"--{flag} {folder} is not a folder: give one")
    listening = listening_socket(config.host, config.port)
    port = listening.getsockname()[1]
    address, *others = (f"http://{host}:{port}/" for host in reached_at(config.host))
    if not is_loopback(config.host):
        print(
            f"warning: with --host {config.host} everybody who reaches this machine can use the page, unencrypted and "
            "without a password",
            file=sys.stderr,
        )
    behind = Server(config)
    torch.set_num_threads(1)  # networks compute in a thread of their own
    behind.catalogue.styles()
    for reason in behind.catalogue.unreadable:
        print(f"warning: {reason}", file=sys.stderr)
    settings = uvicorn.Config(
        behind.app(config.host, port), log_level="warning", access_log=False, server_header=False,
        proxy_headers=False, ws="websockets-sansio", ws_max_size=LARGEST_MESSAGE, ws_per_message_deflate=False,
        http="h11", limit_concurrency=500, timeout_graceful_shutdown=1, lifespan="off",
    )  # fmt: skip
    elsewhere = f", for others at {others[0]}," if others else ""
    print(f"The page is at {address}{elsewhere} on {behind.machine}; Ctrl-C ends it", flush=True)
    if not config.no_browser:
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(settings).run(sockets=[listening])
    behind.end()
    os._exit(130)  # a tile under way in another thread would be waited for


if __name__ == "__main__":
    run_command(main, DemoConfig, __doc__)
