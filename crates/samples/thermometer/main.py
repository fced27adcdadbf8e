"""Sample module: a thermometer whose temperature goes slowly up and down.

It holds one `sensor` device and sets its state every 2 seconds.
It needs nothing but the Python base, which carries the SDK.
"""

import math
import time

import selena

REPORT_SECS = 2
WAVE_SECS = 60


def temperature_celsius(at_secs):
    """A wave between 18 and 24 °C."""
    return round(21 + 3 * math.sin(2 * math.pi * at_secs / WAVE_SECS), 2)


def own_device(hub):
    """The id of this module's device: the one of an earlier start, or a new one."""
    device = hub.device_once("Sample thermometer", "sensor", "sample", ["temperature"])
    selena.log(f"device {device['device_id']}")
    return device["device_id"]


def report(hub):
    device_id = own_device(hub)
    while True:
        try:
            hub.set_state(device_id, {"temperature": temperature_celsius(time.time())})
        except selena.HubError as error:
            if error.status != 404:
                raise
            selena.log("the device was removed")
            device_id = own_device(hub)
        else:
            time.sleep(REPORT_SECS)


if __name__ == "__main__":
    selena.Module.from_env().run(main=report)
