.PHONY: bench

# What a request costs, beside nginx, Envoy, HAProxy and uvicorn: `make bench OPTIONS="--scenario http1 --quick"`.
bench:
	@test -x .venv/bin/python || { echo "no .venv yet: build the gateway first" >&2; exit 1; }
	.venv/bin/python -m benchmarks $(OPTIONS)
