"""The Python SDK beside a hub in memory: `FAKE_HUB=… PYTHONPATH=image/python-base python3 -m unittest`."""

import contextlib
import hashlib
import hmac
import io
import json
import pathlib
import queue
import tempfile
import threading
import unittest

import selena
from fake_hub import FakeHub

MANIFEST = {
    "name": "probe",
    "version": "1.0.0",
    "type": "DRIVER",
    "api_version": "1.0",
    "port": 8100,
    "permissions": ["device.read", "device.write", "events.subscribe", "events.publish"],
    "events": {"subscribe": ["device.*", "test.*"], "publish": ["probe.*"]},
}


class WithHub(unittest.TestCase):
    def setUp(self):
        self.package = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (self.package / "manifest.json").write_text(json.dumps(MANIFEST))
        self.fake = self.enterContext(FakeHub(self.package))
        # What the module logs is no part of the test's output.
        self.log = self.enterContext(contextlib.redirect_stdout(io.StringIO()))

    def module(self, **options):
        return selena.Module.from_env(self.fake.env, **options)

    def run_module(self, module, **functions):
        """Runs a module in a thread; what ends it comes out of the queue."""
        ended = queue.SimpleQueue()

        def live():
            try:
                module.run(**functions)
            except BaseException as error:
                ended.put(error)

        threading.Thread(target=live, daemon=True).start()
        return ended

    def telling(self, module):
        """Tells the hub of every `test.*` event."""

        @module.on_event("test.*")
        def tell(event):
            module.hub.publish("probe.heard", event["payload"])

        return module


class Client(WithHub):
    def setUp(self):
        super().setUp()
        self.hub = selena.Hub.from_env(self.fake.env, patience=5)
        self.addCleanup(self.hub.close)

    def test_a_device_is_registered_once_and_lives(self):
        first = self.hub.device_once("Lamp", "sensor", "test", ["on"], {"room": "hall"})
        self.assertEqual(self.hub.device_once("Lamp", "sensor", "test")["device_id"], first["device_id"])
        device_id = first["device_id"]
        for step in range(3):
            self.hub.set_state(device_id, {"step": step})
        self.assertEqual(self.hub.device(device_id)["state"], {"step": 2})
        history = self.hub.history(device_id, limit=2)
        self.assertEqual([at["state"]["step"] for at in history], [2, 1])
        self.assertEqual(self.hub.history(device_id, since=history[0]["timestamp"]), [])
        self.hub.delete_device(device_id)
        self.assertEqual(self.hub.devices(), [])

    def test_refusals_are_typed(self):
        theirs = self.fake.register_device({"name": "Theirs", "type": "sensor", "protocol": "test"})["device_id"]
        for call, status, code in [
            (lambda: self.hub.set_state(theirs, {}), 403, "not_your_device"),
            (lambda: self.hub.publish("other.type"), 403, "event_not_declared"),
            (lambda: self.hub.subscribe(["core.*"]), 403, "event_reserved"),
            (lambda: self.hub.register("", "virtual", "x"), 422, "validation_error"),
            (lambda: self.hub.device("../devices"), 404, "not_found"),
        ]:
            with self.assertRaises(selena.HubError) as refused:
                call()
            self.assertEqual((refused.exception.status, refused.exception.code), (status, code))
            self.assertTrue(refused.exception.request_id)

    def test_settings_events_and_subscriptions(self):
        self.fake.set_config("step", 5)
        self.assertEqual(self.hub.config(), {"step": 5})
        self.fake.publish("test.before", {})
        events, following = self.hub.events()
        self.assertIn("test.before", [event["type"] for event in events])
        self.assertEqual(self.hub.events(following)[0], [])
        subscription = self.hub.subscribe(["test.*"])["subscription_id"]
        self.hub.unsubscribe(subscription)
        with self.assertRaises(selena.HubError) as gone:
            self.hub.unsubscribe(subscription)
        self.assertEqual(gone.exception.status, 404)
        self.assertEqual(self.hub.health()["mode"], "normal")

    def test_a_busy_hub_is_asked_again_but_nothing_is_done_twice(self):
        self.fake.refuse_next(503, 2)
        self.assertEqual(self.hub.devices(), [])
        self.fake.refuse_next(503, 1)
        with self.assertRaises(selena.HubError) as refused:
            self.hub.register("Lamp", "actuator", "test")
        self.assertEqual(refused.exception.status, 503)
        self.fake.refuse_next(429, 1)
        self.hub.register("Lamp", "actuator", "test")
        asked = [request[2] for request in self.fake.requests() if request[0] == "POST"]
        self.assertEqual(asked, [503, 429, 201])

    def test_a_hub_that_stays_away_is_given_up_in_time(self):
        self.fake.go_away()
        with self.assertRaises(selena.Unreachable):
            selena.Hub.from_env(self.fake.env, patience=0.2).devices()

    def test_no_text_shows_a_secret(self):
        with self.assertRaises(selena.HubError) as refused:
            self.hub.publish("other.type")
        shown = f"{self.hub!r} {self.module()!r} {refused.exception!r} {refused.exception}"
        for name in ("SELENA_MODULE_TOKEN", "SELENA_WEBHOOK_SECRET"):
            self.assertNotIn(self.fake.env[name], shown)


