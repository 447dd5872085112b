"""What answers a request: one file a kind, named as in the engine.

proxy     the service behind (`service:` with `strip_path`, `rewrite`, `preserve_host`)
split     one of several services, by weight
compose   one answer of the answers of several services
mirror    around these two: copies go to another service
respond   a fixed answer
redirect  the client goes elsewhere
handler   a Python function
app       an ASGI application

signing_keys   the public keys of `signed_identity`, on a route that the gateway adds itself
"""
