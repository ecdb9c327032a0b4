"""A worker for the runs that were brought over: python worker.py SERVER. It ends with SIGTERM."""

import sys

from thequeue import Worker

worker = Worker(sys.argv[1], concurrency=4)


@worker.task("convert")
async def convert(job):
    return {"pages": job.payload.get("pages")}


worker.run()
