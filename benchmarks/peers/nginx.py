"""nginx: one worker, upstream keep-alive, streaming both ways.

As its documentation advises for proxies: `keepalive` in the upstream with HTTP/1.1 and an empty `Connection`
(ngx_http_upstream_module), prefix locations, which are looked up in a tree, and no limit on requests per connection.
"""

import os
import pwd
import shutil
from dataclasses import dataclass

from benchmarks.peers.peer import ask_version
from benchmarks.workload import HOST, Launch, Protocol, Site, Workload

CONFIGURATION = """\
user {user};
worker_processes {workers};
daemon off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 16384; }}
http {{
    log_format json escape=json '{{"time":"$time_iso8601","method":"$request_method","path":"$uri",'
        '"status":$status,"bytes":$body_bytes_sent,"seconds":$request_time,"upstream_seconds":"$upstream_response_time",'
        '"client":"$remote_addr","request_id":"$request_id"}}';
    access_log {access_log};
    tcp_nodelay on;
    server_tokens off;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;

    upstream service {{
        server {upstream};
        keepalive 256;
        keepalive_requests 1000000000;
        keepalive_timeout 3600s;
    }}

    proxy_http_version 1.1;
    proxy_request_buffering off;
    proxy_max_temp_file_size 0;
    proxy_buffers 16 32k;
    client_body_buffer_size 256k;
    proxy_set_header Connection "";
{headers}

    server {{
        listen {host}:{port}{listen};
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        location / {{ return 404; }}
{locations}
    }}
    server {{
        listen {host}:{admin_port};
        location = /metrics {{ stub_status; }}
    }}
}}
"""
LISTEN = {
    Protocol.HTTP1: " backlog=4096",
    Protocol.TLS_HTTP1: " ssl backlog=4096",
    Protocol.TLS_HTTP2: " ssl http2 backlog=4096",
    Protocol.H2C: " http2 backlog=4096",
}
HEADERS = {
    "Host": "$http_host",
    "X-Forwarded-For": "$proxy_add_x_forwarded_for",
    "X-Forwarded-Proto": "$scheme",
    "X-Forwarded-Host": "$http_host",
    "X-Forwarded-Port": "$server_port",
    "X-Request-Id": "$request_id",
}


@dataclass(frozen=True)
class Nginx:
    name: str = "nginx"

    def missing(self) -> str | None:
        return None if _binary() else "Debian package `nginx-light`"

    def version(self) -> str:
        return ask_version([_binary() or "nginx", "-v"], r"nginx/(\S+)")

    def launch(self, workload: Workload, site: Site) -> Launch:
        site.folder.mkdir(parents=True, exist_ok=True)
        configuration = site.folder / "nginx.conf"
        configuration.write_text(self._configuration(workload, site))
        return Launch([_binary() or "nginx", "-p", str(site.folder), "-c", str(configuration)], {})

    def _configuration(self, workload: Workload, site: Site) -> str:
        is_grpc = workload.upstream is Protocol.H2C
        passed = "grpc_pass grpc://service" if is_grpc else "proxy_pass http://service"
        directive = "grpc_set_header" if is_grpc else "proxy_set_header"
        routes = range(workload.routes)
        return CONFIGURATION.format(
            user=pwd.getpwuid(os.geteuid()).pw_name,
            workers=workload.workers,
            folder=site.folder,
            access_log=f"{site.folder}/access.log json buffer=64k flush=1s" if workload.access_log else "off",
            upstream=site.upstream,
            headers="\n".join(f"    {directive} {name} {value};" for name, value in HEADERS.items()),
            host=HOST,
            port=site.port,
            admin_port=site.admin_port,
            listen=LISTEN[workload.client],
            certificate=site.certificate,
            key=site.key,
            locations="\n".join(f"        location {workload.prefix(route)}/ {{ {passed}; }}" for route in routes),
        )


def _binary() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
