"""A module in the manner of those written for earlier cores: the older environment names, the older form of
publishing, registered intents, no look at signatures, and checks of every status it knew then."""

import os

import httpx
import uvicorn
from fastapi import FastAPI, Request

CORE = os.environ["SELENA_CORE_API"]
PORT = int(os.environ["SELENA_MODULE_PORT"])
HEADERS = {"Authorization": f"Bearer {os.environ['MODULE_TOKEN']}"}
SEEN = {"events": [], "statuses": {}, "answers": {}}

app = FastAPI()


@app.get("/health")
async def health():
    return {"status": "ok"}


@app.post("/webhook/events")
async def webhook(request: Request):
    SEEN["events"].append(await request.json())
    return {"status": "ok"}


@app.get("/seen")
async def seen():
    return SEEN


@app.on_event("startup")
async def startup():
    async with httpx.AsyncClient(base_url=CORE, headers=HEADERS, timeout=5) as core:
        subscription = {"event_types": ["device.*"], "webhook_url": f"http://localhost:{PORT}/webhook/events"}
        await ask(core, "subscribe", "/events/subscribe", subscription)
        device = {"name": "Old switch", "type": "actuator", "protocol": "virtual", "capabilities": ["turn_on"], "meta": {}}
        registered = await ask(core, "register", "/devices", device)
        response = await core.patch(f"/devices/{registered['device_id']}/state", json={"state": {"on": True}})
        SEEN["statuses"]["state"] = response.status_code
        event = {"type": "old.hello", "source": "somebody-else", "payload": {"n": 1}}
        await ask(core, "publish", "/events/publish", event)
        intent = {"patterns": {"en": ["turn (on|off)"], "uk": ["увімкни"]}, "description": "switch", "endpoint": "/on"}
        await ask(core, "intents", "/intents/register", {"module": "older", "port": PORT, "intents": [intent]})


async def ask(core, what, path, body):
    response = await core.post(path, json=body)
    SEEN["statuses"][what] = response.status_code
    SEEN["answers"][what] = response.json()
    return response.json()


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=PORT, log_level="warning")
