"""Many nodes in one process: the tree's own decisions, and a model of all that surrounds them.

The product's code, called as its processes call it: `Routes.shard_of` (which shard),
`Admission` with its `Mailbox`, `Line`, `DrainRate` and `Forecast` (whether a task may wait, in
which order), `Fleet` and `Crew` with `PoolSize` (which host, how many hosts, who is suspected)
and `RestartWindow` (when a host is started again). These are timed.

The model: time, callers, the nodes, how long a task is at work (drawn from what was recorded),
how long a commit, the start of a host and the loss of a node take, and when what dies. A task
takes as long on a busy node as on a quiet one; nothing takes time on a network.
"""
