"""A program with runs, as one for the older task manager is. It is given a registry file and, where runs are to be kept in the queue, the address of a server.

    python program.py REGISTRY.json [SERVER]

Runs of the registry that are queued are started; with --new N, so many new ones as well. It ends when all have ended, and says what has become of them.
"""

import argparse
import asyncio
import collections
import logging

from thequeue import Run, RunRegistry, create_task_manager


async def convert(run):
    await asyncio.sleep(0.01)
    return {"pages": run.parameters.get("pages")}


async def main():
    options = argparse.ArgumentParser()
    options.add_argument("registry")
    options.add_argument("server", nargs="?")
    options.add_argument("--new", type=int, default=0)
    given = options.parse_args()
    logging.basicConfig(level=logging.WARNING)

    registry = RunRegistry(given.registry)
    backend = "queue" if given.server else "in-memory"  # the only line that chooses
    manager = create_task_manager(registry, backend, given.server, handlers={"convert": convert}, name="migration")
    waiting = [run for run in registry.runs.values() if run.status.value == "queued"]
    for n in range(given.new):
        waiting.append(Run(run_id=f"new-{n}", module_id="convert", module_name="Convert", parameters={"pages": n}))
        registry.add_run(waiting[-1])
    for run in waiting:
        manager.start_task(run, convert(run))
    await manager.wait_all()
    await manager.close()
    counts = collections.Counter(run.status.value for run in registry.runs.values())
    print(" ".join(f"{status}={n}" for status, n in sorted(counts.items())))


asyncio.run(main())
