"""{{name}}: one sensor that reports its temperature again and again."""

import time

import selena

REPORT_SECS = 30

module = selena.Module.from_env()


def read_celsius():
    """Read your hardware here. This one makes up a temperature that goes up and down."""
    return round(20 + abs(30 - time.time() % 60) / 10, 1)


def report(hub):
    # The device of an earlier start, or a new one.
    device = hub.device_once("{{name}} sensor", "sensor", "demo", ["celsius"])
    selena.log(f"device {device['device_id']}")
    while True:
        hub.set_state(device["device_id"], {"celsius": read_celsius()})
        time.sleep(REPORT_SECS)


module.run(main=report)
