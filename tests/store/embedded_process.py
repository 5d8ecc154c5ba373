"""A process that shares the embedded server of a data folder until its input ends. usage: embedded_process.py FOLDER"""

from __future__ import annotations

import json
import os
import sys

from gleichtakt.store.embedded import Embedded

with Embedded.start(sys.argv[1]) as embedded:
    told = {"url": embedded.url, "keeper": embedded.is_keeper, "server": embedded.server_pid, "pid": os.getpid()}
    print(json.dumps(told), flush=True)
    sys.stdin.read()
