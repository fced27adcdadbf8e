"""The module as a plain process, beside a small hub."""

import unittest

from fake_hub import FakeHub


class Page(unittest.TestCase):
    def test_it_shows_its_pages(self):
        with FakeHub() as hub:
            self.assertIn(b"{{name}}", hub.get("/widget.html").body)
            self.assertEqual(hub.get("/icon.svg").status, 200)
            self.assertEqual(hub.get("/../main.py").status, 404)
