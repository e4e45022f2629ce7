//! The JSON Schemas that other producers go by, as they stand in `docs/producing/`: made from the types that read and write.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::event::Event;
use crate::notification::Notification;

/// Each with the name of its file, of draft 2020-12.
#[must_use]
pub fn for_producers() -> [(&'static str, Value); 2] {
    [
        ("event.schema.json", schema_of::<Event>("urn:peal:event:1")),
        ("notification.schema.json", schema_of::<Notification>("urn:peal:notification:1")),
    ]
}

fn schema_of<T: JsonSchema>(id: &str) -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    schema.insert("$id".to_owned(), id.into());
    schema.to_value()
}
