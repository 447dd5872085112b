"""The contestants: how each is configured to do the work of a `Workload`, tuned as its own documentation advises."""

from benchmarks.peers.composers import Aiohttp, FastApi, Fastify, Lura
from benchmarks.peers.envoy import Envoy
from benchmarks.peers.haproxy import Haproxy
from benchmarks.peers.nginx import Nginx
from benchmarks.peers.peer import Peer
from benchmarks.peers.tidegate import Tidegate
from benchmarks.peers.uvicorn import Uvicorn

__all__ = ["Aiohttp", "Envoy", "FastApi", "Fastify", "Haproxy", "Lura", "Nginx", "Peer", "Tidegate", "Uvicorn"]
