//! Manifests that are good, which fuzzing begins with too.

use serde_json::{Value, json};

/// What each kind of module must say at least.
pub(crate) fn minimal() -> Value {
    json!({"name": "lamp", "version": "1.0.0", "type": "DRIVER", "api_version": "1.0", "port": 8100, "permissions": []})
}

/// A manifest with every field.
pub(crate) fn full() -> Value {
    json!({
        "name": "weather-bridge", "version": "2.1.0-rc.1+build.5", "type": "INTEGRATION", "api_version": "1.0",
        "min_core_version": "1.4.0", "port": 8200,
        "permissions": ["device.read", "secrets.oauth", "network.egress", "device.read"],
        "runtime_mode": "scheduled", "schedule": "every:15m", "runtime": "python3", "entry_point": "src/run.py",
        "transport": "ipc", "ui_profile": "FULL",
        "ui": {"icon": "ui/icon.svg", "settings": "ui/settings.html", "widget": {"file": "ui/widget.html", "size": "2x1"}},
        "resources": {"memory_mb": 256, "cpu": 1, "pids": 50, "nofile": 512, "data_mb": 10},
        "events": {"subscribe": ["device.*", "*"], "publish": ["weather.changed"]},
        "network": {"egress": [
            {"host": "api.example.com", "port": 443, "protocol": "https"},
            {"host": "*.cdn.example.com", "port": 443, "protocol": "tls", "lan": false},
            {"host": "192.168.1.20", "port": 1883, "protocol": "mqtt", "lan": true},
        ]},
        "devices": ["/dev/serial/by-id/usb-FTDI_FT232R-if00-port0", "/dev/snd"],
        "oauth": {"example": {
            "device_authorization_url": "https://auth.example.com/device", "token_url": "https://auth.example.com:8443/token",
            "revocation_url": "https://auth.example.com/revoke?x=1", "client_id": "selena", "client_secret": "not secret",
            "scopes": ["read", "https://example.com/auth/x"],
            "api_hosts": ["api.example.com", "api2.example.com:8443", "api3.example.com:443"],
        }},
        "dependencies": {"clock": ">=1.0.0, <=2.0.0"}, "optional_dependencies": {"map": "~1.2.0", "sun": "=1.0.0"},
        "config_schema": {"type": "object"}, "provides": ["weather"], "requires": [{"capability": "place"}],
        "description": "Weather", "author": "Someone", "license": "Apache-2.0", "homepage": "https://example.com",
    })
}
