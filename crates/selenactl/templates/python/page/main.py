"""{{name}}: a widget and an icon for the hub's page."""

import selena

module = selena.Module.from_env()
module.static_dir("ui")
module.run()
