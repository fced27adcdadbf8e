#!/usr/bin/python3
"""Starts the Python program of a module: /selena/python-run [FILE], FILE relative to the package.

The file runs as `python3 FILE` would run it.  If it then only has defined `app`, an ASGI application,
uvicorn serves that on the module's own port, as `uvicorn main:app` would.
"""

import os
import sys
import threading
import types


def run_as_main(path):
    """Runs `path` as `__main__`, and leaves it there: classes look their module up by name later on."""
    main = types.ModuleType("__main__")
    main.__file__ = path
    main.__builtins__ = __builtins__
    sys.modules["__main__"] = main
    sys.argv[:] = [path, *sys.argv[2:]]
    sys.path[0] = os.path.dirname(path)
    with open(path, "rb") as source:
        code = compile(source.read(), path, "exec")
    exec(code, main.__dict__)
    return main


def watch_binds():
    """A list that is empty as long as the program has bound no TCP or UDP socket.

    Python's own event loop reports binds to audit hooks; uvloop does not, so the base image is without it.
    """
    binds = []

    def hook(event, _arguments):
        if event == "socket.bind":
            binds.append(event)

    sys.addaudithook(hook)
    return binds


def left_threads_running():
    return any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread())


def serve(app):
    import uvicorn

    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["SELENA_MODULE_PORT"]),
        log_level="warning",
        access_log=False,
        # The hub keeps its connection to a module open; at uvicorn's 5 s it would often find it closed.
        timeout_keep_alive=75,
        # The hub's open connection must not hold up a stop.
        timeout_graceful_shutdown=5,
    )


def main():
    # Log lines must leave when they are written: a pipe is block-buffered otherwise.
    sys.stdout.reconfigure(line_buffering=True)
    package = os.environ.get("SELENA_INSTALL_PATH", "/app")
    path = os.path.join(package, sys.argv[1] if len(sys.argv) > 1 else "main.py")
    binds = watch_binds()
    program = run_as_main(path)
    app = getattr(program, "app", None)
    if callable(app) and not binds and not left_threads_running():
        serve(app)


main()
