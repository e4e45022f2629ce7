//! What is pushed to: an HTTP server that keeps what it was sent, and answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// What an endpoint does with a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    Answer(u16),
    /// An answer that asks to come back after so many seconds.
    Later(u16, u64),
    Hang,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        let name: HeaderName = name.parse().unwrap();
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn id(&self) -> &str {
        self.header("webhook-id")
    }
}

struct Shared {
    received: Vec<Received>,
    /// What is done with the next ones; then `otherwise`.
    acts: VecDeque<Act>,
    otherwise: Act,
}

/// The server.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    shared: Arc<Mutex<Shared>>,
    arrived: Arc<Notify>,
}

impl Endpoint {
    pub(crate) async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (acts, otherwise) = (acts.into_iter().collect(), Act::Answer(204));
        let shared = Arc::new(Mutex::new(Shared { received: Vec::new(), acts, otherwise }));
        let endpoint = Self { url, shared, arrived: Arc::default() };
        let router = Router::new().fallback(receive).with_state(endpoint.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        endpoint
    }

    /// Does so from now on, with whatever comes.
    pub(crate) fn otherwise(&self, act: Act) {
        self.shared().otherwise = act;
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared().received.clone()
    }

    /// The ids of what came, in the order in which it came.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.received().iter().map(|received| received.id().to_owned()).collect()
    }

    /// Waits until that is so of what was received.
    pub(crate) async fn until(&self, what: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let until = async {
            loop {
                let arrived = self.arrived.notified();
                let received = self.received();
                if what(&received) {
                    return received;
                }
                arrived.await;
            }
        };
        match tokio::time::timeout(PATIENCE, until).await {
            Ok(received) => received,
            Err(_) => panic!("it does not come: {:?}", self.ids()),
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    fn take(&self, received: Received) -> Act {
        let mut shared = self.shared();
        shared.received.push(received);
        shared.acts.pop_front().unwrap_or(shared.otherwise)
    }
}

async fn receive(State(endpoint): State<Endpoint>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let act = endpoint.take(Received { path: uri.path().to_owned(), headers, body });
    endpoint.arrived.notify_waiters();
    match act {
        Act::Answer(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Act::Later(status, seconds) => {
            (StatusCode::from_u16(status).unwrap(), [(RETRY_AFTER, seconds.to_string())]).into_response()
        }
        Act::Hang => std::future::pending().await,
    }
}
