"""The Selena SDK for modules in Python: one file, nothing but the standard library (Python 3.11 or newer).

    import selena

    module = selena.Module.from_env()

    @module.on_event("device.*")
    def follow(event):
        print(event["type"], event["payload"])

    module.run()

`Module` answers GET /health and pages, verifies and de-duplicates events, subscribes by itself, and answers commands.
`Hub` calls the hub.  `verify` checks a webhook for programs that bring a server of their own, such as FastAPI.
"""

import collections
import contextlib
import hashlib
import hmac
import http.client
import http.server
import itertools
import json
import os
import pathlib
import queue
import re
import secrets
import select
import socketserver
import sys
import threading
import time
import traceback
import urllib.parse

__all__ = ["BadEnvironment", "CommandFailed", "Hub", "HubError", "Module", "Unreachable", "log", "matches", "verify"]

EVENTS_PATH, COMMANDS_PATH = "/webhook/events", "/webhook/commands"
MAX_WEBHOOK_BYTES, MAX_PAGE_BYTES = 2 << 20, 5 << 20
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
}


class BadEnvironment(Exception):
    """The environment is not one of a module.  It never repeats a value."""


class HubError(Exception):
    """The hub said no (protocol, section 5)."""

    def __init__(self, attempted, status, code="", detail="", retry_after=None, request_id=""):
        super().__init__(f"the hub refused {attempted}: {status} {code}: {detail} (request {request_id})")
        self.status, self.code, self.detail = status, code, detail
        self.retry_after, self.request_id = retry_after, request_id


class Unreachable(HubError):
    """There was no answer.  `sent` tells whether the hub may have done it all the same."""

    def __init__(self, attempted, reason, sent):
        Exception.__init__(self, f"no answer of the hub to {attempted}: {reason}")
        self.status, self.code, self.detail, self.retry_after, self.request_id = None, "", str(reason), None, ""
        self.sent = sent


class CommandFailed(Exception):
    """Raised by a command's function to answer with its text."""


def verify(headers, body, secret=None):
    """Whether the hub signed exactly `body`, the raw bytes: compared in constant time (protocol, section 6).

    `headers` is any mapping; `secret` is the text of SELENA_WEBHOOK_SECRET, by default the environment's.
    """
    secret = os.environ.get("SELENA_WEBHOOK_SECRET", "") if secret is None else secret
    found = [value for name, value in headers.items() if name.lower() == "x-selena-signature"]
    if not secret or len(found) != 1 or not found[0].isascii():
        return False
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, found[0])


def matches(pattern, event_type):
    """Whether a pattern asks for a type: an exact type, `prefix.*` (the dot counts) or `*`."""
    return pattern in ("*", event_type) or (pattern.endswith(".*") and event_type.startswith(pattern[:-1]))


class _Environment:
    """What the hub tells a module at its start (protocol, section 2; the second names are those of section 11)."""

    def __init__(self, variables):
        def required(*names):
            value = next((variables[name] for name in names if variables.get(name)), None)
            if value is None:
                raise BadEnvironment(f"{names[0]} is not set: the hub sets it for its modules")
            return value

        self.token = required("SELENA_MODULE_TOKEN", "MODULE_TOKEN")
        self.name = required("SELENA_MODULE_NAME")
        self.secret = variables.get("SELENA_WEBHOOK_SECRET", "")
        self.install_path = pathlib.Path(variables.get("SELENA_INSTALL_PATH") or ".")
        try:
            self.port = int(required("SELENA_MODULE_PORT"))
        except ValueError:
            raise BadEnvironment("SELENA_MODULE_PORT must be a port number") from None
        url = required("SELENA_CORE_URL", "SELENA_CORE_API")
        found = re.fullmatch(r"http://(localhost|127\.0\.0\.1|\[::1\]):(\d{1,5})((?:/[\w.-]+)*)/?", url, re.ASCII)
        if not found:
            raise BadEnvironment("SELENA_CORE_URL must be http://localhost:<port>/<path>")
        host, port, self.base_path = found.groups()
        self.authority = f"{host}:{port}"
        self.address = ("::1" if host == "[::1]" else "127.0.0.1", int(port))


