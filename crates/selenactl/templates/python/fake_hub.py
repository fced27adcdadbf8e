"""A small hub for tests: it starts the module beside it, takes what the module sends, and sends it events."""

import collections
import hashlib
import hmac
import http.client
import http.server
import json
import os
import pathlib
import queue
import socket
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SECRET, WAIT_SECS = "test-secret", 10
ANSWERS = {
    ("GET", "/devices"): {"devices": []},
    ("POST", "/devices"): {"device_id": "7"},
    ("POST", "/events/publish"): {"published": True},
}
Answer = collections.namedtuple("Answer", "status body")


class FakeHub:
    def __enter__(self):
        self._seen = queue.Queue()
        self._server = _Server(("127.0.0.1", 0), _handler(self._seen))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        environment = {
            "SELENA_MODULE_TOKEN": "test-token",
            "SELENA_WEBHOOK_SECRET": SECRET,
            "SELENA_CORE_URL": f"http://127.0.0.1:{self._server.server_port}/api/v1",
            "SELENA_MODULE_NAME": "{{name}}",
            "SELENA_MODULE_PORT": str(self._port),
            "SELENA_INSTALL_PATH": str(ROOT),
            "PYTHONPATH": str(ROOT / ".sdk"),
        }
        self._module = subprocess.Popen([sys.executable, "-B", ROOT / "main.py"], env={**os.environ, **environment})
        return self

    def __exit__(self, *_exception):
        self._module.kill()
        self._module.wait()
        self._server.shutdown()
        self._server.server_close()

    def expect(self, method, path):
        """Waits until the module sends this, and gives the JSON it sent."""
        deadline = time.monotonic() + WAIT_SECS
        while True:
            try:
                seen = self._seen.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"the module never sent {method} {path}") from None
            if seen[:2] == (method, path):
                return seen[2]

    def get(self, path):
        """Asks the module for a page."""
        return self._ask("GET", path, None, {})

    def send_event(self, event_type, payload, secret=SECRET):
        """Sends the module an event, signed as the hub does."""
        event_id = os.urandom(8).hex()
        event = {"id": event_id, "event_id": event_id, "seq": 1, "type": event_type, "source": "test"}
        body = json.dumps({**event, "timestamp": "2026-01-31T12:00:00Z", "payload": payload}).encode()
        signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        return self._ask("POST", "/webhook/events", body, {"X-Selena-Signature": signature})

    def _ask(self, method, path, body, headers):
        deadline = time.monotonic() + WAIT_SECS
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=WAIT_SECS)
            try:
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                return Answer(answer.status, answer.read())
            except ConnectionError:
                # It has only just been started.
                if self._module.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            finally:
                connection.close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A module that is killed at a test's end leaves its connections broken."""


def _handler(seen):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            request = (self.command, self.path.removeprefix("/api/v1"))
            content = json.dumps(ANSWERS.get(request, {})).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            seen.put((*request, body))

        do_GET = do_POST = do_PATCH = do_DELETE = answer

        def log_message(self, *_arguments):
            pass

    return Handler
