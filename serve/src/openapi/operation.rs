//! One operation of the document: a method of a path, what it takes and what it answers.

use std::collections::BTreeMap;

use peal_proto::{Problem, ProblemKind, problem};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::JSON;
use super::schemas::Schemas;
use super::signature::{Answer, Signature};

/// What is said of an operation.
pub struct Operation<'a> {
    schemas: &'a mut Schemas,
    id: String,
    summary: String,
    description: String,
    parameters: Vec<Value>,
    body: Option<Value>,
    /// The JSON that its handler answers.
    answer: Option<Schema>,
    responses: BTreeMap<u16, Response>,
}

/// What is said of an answer with one status.
#[derive(Default)]
struct Response {
    descriptions: Vec<String>,
    headers: Map<String, Value>,
    content: Map<String, Value>,
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ParameterIn {
    Path,
    Query,
}

impl<'a> Operation<'a> {
    pub(super) fn new(id: &str, schemas: &'a mut Schemas) -> Self {
        Self {
            schemas,
            id: id.to_owned(),
            summary: String::new(),
            description: String::new(),
            parameters: Vec::new(),
            body: None,
            answer: None,
            responses: BTreeMap::new(),
        }
    }

    pub(super) fn of<H: Signature<T>, T>(id: &str, schemas: &'a mut Schemas) -> Self {
        let answer = H::Answer::schema(schemas);
        let mut operation = Self { answer, ..Self::new(id, schemas) };
        H::describe(&mut operation);
        operation
    }

    /// What it does, in a line.
    #[must_use]
    pub fn summary(mut self, text: &str) -> Self {
        text.clone_into(&mut self.summary);
        self
    }

    /// What else there is to know (`CommonMark`).
    #[must_use]
    pub fn description(mut self, text: &str) -> Self {
        text.clone_into(&mut self.description);
        self
    }

    /// It answers with this status, and the JSON that its handler gives, if that gives any.
    #[must_use]
    pub fn answers(mut self, status: u16, when: &str) -> Self {
        let content = self.answer.clone().map(|schema| (JSON, schema.to_value()));
        self.add_response(status, when, content);
        self
    }

    /// It answers with this status and something else than its handler's JSON.
    #[must_use]
    pub fn answers_with(mut self, status: u16, media_type: &str, schema: Value, when: &str) -> Self {
        self.add_response(status, when, Some((media_type, schema)));
        self
    }

    /// It answers with this status and no body.
    #[must_use]
    pub fn answers_empty(mut self, status: u16, when: &str) -> Self {
        self.add_response(status, when, None);
        self
    }

    /// It answers with this problem.
    #[must_use]
    pub fn refuses(mut self, kind: ProblemKind, when: &str) -> Self {
        self.add_problem(kind, when);
        self
    }

    /// It asks a store that may be away, or damaged.
    #[must_use]
    pub fn asks_stores(self) -> Self {
        self.refuses(ProblemKind::Unavailable, "A store does not answer.")
            .refuses(ProblemKind::Internal, "A store is damaged; its reason is in the log of the process.")
    }

    /// The answers with this status have this header, which is text.
    #[must_use]
    pub fn gives_header(mut self, status: u16, name: &str, description: &str) -> Self {
        let header = json!({ "description": description, "required": true, "schema": { "type": "string" } });
        self.responses.entry(status).or_default().headers.insert(name.to_owned(), header);
        self
    }

    /// It looks at this header, which is text.
    #[must_use]
    pub fn takes_header(mut self, name: &str, description: &str) -> Self {
        let schema = json!({ "type": "string" });
        self.parameters.push(json!({ "name": name, "in": "header", "description": description, "schema": schema }));
        self
    }

    /// It looks at this query, which its handler reads itself.
    #[must_use]
    pub fn takes_query<T: JsonSchema>(mut self) -> Self {
        self.add_parameters::<T>(ParameterIn::Query);
        self
    }

    /// It takes a body that its handler reads itself: media types and what is of them.
    #[must_use]
    pub fn takes_body<const N: usize>(mut self, content: [(&str, Value); N], description: &str) -> Self {
        let content: Map<_, _> = content
            .into_iter()
            .map(|(media_type, schema)| (media_type.to_owned(), json!({ "schema": schema })))
            .collect();
        self.body = Some(json!({ "description": description, "required": true, "content": content }));
        self
    }

    /// The schema of something that it takes.
    pub fn taken<T: JsonSchema>(&mut self) -> Value {
        self.schemas.taken::<T>().to_value()
    }

    /// The schema of something that it gives.
    pub fn given<T: JsonSchema>(&mut self) -> Value {
        self.schemas.given::<T>().to_value()
    }

    /// A refusal of one of its arguments.
    pub fn add_problem(&mut self, kind: ProblemKind, when: &str) {
        let schema = self.schemas.given::<Problem>().to_value();
        self.add_response(kind.status(), when, Some((problem::CONTENT_TYPE, schema)));
        if matches!(kind, ProblemKind::TooManyRequests | ProblemKind::Unavailable) {
            let header = json!({
                "description": "Seconds until it is worth trying again (RFC 9110, 10.2.3).",
                "schema": { "type": "integer", "minimum": 1 },
            });
            let response = self.responses.entry(kind.status()).or_default();
            response.headers.insert("Retry-After".to_owned(), header);
        }
    }

    pub(super) fn add_parameters<T: JsonSchema>(&mut self, place: ParameterIn) {
        let place = match place {
            ParameterIn::Path => "path",
            ParameterIn::Query => "query",
        };
        for (name, mut schema, required) in self.schemas.fields::<T>() {
            let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            let mut parameter = json!({ "name": name, "in": place, "required": required, "schema": schema });
            if let Some(description) = description {
                parameter["description"] = description;
            }
            self.parameters.push(parameter);
        }
    }

    pub(super) fn add_body<T: JsonSchema>(&mut self, description: &str) {
        let schema = self.schemas.taken::<T>();
        let content = json!({ JSON: { "schema": schema } });
        self.body = Some(json!({ "description": description, "required": true, "content": content }));
    }

    fn add_response(&mut self, status: u16, when: &str, content: Option<(&str, Value)>) {
        let response = self.responses.entry(status).or_default();
        if !response.descriptions.iter().any(|said| said == when) {
            response.descriptions.push(when.to_owned());
        }
        if let Some((media_type, schema)) = content {
            response.content.insert(media_type.to_owned(), json!({ "schema": schema }));
        }
    }

    pub(super) fn into_value(self) -> Value {
        let Self { id, summary, description, parameters, body, responses, .. } = self;
        let responses: Map<_, _> =
            responses.into_iter().map(|(status, response)| (status.to_string(), response.into_value())).collect();
        let mut operation = json!({ "operationId": id, "summary": summary, "responses": responses });
        if !description.is_empty() {
            operation["description"] = description.into();
        }
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if let Some(body) = body {
            operation["requestBody"] = body;
        }
        operation
    }
}

impl Response {
    fn into_value(self) -> Value {
        let Self { descriptions, headers, content } = self;
        let mut response = json!({ "description": descriptions.join(" ") });
        if !headers.is_empty() {
            response["headers"] = headers.into();
        }
        if !content.is_empty() {
            response["content"] = content.into();
        }
        response
    }
}
