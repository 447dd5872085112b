"""Who calls, as far as it takes the network: keys of token issuers, fetched beside the traffic.

fetch        one GET, with bounds on everything        key_sources   keeps the engine's key sets fresh
discovery    where an OpenID provider has its keys
"""
