//! The JSON Schemas that a document refers to, by the names of their types.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// Schemas of types, as they are taken and as they are given: what is optional differs.
pub struct Schemas {
    taken: SchemaGenerator,
    given: SchemaGenerator,
}

impl Schemas {
    /// None yet; they will stand at this JSON pointer of the document.
    #[must_use]
    pub fn new(at: &'static str) -> Self {
        Self::of(SchemaSettings::draft2020_12(), at)
    }

    /// The same of draft 7, which AsyncAPI has.
    pub(crate) fn of_draft_7(at: &'static str) -> Self {
        Self::of(SchemaSettings::draft07(), at)
    }

    fn of(settings: SchemaSettings, at: &'static str) -> Self {
        let settings = settings.with(|settings| {
            settings.definitions_path = at.into();
            settings.meta_schema = None;
        });
        let settings = settings.with_transform(RecursiveTransform(plain));
        let (taken, given) = (settings.clone().for_deserialize(), settings.for_serialize());
        Self { taken: taken.into_generator(), given: given.into_generator() }
    }

    /// Of what is taken from others.
    pub fn taken<T: JsonSchema>(&mut self) -> Schema {
        self.taken.subschema_for::<T>()
    }

    /// Of what others are given.
    pub fn given<T: JsonSchema>(&mut self) -> Schema {
        self.given.subschema_for::<T>()
    }

    /// The fields of a type that is taken from others: name, schema, whether it has to be there.
    pub(super) fn fields<T: JsonSchema>(&mut self) -> Vec<(String, Value, bool)> {
        let schema = T::json_schema(&mut self.taken);
        let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        let properties = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        let field = |(name, schema): (String, Value)| {
            let is_required = required.iter().any(|required| required == name.as_str());
            (name, schema, is_required)
        };
        properties.into_iter().map(field).collect()
    }

    /// Gives each variant of an enum that is told apart by its `type` a schema of its own, named after it and `suffix`: the type's
    /// name, and what refers to it.
    pub(crate) fn define_variants<T: JsonSchema>(&mut self, suffix: &str) -> Vec<(String, Value)> {
        let schema = T::json_schema(&mut self.taken);
        let variants = schema.get("oneOf").and_then(Value::as_array).cloned().unwrap_or_default();
        let variant = |schema: Value| {
            let name = schema.pointer("/properties/type/const")?.as_str()?.to_owned();
            let (first, rest) = name.split_at_checked(1)?;
            let title = format!("{}{rest}{suffix}", first.to_uppercase());
            let reference = format!("#{}/{title}", self.taken.settings().definitions_path);
            self.taken.definitions_mut().insert(title, schema);
            Some((name, json!({ "$ref": reference })))
        };
        variants.into_iter().filter_map(variant).collect()
    }

    /// All that were asked for, and what they refer to. A name has one schema: a type whose schemas differ as it is taken and as
    /// it is given may be used in one way only.
    #[must_use]
    pub fn into_definitions(mut self) -> Map<String, Value> {
        let mut definitions = self.taken.take_definitions(true);
        for (name, given) in self.given.take_definitions(true) {
            let taken = definitions.insert(name.clone(), given.clone());
            debug_assert!(taken.is_none_or(|taken| taken == given), "{name} has two schemas");
        }
        definitions
    }
}

/// Doc comments link to what readers of the document don't have.
fn plain(schema: &mut Schema) {
    let description = schema.get("description").and_then(Value::as_str);
    if let Some(plain) = description.map(|text| text.replace("[`", "`").replace("`]", "`")) {
        schema.insert("description".to_owned(), plain.into());
    }
}
