//! Push as a whole, on a real node, a real publisher and the embedded stores, with an endpoint that does what it is told: who is
//! away is told, whoever came back is not, and nothing is lost when the endpoint fails or the worker dies.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in what it is built of as well")]

mod browser;
mod endpoint;
mod latency;
mod scene;
mod signature;
mod web_push;
mod webhook;
