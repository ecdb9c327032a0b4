"""A limit of time for a coroutine. asyncio.wait_for of Python before 3.12 can lose a cancellation that comes as the coroutine ends."""

from __future__ import annotations

import asyncio
import sys
from typing import Coroutine, TypeVar

_T = TypeVar("_T")

if sys.version_info >= (3, 11):
    async def within(seconds: float, doing: Coroutine[object, None, _T]) -> _T:
        """Return what a coroutine returns, or cancel it and raise asyncio.TimeoutError when the time is over."""
        async with asyncio.timeout(seconds):
            return await doing
else:
    async def within(seconds: float, doing: Coroutine[object, None, _T]) -> _T:
        """Return what a coroutine returns, or cancel it and raise asyncio.TimeoutError when the time is over."""
        task = asyncio.ensure_future(doing)
        try:
            await asyncio.wait({task}, timeout=seconds)
        finally:
            late = not task.done()
            if late:
                task.cancel()
                await asyncio.wait({task})
        if late and task.cancelled():
            raise asyncio.TimeoutError
        return task.result()
