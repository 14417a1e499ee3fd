"""What each peer promises of a task, so that nobody takes the rates for the same work."""

GUARANTEES = {
    "cartrita-http": (
        "Durable: admission and end are each committed to PostgreSQL with fsync before they are "
        "told. After a crash of any process, or a power cut, the task goes on. Authenticated (a "
        "token is checked for each request), authorised, with a deadline, a budget and a bounded "
        "mailbox; supervised: a worker that dies is replaced, its tasks run again where they may. "
        "An Idempotency-Key or taskId makes a repeat find the first task."
    ),
    "cartrita-batch": (
        "As by HTTP. The answer says which of the 100 tasks are durable; results are read "
        "afterwards. The rate is of tasks ended: the next batch of a client is sent when the last "
        "task of its batch has ended. Only that task's result is read; a list says at the end that "
        "no other failed or is still open."
    ),
    "celery": (
        "Not durable as it is here: the broker is a Valkey without a disk, and nothing is "
        "committed before the answer. A task is acknowledged before it runs (Celery's default), so "
        "a worker that is killed loses what it was running, and nobody starts it again. No "
        "authentication, no deadline, no deduplication, no bound of the queue. "
        "A durable configuration (append-only file, late acknowledgement) was not measured."
    ),
    "autogen": (
        "Nothing durable: a message is a Python object in a queue of the same process, lost with "
        "it. No authentication, no supervision, no deduplication, no bound of the queue."
    ),
    "autogen-direct": (
        "As behind the door, and without HTTP: caller and agent share an event loop, nothing is "
        "serialised. CPU is that of the one process, its callers included."
    ),
    "autogen-grpc": (
        "Nothing durable: the host passes messages on from memory; those of a host or worker that "
        "dies are lost, and callers without a time limit wait for ever. No authentication, no "
        "supervision, no deduplication. Its authors call it experimental."
    ),
    "autogen-grpc-direct": (
        "As behind the door, without HTTP: the caller is a gRPC runtime itself. CPU includes it."
    ),
    "langgraph": (
        "The development form: runs, threads and checkpoints are in memory, and written to a local "
        "file every 10 s; a crash loses what came since. A queue takes up runs; its authors' "
        "licensed form with PostgreSQL and Redis is durable, and was not measured. No "
        "authentication as configured here, no deduplication. The queue of this form looks for "
        "runs every half second when the last look found none, and that cannot be set: with few "
        "clients its rate and latency are that pause, and its CPU time says more."
    ),
    "serve": (
        "None: a replica behind HAProxy that answers. Ray restarts a replica that dies; a request "
        "that it had is lost. No authentication."
    ),
    "uvicorn": "None: one process that answers. It shows what HTTP itself costs.",
}

NOT_MEASURED = {
    "temporal": (
        "Its test server and its development server are binaries that the SDK downloads from "
        "outside of PyPI when it first runs. The one package on PyPI that brings the development "
        "server has it for macOS on ARM only. There is no internet where this runs."
    ),
}

NOTES = (
    (
        "One peer runs at a time, started anew for each round; but Cartrita by HTTP, by batch, "
        "and bare Serve share an instance."
    ),
    "The 20-ms task waits (asyncio.sleep, or time.sleep in a thread); it uses no CPU.",
    "Every task carries a number of its own, and an answer without it is an error.",
    (
        "Clients keep their connections and send the next request when they have their answer. "
        "Only Cartrita's requests carry a token, and are held to it."
    ),
    (
        "The load generator runs on the same cores, does the same for all, and its CPU is not "
        "counted; autogen-direct and autogen-grpc-direct are their own callers, and count."
    ),
)
