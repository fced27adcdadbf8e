"""{{name}}: tells all when a device says that it is too warm."""

import selena

LIMIT_CELSIUS = 30.0

module = selena.Module.from_env()


@module.on_event("device.state_changed")
def follow(event):
    celsius = event["payload"]["new_state"].get("celsius")
    if celsius is not None and celsius > LIMIT_CELSIUS:
        warning = {"device_id": event["payload"]["device_id"], "celsius": celsius}
        module.hub.publish("{{name}}.too_warm", warning)


module.run()
