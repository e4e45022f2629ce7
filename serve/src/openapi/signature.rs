//! What the types of a handler say of it: what it takes, how its extractors refuse, and what it answers.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use peal_proto::ProblemKind;
use schemars::{JsonSchema, Schema};

use super::operation::{Operation, ParameterIn};
use super::schemas::Schemas;
use crate::body::{Json, Path, Query};
use crate::problem::Failure;

/// An argument of a handler.
pub trait Argument {
    /// Adds what it takes from the request, and how it refuses. Nothing unless it says so.
    fn describe(_operation: &mut Operation<'_>) {}
}

impl<T> Argument for State<T> {}

/// Which headers are looked at, the handler says itself.
impl Argument for HeaderMap {}

/// What of it is looked at, the handler says itself.
impl Argument for Request {}

impl<T: JsonSchema> Argument for Path<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.add_parameters::<T>(ParameterIn::Path);
        operation.add_problem(ProblemKind::InvalidRequest, "The path is not what this endpoint takes.");
    }
}

impl<T: JsonSchema> Argument for Query<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.add_parameters::<T>(ParameterIn::Query);
        operation.add_problem(ProblemKind::InvalidRequest, "The query is not what this endpoint takes.");
    }
}

impl<T: JsonSchema, const BYTES_MAX: usize> Argument for Json<T, BYTES_MAX> {
    fn describe(operation: &mut Operation<'_>) {
        operation.add_body::<T>(&format!("At most {BYTES_MAX} bytes."));
        operation.add_problem(ProblemKind::InvalidRequest, "The body is not what this endpoint takes.");
        operation.add_problem(ProblemKind::TooLarge, &format!("The body has more than {BYTES_MAX} bytes."));
        operation.add_problem(ProblemKind::UnsupportedMediaType, "The body does not say that it is JSON.");
    }
}

/// What a handler answers.
pub trait Answer {
    /// The schema of the JSON in it, if that is what it is.
    fn schema(_schemas: &mut Schemas) -> Option<Schema> {
        None
    }
}

impl Answer for Response {}

impl Answer for StatusCode {}

impl Answer for &'static str {}

impl Answer for String {}

/// Headers, and what it is.
impl<H, T: Answer> Answer for ([H; 1], T) {
    fn schema(schemas: &mut Schemas) -> Option<Schema> {
        T::schema(schemas)
    }
}

impl<T: JsonSchema> Answer for axum::Json<T> {
    fn schema(schemas: &mut Schemas) -> Option<Schema> {
        Some(schemas.given::<T>())
    }
}

impl<T: Answer> Answer for (StatusCode, T) {
    fn schema(schemas: &mut Schemas) -> Option<Schema> {
        T::schema(schemas)
    }
}

impl<T: Answer> Answer for Result<T, Failure> {
    fn schema(schemas: &mut Schemas) -> Option<Schema> {
        T::schema(schemas)
    }
}

/// A handler: the arguments and the answer of a function, with the marker `T` that axum gives handlers.
pub trait Signature<T> {
    /// What it answers.
    type Answer: Answer;

    /// Adds what its arguments say.
    fn describe(operation: &mut Operation<'_>);
}

impl<F, R, A> Signature<((),)> for F
where
    F: FnOnce() -> R,
    R: Future<Output = A>,
    A: Answer,
{
    type Answer = A;

    fn describe(_operation: &mut Operation<'_>) {}
}

// A macro instead of six copies: Rust has no functions of any number of arguments.
macro_rules! signature {
    ($($argument:ident),+) => {
        impl<F, R, A, M, $($argument),+> Signature<(M, $($argument,)+)> for F
        where
            F: FnOnce($($argument),+) -> R,
            R: Future<Output = A>,
            A: Answer,
            $($argument: Argument,)+
        {
            type Answer = A;

            fn describe(operation: &mut Operation<'_>) {
                $($argument::describe(operation);)+
            }
        }
    };
}

signature!(T1);
signature!(T1, T2);
signature!(T1, T2, T3);
signature!(T1, T2, T3, T4);
signature!(T1, T2, T3, T4, T5);
signature!(T1, T2, T3, T4, T5, T6);
