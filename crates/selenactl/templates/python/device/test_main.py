"""The module as a plain process, beside a small hub."""

import unittest

from fake_hub import FakeHub


class Device(unittest.TestCase):
    def test_it_registers_a_sensor_and_reports_its_temperature(self):
        with FakeHub() as hub:
            self.assertEqual(hub.expect("POST", "/devices")["type"], "sensor")
            self.assertIn("celsius", hub.expect("PATCH", "/devices/7/state")["state"])
            self.assertEqual(hub.get("/health").status, 200)
