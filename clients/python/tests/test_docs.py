"""The programs in docs/clients-python.md do what is said there."""

from __future__ import annotations

import re
import unittest

from thequeue import Client

from .support import PACKAGE, Program, shared, until

PAGE = PACKAGE.parent.parent / "docs" / "clients-python.md"


class TestPage(unittest.TestCase):
    """Each program in a process of its own."""

    def test_programs(self) -> None:
        programs = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.S | re.M)
        self.assertEqual(len(programs), 7)
        said = []
        for source in programs:
            self.assertIn("http://127.0.0.1:8000", source)
            program = Program(self, source.replace("http://127.0.0.1:8000", shared().url))
            if "worker.run()" in source:
                self.feed(program)
            self.assertEqual(program.wait(), 0, source + "\n" + "\n".join(program.lines))
            said += program.lines
        for line in ("priority must lie between 1 and 1000, the lower runs first", "completed 0 cancelled", "['convert-42'] True",
            "completed"):
            self.assertIn(line, said)

    def feed(self, program: Program) -> None:
        """Have the worker do something of each kind."""
        with Client(shared().url) as c:
            done = [c.enqueue("resize", {"width": 5})["task_id"], c.enqueue("report", {"month": 3})["task_id"]]
            rejected = c.enqueue("report")["task_id"]
            later = c.enqueue("report", {"month": 13})["task_id"]
            until("the tasks are done", lambda: all(c.get(i)["status"] == "completed" for i in done))
            until("one is rejected", lambda: c.get(rejected)["error_message"] == "month is missing")
            until("one waits", lambda: c.get(later)["error_message"] == "the year is not over")
            self.assertEqual([c.get(i)["result"] for i in done], [{"parts": 4}, "written"])
            self.assertTrue(c.get(done[0])["progress_message"].startswith("part "))
            self.assertIn("resized", [line["message"] for line in c.logs(done[0])])
            c.cancel(later)
        program.process.terminate()