class Events(WithHub):
    def test_events_come_in_order_and_once(self):
        self.run_module(self.telling(self.module()))
        self.fake.expect_subscription()
        first = self.fake.publish("test.a", {"n": 0})
        for n in range(1, 10):
            self.fake.publish("test.b", {"n": n})
        for n in range(10):
            self.assertEqual(self.fake.expect_event("probe.heard")["payload"], {"n": n})
        self.assertEqual(self.fake.deliver_again(first), 200)
        self.fake.publish("test.c", {"n": 10})
        self.assertEqual(self.fake.expect_event("probe.heard")["payload"], {"n": 10})

    def test_what_the_hub_did_not_sign_is_refused(self):
        self.run_module(self.telling(self.module()))
        self.fake.expect_subscription()
        self.assertEqual(self.fake.bad_signature_event("test.a", {"n": 666}), 401)
        self.fake.publish("test.b", {"n": 1})
        self.assertEqual(self.fake.expect_event("probe.heard")["payload"], {"n": 1})

    def test_an_event_that_failed_is_delivered_again(self):
        module, tries = self.module(), []

        @module.on_event("test.*")
        def fail_first(event):
            tries.append(event)
            if len(tries) == 1:
                raise RuntimeError("not yet")
            module.hub.publish("probe.heard", {"tries": len(tries)})

        self.run_module(module)
        self.fake.expect_subscription()
        self.fake.publish("test.a", {})
        self.assertEqual(self.fake.expect_event("probe.heard")["payload"], {"tries": 2})
        self.assertIn("not yet", self.log.getvalue())

    def test_commands_are_answered_and_done_once(self):
        module, count = self.module(), []

        @module.on_command("count")
        def add(args):
            count.append(args)
            return {"count": len(count), "args": args}

        @module.on_command("fail")
        def fail(_args):
            raise selena.CommandFailed("it broke")

        self.run_module(module)
        self.fake.expect_healthy()
        for _ in range(2):
            answer = self.fake.command("count", {"x": 1}, "8f0f6c5e-7f3e-4a7c-9d53-2c3f5f0f4a11")
            self.assertEqual(json.loads(answer["body"]), {"count": 1, "args": {"x": 1}})
        self.assertEqual(self.fake.command("fail"), {"status": 500, "body": '{"detail": "it broke"}'})
        self.assertEqual(self.fake.command("unknown")["status"], 404)

    def test_a_hub_that_restarted_is_subscribed_to_again(self):
        self.run_module(self.telling(self.module(resubscribe_every=0.05)))
        self.fake.expect_subscription()
        self.fake.go_away()
        self.fake.come_back()
        self.fake.expect_subscription()
        self.fake.publish("test.a", {"after": "the restart"})
        self.assertEqual(self.fake.expect_event("probe.heard")["payload"], {"after": "the restart"})

    def test_a_forbidden_subscription_ends_the_module(self):
        module = self.module()
        module.on_event("other.*")(print)
        error = self.run_module(module).get(timeout=10)
        self.assertEqual((error.status, error.code), (403, "event_not_declared"))

    def test_an_error_of_main_ends_the_module(self):
        def main(_hub):
            raise RuntimeError("no bus")

        self.assertEqual(str(self.run_module(self.module(), main=main).get(timeout=10)), "no bus")


