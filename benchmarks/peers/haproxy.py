"""HAProxy: one thread, routes in a prefix map, connections to the service always shared.

As its configuration manual advises: a `map_beg` file instead of one rule a route (a tree, not a list), `http-reuse
always` where every request may use any connection.
"""

import shutil
from dataclasses import dataclass

from benchmarks import credentials
from benchmarks.guard import RATE, Credential, Guard
from benchmarks.peers.peer import ask_version
from benchmarks.processes import BenchmarkError
from benchmarks.workload import HOST, Launch, Protocol, Site, Workload

CONFIGURATION = """\
global
    nbthread {workers}
    maxconn 15000
    tune.bufsize 65536
    no strict-limits
    tune.ssl.default-dh-param 2048
    stats socket {folder}/haproxy.sock

defaults
    mode http
    timeout connect 3s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
    option http-keep-alive

frontend clients
    bind {host}:{port}{bind}
    {log}
    option forwardfor
    unique-id-format %[uuid()]
    http-request set-header x-request-id %[unique-id]
    http-request set-header x-forwarded-proto {scheme}
    http-request set-header x-forwarded-host %[req.hdr(host)]
    http-request set-header x-forwarded-port %[dst_port]
    {guard}
    http-request return status 404 unless {{ path,map_beg({map}) -m found }}
    use_backend %[path,map_beg({map})]

backend service
    http-reuse always
    server one {upstream}{server}

{table}
frontend metrics
    bind {host}:{admin_port}
    http-request use-service prometheus-exporter if {{ path /metrics }}
"""

_TABLE = """
backend callers
    stick-table type string len 64 size 100k expire 10s store http_req_rate(1s)
"""

_TOKEN = """\
http-request set-var(txn.bearer) http_auth_bearer
    http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
    http-request set-var(txn.iss) var(txn.bearer),jwt_payload_query('$.iss')
    http-request set-var(txn.aud) var(txn.bearer),jwt_payload_query('$.aud')
    http-request set-var(txn.sub) var(txn.bearer),jwt_payload_query('$.sub')
    http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
    http-request set-var(txn.now) date()
    http-request deny deny_status 401 unless {{ var(txn.alg) -m str RS256 }}
    http-request deny deny_status 401 unless {{ var(txn.iss) -m str {issuer} }}
    http-request deny deny_status 401 unless {{ var(txn.aud) -m str {audience} }}
    http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
    http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(txn.alg,"{key}") 1 }}
    http-request del-header authorization
    http-request set-header x-user-id %[var(txn.sub)]
    http-request set-header x-user-roles \
%[var(txn.bearer),jwt_payload_query('$.roles[0]')],%[var(txn.bearer),jwt_payload_query('$.roles[1]')]
    http-request set-header x-user-email %[var(txn.bearer),jwt_payload_query('$.email')]
    http-request track-sc0 var(txn.sub) table callers
    http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {rate} }}"""


def _guard(guard: Guard | None) -> str:
    """Its own converters for tokens, which check each one anew, and a stick table that counts."""
    if guard is None:
        return ""
    if guard.credential is Credential.API_KEY or guard.limits > 1 or guard.shared or guard.signed:
        raise BenchmarkError("HAProxy takes no part in this")
    key = credentials.signer().public_file
    return _TOKEN.format(issuer=credentials.ISSUER, audience=credentials.AUDIENCE, key=key, rate=RATE)


@dataclass(frozen=True)
class Haproxy:
    name: str = "haproxy"

    def missing(self) -> str | None:
        return None if binary() else "Debian package `haproxy`"

    def version(self) -> str:
        return ask_version([binary() or "haproxy", "-v"], r"version (\d[\w.]*)")

    def launch(self, workload: Workload, site: Site) -> Launch:
        site.folder.mkdir(parents=True, exist_ok=True)
        bundle = site.folder / "certificate.pem"
        bundle.write_text(site.certificate.read_text() + site.key.read_text())
        bundle.chmod(0o600)
        routes = site.folder / "routes.map"
        routes.write_text("".join(f"{workload.prefix(route)}/ service\n" for route in range(workload.routes)))
        binds = {
            Protocol.HTTP1: "",
            Protocol.TLS_HTTP1: f" ssl crt {bundle} alpn http/1.1",
            Protocol.TLS_HTTP2: f" ssl crt {bundle} alpn h2",
            Protocol.H2C: " proto h2",
        }
        configuration = site.folder / "haproxy.cfg"
        configuration.write_text(
            CONFIGURATION.format(
                workers=workload.workers,
                folder=site.folder,
                host=HOST,
                port=site.port,
                admin_port=site.admin_port,
                bind=binds[workload.client],
                guard=_guard(workload.policies),
                table=_TABLE if workload.policies else "",
                log="log stdout format raw local0\n    option httplog" if workload.access_log else "no log",
                scheme="https" if workload.client.is_encrypted else "http",
                map=routes,
                upstream=site.upstream,
                server=" proto h2" if workload.upstream is Protocol.H2C else "",
            )
        )
        return Launch([binary() or "haproxy", "-db", "-q", "-f", str(configuration)], {})


def binary() -> str | None:
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
