//! `{{ name }}` in a plan: what stands alone becomes the value itself, what stands among other text becomes text.

use serde_json::Value;

/// What a name stands for.
pub(super) type Variables<'v> = dyn Fn(&str) -> Value + 'v;

/// A value with everything in it replaced.
pub(super) fn value(template: &Value, variables: &Variables<'_>) -> Value {
    match template {
        Value::String(text) => match alone(text) {
            Some(name) => variables(name),
            None => Value::String(self::text(text, variables)),
        },
        Value::Array(items) => items.iter().map(|item| value(item, variables)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, field)| (name.clone(), value(field, variables))).collect::<Value>()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => template.clone(),
    }
}

/// Text with everything in it replaced.
pub(super) fn text(template: &str, variables: &Variables<'_>) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, name, after)) = first(rest) {
        out.push_str(before);
        match variables(name) {
            Value::String(text) => out.push_str(&text),
            other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                out.push_str(&other.to_string());
            }
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// All names in a template.
pub(super) fn names(template: &Value) -> Vec<String> {
    match template {
        Value::String(text) => {
            let mut names = Vec::new();
            let mut rest = text.as_str();
            while let Some((_, name, after)) = first(rest) {
                names.push(name.to_owned());
                rest = after;
            }
            names
        }
        Value::Array(items) => items.iter().flat_map(names).collect(),
        Value::Object(fields) => fields.values().flat_map(names).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

fn alone(text: &str) -> Option<&str> {
    first(text).filter(|(before, _, after)| before.is_empty() && after.is_empty()).map(|(_, name, _)| name)
}

fn first(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("{{")?;
    let (name, after) = rest.split_once("}}")?;
    Some((before, name.trim(), after))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_stands_alone_keeps_its_type() {
        let variables = |name: &str| if name == "user" { json!(42) } else { json!(null) };
        let template = json!({ "user": "{{ user }}", "text": "user {{user}}!", "list": ["{{ user }}", true], "n": 1 });
        let expected = json!({ "user": 42, "text": "user 42!", "list": [42, true], "n": 1 });
        assert_eq!(value(&template, &variables), expected);
        assert_eq!(names(&template), ["user"; 3]);
        assert_eq!(text("/v1/{{ user }}/{{ user }}/{{", &variables), "/v1/42/42/{{");
    }
}
