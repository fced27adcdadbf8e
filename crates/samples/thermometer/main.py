"""Sample module: a thermometer whose temperature goes slowly up and down.

It holds one `sensor` device and sets its state every 2 seconds.
It defines `app` and starts nothing, so the hub's launcher serves it on the module's port.
"""

import asyncio
import contextlib
import math
import os
import signal
import time

import httpx
from fastapi import FastAPI

MODULE_NAME = os.environ.get("SELENA_MODULE_NAME", "thermometer")
DEVICE = {"name": "Sample thermometer", "type": "sensor", "protocol": "sample", "capabilities": ["temperature"]}
REPORT_SECS = 2
WAVE_SECS = 60
FIRST_RETRY_SECS, LAST_RETRY_SECS = 0.5, 10


def temperature_celsius(at_secs):
    """A wave between 18 and 24 °C."""
    return round(21 + 3 * math.sin(2 * math.pi * at_secs / WAVE_SECS), 2)


async def call(core, method, path, **arguments):
    """One call of the hub's API, again and again while the hub is away, busy or broken; else its answer."""
    retry_secs = FIRST_RETRY_SECS
    while True:
        try:
            answer = await core.request(method, path, **arguments)
            if answer.status_code < 500 and answer.status_code != 429:
                return answer
            trouble = f"status {answer.status_code}"
        except httpx.TransportError as error:
            trouble = type(error).__name__
        print(f"{method} {path}: {trouble}, again in {retry_secs} s")
        await asyncio.sleep(retry_secs)
        retry_secs = min(2 * retry_secs, LAST_RETRY_SECS)


async def own_device(core):
    """The id of this module's device: the one of an earlier start, or a new one."""
    known = (await call(core, "GET", "/devices")).raise_for_status().json()["devices"]
    for device in known:
        if device["module_id"] == MODULE_NAME and device["name"] == DEVICE["name"]:
            print(f"using device {device['device_id']}")
            return device["device_id"]
    device = (await call(core, "POST", "/devices", json=DEVICE)).raise_for_status().json()
    print(f"registered device {device['device_id']}")
    return device["device_id"]


async def report(core):
    device_id = await own_device(core)
    while True:
        state = {"temperature": temperature_celsius(time.time())}
        answer = await call(core, "PATCH", f"/devices/{device_id}/state", json={"state": state})
        if answer.status_code == 404:
            print("the device was removed")
            device_id = await own_device(core)
        else:
            answer.raise_for_status()
            await asyncio.sleep(REPORT_SECS)


async def report_or_end():
    """Reports for ever. A refusal cannot be mended from here: the module ends, and the hub starts it anew."""
    headers = {"Authorization": f"Bearer {os.environ['SELENA_MODULE_TOKEN']}"}
    try:
        async with httpx.AsyncClient(base_url=os.environ["SELENA_CORE_URL"], headers=headers, trust_env=False) as core:
            await report(core)
    except Exception as error:
        print(f"giving up: {error}")
        signal.raise_signal(signal.SIGTERM)


@contextlib.asynccontextmanager
async def lifespan(_app):
    reporting = asyncio.create_task(report_or_end())
    yield
    reporting.cancel()


app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)


@app.get("/health")
async def health():
    return {"status": "ok"}
