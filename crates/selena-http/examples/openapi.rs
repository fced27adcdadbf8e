//! Prints the API's description: `cargo run -p selena-http --example openapi > crates/selena-http/openapi.json`.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    let document = serde_json::to_string_pretty(&selena_http::openapi())?;
    writeln!(io::stdout().lock(), "{document}")
}
