"""How a measuring process is asked: a JSON object per line on standard input, one per line back on standard output.

A request names a method of the worker and its arguments; the answer holds the result.
"""

from __future__ import annotations

import json
import os
import sys


def serve(worker: object) -> None:
    """Answer requests until the input ends; whatever else is printed meanwhile goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        result = getattr(worker, request["method"])(**request["arguments"])
        answers.write(json.dumps(result) + "\n")
        answers.flush()