class Hub:
    """The hub, as a module reaches it.  Safe to use from several threads.

    A call that the hub could not take (429, 503, no connection) is made again with growing pauses
    for up to `patience` seconds, unless it might then be done twice.
    """

    def __init__(self, environment, patience=30.0):
        self._environment, self.patience = environment, patience
        self._idle = []
        self._run, self._count = secrets.token_hex(8), itertools.count(1)
        self._lost = False
        self.name = environment.name
        self.came_back = threading.Event()

    @classmethod
    def from_env(cls, variables=None, **options):
        return cls(_Environment(os.environ if variables is None else variables), **options)

    def __repr__(self):
        return f"Hub({self._environment.authority}, module={self.name})"

    # Devices (protocol, section 5).

    def devices(self):
        return self.call("GET", "/devices")["devices"]

    def device(self, device_id):
        return self.call("GET", f"/devices/{_quoted(device_id)}")

    def register(self, name, type, protocol, capabilities=(), meta=None):
        """Always a new device; see `device_once`."""
        body = {"name": name, "type": type, "protocol": protocol, "capabilities": list(capabilities)}
        return self.call("POST", "/devices", {**body, "meta": meta or {}})

    def device_once(self, name, type, protocol, capabilities=(), meta=None):
        """This module's device of that name, with the state an earlier start left; registered if there is none."""
        for device in self.devices():
            # Beside a development hub every module's devices are the development token's.
            own = device["module_id"] in (self.name, "dev-module")
            if own and (device["name"], device["type"]) == (name, type):
                return device
        return self.register(name, type, protocol, capabilities, meta)

    def set_state(self, device_id, state):
        """Replaces the whole state."""
        return self.call("PATCH", f"/devices/{_quoted(device_id)}/state", {"state": state})

    def history(self, device_id, since=None, limit=1000):
        """States, newest first."""
        query = {"limit": limit} | ({} if since is None else {"since": since})
        return self.call("GET", f"/devices/{_quoted(device_id)}/history?{urllib.parse.urlencode(query)}")["history"]

    def delete_device(self, device_id):
        self.call("DELETE", f"/devices/{_quoted(device_id)}")

    # Events (protocol, section 6).

    def publish(self, event_type, payload=None):
        return self.call("POST", "/events/publish", {"event_type": event_type, "payload": payload or {}})

    def subscribe(self, patterns, path=EVENTS_PATH):
        """Subscribes a path of the module's own port; the same path replaces.  `Module` does it by itself."""
        body = {"event_types": list(patterns), "webhook_url": f"http://localhost:{self._environment.port}{path}"}
        return self.call("POST", "/events/subscribe", body, idempotent=True)

    def unsubscribe(self, subscription_id):
        self.call("DELETE", f"/events/subscriptions/{_quoted(subscription_id)}")

    def events(self, since_seq=0, limit=1000):
        """What happened after `since_seq`, and the number to go on from."""
        answer = self.call("GET", f"/events?since_seq={int(since_seq)}&limit={int(limit)}")
        return answer["events"], answer["next_since_seq"]

    # The module and the hub.

    def config(self):
        """The module's own settings; none if it is not installed, which is beside a development hub."""
        try:
            return self.call("GET", f"/modules/{_quoted(self.name)}/config")["config"]
        except HubError as error:
            if error.status == 404:
                return {}
            raise

    def health(self):
        return self.call("GET", "/health")

    def call(self, method, path, body=None, idempotent=None):
        """One call of the API: the answer's JSON, or None.  Raises HubError."""
        # PATCH replaces a device's state as a whole, so twice is once.
        idempotent = method != "POST" if idempotent is None else idempotent
        deadline, pause, repeated = time.monotonic() + self.patience, 0.1, False
        while True:
            try:
                return self._attempt(method, path, body)
            except HubError as error:
                if repeated and method == "DELETE" and error.status == 404:
                    return None  # The attempt before did it, though its answer was lost.
                not_done = error.status == 429 or (isinstance(error, Unreachable) and not error.sent)
                passing = error.status in (None, 429, 502, 503, 504)
                wait = max(pause, error.retry_after or 0)
                if not (not_done or (passing and idempotent)) or time.monotonic() + wait > deadline:
                    raise
            repeated = True
            time.sleep(wait)
            pause = min(2 * pause, 5)

    def _attempt(self, method, path, body):
        attempted, sent = f"{method} {path}", False
        headers = {
            "Host": self._environment.authority,
            "Authorization": f"Bearer {self._environment.token}",
            "X-Request-Id": f"{self._run}-{next(self._count)}",
        }
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        connection = self._connection()
        try:
            if connection.sock is None:
                connection.connect()
            sent = True
            connection.request(method, self._environment.base_path + path, data, headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self._lost = True
            raise Unreachable(attempted, type(error).__name__, sent) from None
        self._keep(connection)
        if self._lost:
            self._lost = False
            self.came_back.set()
        if answer.status < 300 and answer.status != 202:
            return json.loads(content) if content else None
        raise _refusal(attempted, answer, content)

    def _connection(self):
        """A kept connection or a new one.

        One that was idle for long may be closed by the hub at this moment, and one that has something to read is
        closed already: neither is used.
        """
        with contextlib.suppress(IndexError):
            while True:
                connection, used = self._idle.pop()
                if time.monotonic() - used < 4 and connection.sock and not select.select([connection.sock], [], [], 0)[0]:
                    return connection
                connection.close()
        return http.client.HTTPConnection(*self._environment.address, timeout=10)

    def close(self):
        """Closes what is kept open; the next call opens it again."""
        while self._idle:
            self._idle.pop()[0].close()

    def _keep(self, connection):
        if len(self._idle) < 4:
            self._idle.append((connection, time.monotonic()))
        else:
            connection.close()


def _quoted(text):
    return urllib.parse.quote(str(text), safe="")


def _refusal(attempted, answer, content):
    try:
        body = json.loads(content)
        code, detail = body.get("code", ""), body.get("detail", "")
    except (ValueError, AttributeError):
        code, detail = "", "no reason given"
    if isinstance(detail, list):
        detail = "; ".join(f"{'.'.join(map(str, each.get('loc', [])))}: {each.get('msg')}" for each in detail)
    after = answer.getheader("Retry-After", "")
    after = int(after) if after.isdecimal() else None
    return HubError(attempted, answer.status, code, detail, after, answer.getheader("X-Request-Id", ""))


class _Once:
    """Work that is done once however often it is asked for: the newest pieces of work by id."""

    def __init__(self, most):
        self._known, self._most, self._lock = collections.OrderedDict(), most, threading.Lock()

    def ask(self, key):
        """A piece of work, and whether it is to be done now."""
        with self._lock:
            if key in self._known:
                return self._known[key], False
            if len(self._known) >= self._most:
                self._known.popitem(last=False)
            work = self._known[key] = _Work()
            return work, True

    def forget(self, key):
        with self._lock:
            self._known.pop(key, None)


class _Work:
    def __init__(self):
        self._done, self._outcome = threading.Event(), None

    def finish(self, outcome):
        self._outcome = outcome
        self._done.set()

    def outcome(self):
        self._done.wait()
        return self._outcome


class Module:
    """A module: what it reacts to, and how it runs."""

    def __init__(self, environment, patience=30.0, resubscribe_every=60.0):
        self._environment = environment
        self.hub = Hub(environment, patience)
        self.resubscribe_every = resubscribe_every
        self._events, self._commands, self._health = [], {}, None
        self._pages, self._directory = {}, None
        self._seen, self._seen_commands, self._inbox = _Once(1024), _Once(16), queue.Queue(64)

    @classmethod
    def from_env(cls, variables=None, **options):
        """The module this process is.  Raises BadEnvironment, which names the variable that is missing or wrong."""
        return cls(_Environment(os.environ if variables is None else variables), **options)

    def __repr__(self):
        return f"Module({self.hub!r})"

    def on_event(self, pattern):
        """Decorator: the function gets each event of the pattern, in the hub's order, once.

        An event whose function raises is delivered again up to two times; after a restart one may come again.
        """

        def decorate(function):
            self._events.append((pattern, function))
            return function

        return decorate

    def on_command(self, name):
        """Decorator: the function gets a command's `args`; what it returns is the command's result, as JSON."""

        def decorate(function):
            self._commands[name] = function
            return function

        return decorate

    def health(self, function):
        """Decorator: the module is well unless the function raises.  Without it always."""
        self._health = function
        return function

    def page(self, path, content, content_type=None):
        """Shows a page that is part of the program."""
        content = content.encode() if isinstance(content, str) else content
        self._pages[path] = (content_type or _content_type(path), content)

    def static_dir(self, directory):
        """Shows a directory of the package: `static_dir("ui")` shows `ui/widget.html` as `/widget.html`."""
        self._directory = (self._environment.install_path / directory).resolve(strict=True)

    def run(self, main=None, prepare=None):
        """Runs the module.  `prepare(hub)` comes before the first event can come, `main(hub)` after.

        If `main` returns, the module lives on for its events; an error of either is raised, and ends it.
        """
        if (self._events or self._commands) and not self._environment.secret:
            raise BadEnvironment("SELENA_WEBHOOK_SECRET is not set: without it no event can be believed")
        server = _Server(("127.0.0.1", self._environment.port), self)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        threading.Thread(target=self._work, daemon=True).start()
        try:
            if prepare:
                prepare(self.hub)
            self._subscribe()
            failed = queue.SimpleQueue()
            threading.Thread(target=self._keep_subscribed, args=(failed,), daemon=True).start()
            if main:
                threading.Thread(target=_until_error, args=(main, self.hub, failed), daemon=True).start()
            raise failed.get()
        finally:
            server.shutdown()
            server.server_close()

    def _subscribe(self):
        patterns = sorted({pattern for pattern, _ in self._events})
        while patterns:
            try:
                return self.hub.subscribe(patterns)
            except HubError as error:
                if error.status not in (None, 429, 502, 503, 504):
                    raise
                log(f"not subscribed yet: {error}")
                time.sleep(1)

    def _keep_subscribed(self, failed):
        try:
            while True:
                self.hub.came_back.wait(self.resubscribe_every)
                self.hub.came_back.clear()
                self._subscribe()
        except BaseException as error:  # it is raised again by `run`
            failed.put(error)

    # What the server asks.

    def _work(self):
        """Handles events one after the other, also those whose delivery the hub has given up in the meantime."""
        while True:
            event, work = self._inbox.get()
            handled = self._handle(event)
            if not handled:
                self._seen.forget(event["event_id"])
            work.finish(handled)

    def _handle(self, event):
        try:
            for pattern, function in self._events:
                if matches(pattern, event["type"]):
                    function(event)
        except Exception:  # whatever it is, the event was not handled
            log(f"{event['type']} {event['event_id']} was not handled: {traceback.format_exc()}")
            return False
        return True

    def _answer_event(self, body):
        event = json.loads(body)
        if not all(isinstance(event.get(field), str) for field in ("event_id", "type")):
            raise ValueError("no event")
        work, first = self._seen.ask(event["event_id"])
        if first:
            try:
                self._inbox.put_nowait((event, work))
            except queue.Full:
                self._seen.forget(event["event_id"])
                work.finish(False)
        return (200, {"status": "ok"}) if work.outcome() else (503, {"detail": "the event was not handled"})

    def _answer_command(self, body):
        body = json.loads(body)
        if not all(isinstance(body.get(field), str) for field in ("id", "command")):
            raise ValueError("no command")
        function = self._commands.get(body["command"])
        if function is None:
            return 404, {"detail": "this module does not know the command"}
        work, first = self._seen_commands.ask(body["id"])
        if first:
            try:
                work.finish((200, function(body.get("args"))))
            except CommandFailed as error:
                work.finish((500, {"detail": str(error)}))
            except Exception:  # whatever it is, the command failed
                log(f"command {body['command']} failed: {traceback.format_exc()}")
                work.finish((500, {"detail": "the command failed"}))
        return work.outcome()

    def _answer_health(self):
        try:
            if self._health:
                self._health()
        except Exception as error:  # whatever it is, the module is not well
            return 503, {"detail": str(error)}
        return 200, {"status": "ok"}

    def _find_page(self, path):
        if path in self._pages:
            return self._pages[path]
        plain = re.fullmatch(r"(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)+", path)
        if not self._directory or not plain:
            return None
        # A link may lead anywhere; the file it means must lie in the directory too.
        file = (self._directory / path[1:]).resolve()
        if not file.is_relative_to(self._directory) or not file.is_file() or file.stat().st_size > MAX_PAGE_BYTES:
            return None
        return _content_type(path), file.read_bytes()


def _until_error(main, hub, failed):
    try:
        main(hub)
    except BaseException as error:  # it is raised again by `run`
        failed.put(error)


def _content_type(path):
    return CONTENT_TYPES.get(pathlib.PurePosixPath(path).suffix, "application/octet-stream")


def log(line):
    """Writes one line to the module's log."""
    print(line, flush=True)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address, module):
        self.module = module
        super().__init__(address, _Handler)

    def handle_error(self, request, client_address):
        """A connection that breaks is the hub's to open again."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def server_bind(self):
        # The standard library's asks for the machine's full name, which a module has no resolver for.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version, server_version, sys_version = "HTTP/1.1", "selena", ""
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path == "/health":
            return self._json(*self.server.module._answer_health())
        page = self.server.module._find_page(path)
        if page is None:
            return self._json(404, {"detail": "there is no such page"})
        return self._send(200, *page)

    do_HEAD = do_GET

    def do_POST(self):
        module, path = self.server.module, self.path.partition("?")[0]
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_WEBHOOK_BYTES or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            return self._json(413, {"detail": "a body with a length of at most 2 MiB is needed"})
        body = self.rfile.read(int(length))
        answer = {EVENTS_PATH: module._answer_event, COMMANDS_PATH: module._answer_command}.get(path)
        if answer is None:
            return self._json(404, {"detail": "there is no such page"})
        # Nothing of the body is read before it is known who sent it.
        if not verify(self.headers, body, module._environment.secret):
            log(f"refused a webhook with a wrong signature on {path}")
            return self._json(401, {"detail": "wrong signature"})
        try:
            status, content = answer(body)
        except (ValueError, AttributeError, RecursionError):
            status, content = 400, {"detail": "this is not what the hub sends"}
        return self._json(status, content)

    def _json(self, status, content):
        self._send(status, "application/json", json.dumps(content).encode())

    def _send(self, status, content_type, content):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, *_arguments):
        """The hub asks for health all the time: nothing to write down."""
