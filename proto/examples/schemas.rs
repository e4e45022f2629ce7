//! Writes the JSON Schemas of `docs/producing/` anew: `cargo run --package peal-proto --example schemas`.

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/producing");
    for (name, schema) in peal_proto::schema::for_producers() {
        std::fs::write(directory.join(name), format!("{}\n", serde_json::to_string_pretty(&schema)?))?;
    }
    Ok(())
}
