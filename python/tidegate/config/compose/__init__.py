"""`compose:` on a route: one answer, put together from the answers of several services.

models       Compose, Call and View, as people write them
names        what references may name, and the parts of a text
shapes       templates of JSON: `response`, `body`
conditions   `when`, and the CEL expressions of `when` and `$cel`
planned      one call, view or answer on its way into the plan, with what it needs
graph        who needs whom: cycles, levels, chains, calls that nobody uses
doubts       what can hardly be meant, for `tidegate check`
shown        the graph for people, for `tidegate explain`
"""
