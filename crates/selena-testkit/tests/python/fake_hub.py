"""The testkit's hub for tests in Python: `FAKE_HUB` names the program, else it lies on the PATH."""

import json
import os
import subprocess


class FakeHub:
    """A hub in memory for the module whose package lies in a directory; each method is an order of the program."""

    def __init__(self, package):
        program = os.environ.get("FAKE_HUB", "fake-hub")
        self._process = subprocess.Popen(
            [program, str(package)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.env = dict(line.rstrip("\n").split("=", 1) for line in iter(self._process.stdout.readline, "\n"))

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def __getattr__(self, order):
        def give(*arguments):
            self._process.stdin.write(f"{order} {json.dumps(arguments)}\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
            if "error" in answer:
                raise AssertionError(answer["error"])
            return answer["ok"]

        return give