class Pages(WithHub):
    def test_pages_come_from_the_package_and_the_program(self):
        ui = self.package / "ui"
        ui.mkdir()
        (ui / "widget.html").write_text("<p>21</p>")
        (ui / ".hidden").write_text("no")
        (ui / "link.json").symlink_to(self.package / "manifest.json")
        module = self.module()
        module.static_dir("ui")
        module.page("/icon.svg", "<svg/>")
        self.run_module(module)
        self.fake.expect_healthy()
        for path, status in [
            ("/widget.html", 200),
            ("/widget.html?ui_token=x", 200),
            ("/icon.svg", 200),
            ("/", 404),
            ("/.hidden", 404),
            ("/link.json", 404),
            ("/../manifest.json", 404),
            ("/x/../../manifest.json", 404),
            ("/%2e%2e/manifest.json", 404),
            ("//etc/passwd", 404),
        ]:
            self.assertEqual(self.fake.get(path)["status"], status, path)
        self.assertEqual(self.fake.get("/widget.html")["body"], "<p>21</p>")

    def test_health_is_what_the_module_says(self):
        module, well = self.module(), threading.Event()

        @module.health
        def check():
            if not well.is_set():
                raise RuntimeError("the bus is silent")

        @module.on_command("recover")
        def recover(_args):
            well.set()

        self.run_module(module, main=selena.Hub.health)
        # The module listens before it calls: whoever sees a call can ask it.
        self.fake.expect_request("GET", "/health", 200)
        self.assertEqual(self.fake.get("/health"), {"status": 503, "body": '{"detail": "the bus is silent"}'})
        self.fake.command("recover")
        self.fake.expect_healthy()


class Alone(unittest.TestCase):
    def test_signatures(self):
        # Test case 2 of RFC 4231.
        body = b"what do ya want for nothing?"
        good = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        self.assertEqual(good, "sha256=" + hmac.new(b"Jefe", body, hashlib.sha256).hexdigest())
        self.assertTrue(selena.verify({"X-Selena-Signature": good}, body, "Jefe"))
        self.assertTrue(selena.verify({"x-selena-signature": good}, body, "Jefe"))
        for headers, other_body, secret in [
            ({}, body, "Jefe"),
            ({"X-Selena-Signature": good}, body + b"!", "Jefe"),
            ({"X-Selena-Signature": good}, body, "jefe"),
            ({"X-Selena-Signature": good}, body, ""),
            ({"X-Selena-Signature": good[7:]}, body, "Jefe"),
            ({"X-Selena-Signature": good + "é"}, body, "Jefe"),
            ({"X-Selena-Signature": good, "x-selena-signature": good}, body, "Jefe"),
        ]:
            self.assertFalse(selena.verify(headers, other_body, secret), headers)

    def test_the_environment_is_checked_and_never_repeated(self):
        good = {
            "SELENA_MODULE_TOKEN": "canary",
            "SELENA_CORE_URL": "http://localhost:7070/api/v1",
            "SELENA_MODULE_NAME": "lamp",
            "SELENA_MODULE_PORT": "8102",
        }
        selena.Module.from_env(good)
        for name, value in [
            ("SELENA_MODULE_TOKEN", ""),
            ("SELENA_CORE_URL", "http://canary.example:7070/api/v1"),
            ("SELENA_CORE_URL", "https://localhost:7070/api/v1"),
            ("SELENA_CORE_URL", "http://localhost:7070@canary.example:80/"),
            ("SELENA_MODULE_NAME", ""),
            ("SELENA_MODULE_PORT", "canary"),
        ]:
            with self.assertRaises(selena.BadEnvironment) as bad:
                selena.Module.from_env({**good, name: value})
            self.assertIn(name, str(bad.exception))
            self.assertNotIn("canary", str(bad.exception))
        module = selena.Module.from_env(good)
        module.on_event("*")(print)
        with self.assertRaises(selena.BadEnvironment):
            module.run()

    def test_patterns(self):
        for pattern, event_type, matches in [
            ("*", "a.b", True),
            ("a.b", "a.b", True),
            ("a.*", "a.b", True),
            ("a.*", "ab.c", False),
            ("a.b", "a.bc", False),
        ]:
            self.assertEqual(selena.matches(pattern, event_type), matches)
