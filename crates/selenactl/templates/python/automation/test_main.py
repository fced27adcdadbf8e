"""The module as a plain process, beside a small hub."""

import unittest

from fake_hub import FakeHub


def state_changed(celsius):
    return {"device_id": "7", "old_state": {}, "new_state": {"celsius": celsius}, "changed_by": "test"}


class Automation(unittest.TestCase):
    def test_it_warns_of_what_is_too_warm_and_of_nothing_else(self):
        with FakeHub() as hub:
            hub.expect("POST", "/events/subscribe")
            for celsius in (21, 31):
                self.assertEqual(hub.send_event("device.state_changed", state_changed(celsius)).status, 200)
            warning = hub.expect("POST", "/events/publish")
            self.assertEqual(warning["event_type"], "{{name}}.too_warm")
            self.assertEqual(warning["payload"]["celsius"], 31)

    def test_it_believes_nobody_but_the_hub(self):
        with FakeHub() as hub:
            hub.expect("POST", "/events/subscribe")
            self.assertEqual(hub.send_event("device.state_changed", state_changed(31), secret="other").status, 401)
