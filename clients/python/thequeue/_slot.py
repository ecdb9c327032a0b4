"""Names for processes that stay the same over restarts."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import stat
import tempfile
from pathlib import Path
from typing import IO


def take_slot(name: str) -> tuple[str, IO[str]]:
    """Return the first id of a name that no living process of this user, host and directory for temporary files has, and the file that
    keeps it.

    The file is locked until it is closed or the process ends, however it ends: whoever gets the id next knows that its predecessor is dead.
    """
    user = str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    place = Path(tempfile.gettempdir()) / f"thequeue-{re.sub('[^0-9A-Za-z]', '_', user)}"
    place.mkdir(mode=0o700, exist_ok=True)
    if not _private(place):
        raise RuntimeError(f"name: {place} must be a directory of this user that nobody else may enter (mode 0700): remove it, set TMPDIR, "
                           "or give the manager a worker_id")
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    for number in range(10_000):
        file = open(place / f"{digest}-{number}.lock", "a+", encoding="utf-8")
        if _locked(file):
            return f"{name}@{socket.gethostname()}#{number}", file
        file.close()
    raise RuntimeError(f"name: ten thousand processes of this host are called {name!r} already")


def _private(place: Path) -> bool:
    info = place.lstat()
    if not hasattr(os, "getuid"):
        return stat.S_ISDIR(info.st_mode)
    return stat.S_ISDIR(info.st_mode) and not info.st_mode & 0o077 and info.st_uid == os.getuid()


def _locked(file: IO[str]) -> bool:
    try:
        if os.name == "nt":
            import msvcrt
            getattr(msvcrt, "locking")(file.fileno(), getattr(msvcrt, "LK_NBLCK"), 1)
        else:
            import fcntl
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
