//! The HTTP interface of a server and its document (OpenAPI 3.1), made in one step: a route can't be added without being
//! described, and what its handler takes and answers is read off the handler's own types.
//!
//! Owns the shape of the document. Which routes there are, and in which words, is each server's business.

mod operation;
mod schemas;
mod signature;

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::handler::Handler;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{MethodFilter, get, on};
use bytes::Bytes;
use serde_json::{Value, json};

pub use self::operation::Operation;
pub use self::schemas::Schemas;
pub use self::signature::{Answer, Argument, Signature};

const JSON: &str = "application/json";

/// Says what an operation does.
type Says = Box<dyn for<'a> FnOnce(&'a mut Schemas) -> Operation<'a> + Send>;

/// Routes, and what is said of them. The document is made when it is first asked for.
pub struct Api<S> {
    router: Router<S>,
    info: Value,
    operations: Vec<(&'static str, Verb, Says)>,
}

/// A method of HTTP that has routes here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Asks.
    Get,
    /// Adds, or has something done.
    Post,
    /// Sees to it that something is there.
    Put,
    /// Sees to it that something is not there.
    Delete,
}

impl Verb {
    const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Delete => "delete",
        }
    }

    const fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Put => MethodFilter::PUT,
            Self::Delete => MethodFilter::DELETE,
        }
    }
}

impl<S: Clone + Send + Sync + 'static> Api<S> {
    /// An interface without routes.
    #[must_use]
    pub fn new(title: &str, description: &str) -> Self {
        let license = json!({ "name": "Apache-2.0", "identifier": "Apache-2.0" });
        let version = env!("CARGO_PKG_VERSION");
        let info = json!({ "title": title, "version": version, "description": description, "license": license });
        Self { router: Router::new(), info, operations: Vec::new() }
    }

    /// Adds a route. `id` names the operation for those who generate clients; `says` adds what its types don't.
    #[must_use]
    pub fn on<H, T>(
        mut self,
        verb: Verb,
        path: &'static str,
        id: &'static str,
        handler: H,
        says: impl for<'a> FnOnce(Operation<'a>) -> Operation<'a> + Send + 'static,
    ) -> Self
    where
        H: Handler<T, S> + Signature<T>,
        T: 'static,
    {
        self.operations.push((path, verb, Box::new(move |schemas| says(Operation::of::<H, T>(id, schemas)))));
        self.router = self.router.route(path, on(verb.filter(), handler));
        self
    }

    /// Adds a document, which is JSON and stays as it is. It is made when it is first asked for.
    #[must_use]
    pub fn document(
        mut self,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        document: impl FnOnce() -> Value + Send + 'static,
    ) -> Self {
        self.operations.push((path, Verb::Get, describe_document(id, summary)));
        self.router = serve_document(self.router, path, document);
        self
    }

    /// Lays something around the routes that there are by now.
    #[must_use]
    pub fn layered(mut self, layers: impl FnOnce(Router<S>) -> Router<S>) -> Self {
        self.router = layers(self.router);
        self
    }

    /// The routes, with this interface's own document at `/openapi.json`.
    pub fn finish(mut self) -> Router<S> {
        const PATH: &str = "/openapi.json";
        self.operations.push((PATH, Verb::Get, describe_document("openapi", "This document (OpenAPI 3.1)")));
        let Self { router, info, operations } = self;
        serve_document(router, PATH, || written(info, operations))
    }
}

fn written(info: Value, operations: Vec<(&'static str, Verb, Says)>) -> Value {
    let mut schemas = Schemas::new("/components/schemas");
    let mut paths: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for (path, verb, says) in operations {
        paths.entry(path).or_default().insert(verb.name(), says(&mut schemas).into_value());
    }
    let components = json!({ "schemas": schemas.into_definitions() });
    json!({ "openapi": "3.1.0", "info": info, "paths": paths, "components": components })
}

fn describe_document(id: &'static str, summary: &'static str) -> Says {
    Box::new(move |schemas| {
        let operation = Operation::new(id, schemas).summary(summary);
        operation.answers_with(200, JSON, json!({ "type": "object" }), "The document.")
    })
}

/// Words for `GET /v1/locate`, which all servers answer alike.
#[must_use]
pub fn locate(operation: Operation<'_>) -> Operation<'_> {
    operation.summary("Which node owns a user").answers(200, "The owner, as of one epoch of the shard map.")
}

/// Words for `GET /healthz`.
#[must_use]
pub fn healthz(operation: Operation<'_>) -> Operation<'_> {
    let operation = operation.summary("Whether the process is alive");
    operation.answers_with(200, "text/plain", json!({ "type": "string" }), "It is.")
}

/// Words for `GET /metrics`.
#[must_use]
pub fn metrics(operation: Operation<'_>) -> Operation<'_> {
    let operation = operation.summary("The metrics, in Prometheus' text format");
    operation.answers_with(200, "text/plain", json!({ "type": "string" }), "All of them.")
}

fn serve_document<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    path: &str,
    document: impl FnOnce() -> Value + Send + 'static,
) -> Router<S> {
    let make: Box<dyn FnOnce() -> Bytes + Send> = Box::new(|| Bytes::from(document().to_string()));
    let bytes = Arc::new(LazyLock::new(make));
    router.route(path, get(move || ready(([(CONTENT_TYPE, JSON)], Bytes::clone(&bytes)))))
}
