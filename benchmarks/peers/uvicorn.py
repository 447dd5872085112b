"""uvicorn with httptools and uvloop: the fastest common way to answer from Python, with a raw ASGI application."""

from dataclasses import dataclass

from benchmarks.peers.peer import ask_version
from benchmarks.places import BENCHMARKS, PEER_PYTHON, REPOSITORY
from benchmarks.workload import HOST, Launch, Site, Workload

OPTIONS = ["--http", "httptools", "--loop", "uvloop", "--lifespan", "off", "--no-access-log", "--log-level", "warning"]


@dataclass(frozen=True)
class Uvicorn:
    name: str = "uvicorn"

    def missing(self) -> str | None:
        return None if PEER_PYTHON.exists() else "PyPI packages `uvicorn httptools uvloop`"

    def version(self) -> str:
        return ask_version([PEER_PYTHON, "-m", "uvicorn", "--version"], r"uvicorn (\S+)")

    def launch(self, workload: Workload, site: Site) -> Launch:
        site.folder.mkdir(parents=True, exist_ok=True)
        application = workload.application or f"{BENCHMARKS.name}.applications.asgi:application"
        where = ["--host", HOST, "--port", str(site.port), "--app-dir", str(REPOSITORY)]
        return Launch(
            [str(PEER_PYTHON), "-m", "uvicorn", application, *where, *OPTIONS], {"PYTHONDONTWRITEBYTECODE": "1"}
        )
