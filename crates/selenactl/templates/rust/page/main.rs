//! {{name}}: a widget and an icon for the hub's page.

use selena_sdk::{Module, RunError};

fn main() -> Result<(), RunError> {
    Module::from_env()?.static_dir("ui").run(async |_| Ok(()))
}
