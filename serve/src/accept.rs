//! The front door: takes connections in, bounded, and ends them in order.
//!
//! An accept loop over hyper instead of `axum::serve`, which has no time-out for request heads and copies every route for
//! each connection. What the requests mean is the router's business; sockets made of upgraded connections are counted
//! here until they close, but closing them is their owner's business.

mod seat;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::serve::{Listener, ListenerExt, TapIo};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::seat::Seated;
use crate::limits;
use crate::problem::Failure;

/// What connections may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections at a time, upgraded ones included.
    pub connections_max: usize,
    /// How long a request head may take, and how long a connection may idle between two requests.
    pub header_timeout: Duration,
    /// Bytes of a request head; at least 8,192.
    pub head_bytes_max: usize,
    /// How long requests under way may take once the server stops.
    pub finish_timeout: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections_max: limits::CONNECTIONS_MAX,
            header_timeout: limits::HEADER_TIMEOUT,
            head_bytes_max: limits::HEAD_BYTES_MAX,
            finish_timeout: limits::FINISH_TIMEOUT,
        }
    }
}

/// A TCP listener whose connections send small frames at once (`TCP_NODELAY`), and whose kernel takes little ahead of what it
/// can send (`TCP_NOTSENT_LOWAT`, tcp(7)): what a slow client has not read is counted here, and not hidden in the kernel.
pub type Tcp = TapIo<TcpListener, fn(&mut TcpStream)>;

/// Listens on a TCP address; port 0 takes any free one.
///
/// # Errors
/// When the address can't be bound.
pub async fn listen(address: SocketAddr) -> io::Result<Tcp> {
    Ok(TcpListener::bind(address).await?.tap_io(tune))
}

fn tune(stream: &mut TcpStream) {
    if let Err(error) = stream.set_nodelay(true).and_then(|()| hold_little(stream)) {
        tracing::debug!(%error, "a connection was gone before it was served");
    }
}

#[cfg(target_os = "linux")]
fn hold_little(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(limits::UNSENT_BYTES)
}

/// Elsewhere the kernel's own limit has to do.
#[cfg(not(target_os = "linux"))]
fn hold_little(_: &TcpStream) -> io::Result<()> {
    Ok(())
}

/// Serves `router` to whoever connects, until `stop`; then finishes the requests under way, within
/// [`ConnectionLimits::finish_timeout`]. Beyond the most connections the next are told to come back later. Requests carry the
/// address of who sent them as [`ConnectInfo`].
pub async fn serve<L>(mut listener: L, router: Router, limits: ConnectionLimits, stop: CancellationToken)
where
    L: Listener<Addr = SocketAddr>,
{
    let seats = Arc::new(Semaphore::new(limits.connections_max));
    let refusals = Arc::new(Semaphore::new(limits::REFUSALS_MAX));
    let mut refused = 0;
    let connections = TaskTracker::new();
    while let Some((io, peer)) = accept(&mut listener, &stop).await {
        if let Ok(permit) = Arc::clone(&seats).try_acquire_owned() {
            connections.spawn(connection(Seated::new(io, permit), peer, router.clone(), limits, stop.clone()));
        } else if let Some(permit) = acquire(&refusals, &stop).await {
            refused += 1;
            connections.spawn(refuse(io, peer, permit, refused, limits, stop.clone()));
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await; // bounded: every connection has its finish_timeout
}

async fn accept<L: Listener>(listener: &mut L, stop: &CancellationToken) -> Option<(L::Io, L::Addr)> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        accepted = listener.accept() => Some(accepted),
    }
}

async fn acquire(permits: &Arc<Semaphore>, stop: &CancellationToken) -> Option<OwnedSemaphorePermit> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        permit = Arc::clone(permits).acquire_owned() => permit.ok(),
    }
}

async fn connection<I>(io: I, peer: SocketAddr, router: Router, limits: ConnectionLimits, stop: CancellationToken)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = TowerToHyperService::new(router);
    let answer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.call(request)
    });
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.head_bytes_max)
        .serve_connection(TokioIo::new(io), answer)
        .with_upgrades();
    let mut http = pin!(http);
    let ended = tokio::select! {
        biased;
        ended = http.as_mut() => ended,
        () = stop.cancelled() => {
            http.as_mut().graceful_shutdown();
            tokio::time::timeout(limits.finish_timeout, http).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// Tells a connection beyond the limit to come back, and closes it.
async fn refuse<I>(
    io: I,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
    number: u64,
    limits: ConnectionLimits,
    stop: CancellationToken,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    metrics::counter!("peal_connections_refused_total").increment(1);
    let retry_after = Duration::from_secs(1 + number % limits::REFUSAL_SPREAD_SECS);
    let detail = format!("this server has its {} connections; come back later", limits.connections_max);
    let failure = Failure::unavailable(detail, retry_after);
    let router = Router::new().fallback(async move || ([(axum::http::header::CONNECTION, "close")], failure));
    let told = tokio::time::timeout(limits::REFUSAL_TIMEOUT, connection(io, peer, router, limits, stop)).await;
    if told.is_err() {
        tracing::debug!("a connection beyond the limit sent no request");
    }
    drop(permit);
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::Clock;

    const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4711);

    /// Listens for the ends of pipes.
    struct Pipes(mpsc::Receiver<DuplexStream>);

    impl Listener for Pipes {
        type Io = DuplexStream;
        type Addr = SocketAddr;

        async fn accept(&mut self) -> (DuplexStream, SocketAddr) {
            match self.0.recv().await {
                Some(io) => (io, PEER),
                None => std::future::pending().await,
            }
        }

        fn local_addr(&self) -> io::Result<SocketAddr> {
            Ok(PEER)
        }
    }

    struct Server {
        door: mpsc::Sender<DuplexStream>,
        stop: CancellationToken,
        served: JoinHandle<()>,
    }

    const FINISH: Duration = Duration::from_secs(7);

    fn start(connections_max: usize) -> Server {
        let router = Router::new()
            .route("/", get(|| async { "hello" }))
            .route("/slow", get(|| async { tokio::time::sleep(Duration::from_secs(3)).await }))
            .route("/never", get(std::future::pending::<()>))
            .route("/who", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()))
            .route("/upgrade", get(upgrade));
        let limits = ConnectionLimits { connections_max, finish_timeout: FINISH, ..ConnectionLimits::default() };
        let (door, pipes) = mpsc::channel(8);
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(Pipes(pipes), router, limits, stop.clone()));
        Server { door, stop, served }
    }

    /// Answers 101 and echoes what comes afterwards.
    async fn upgrade(mut request: Request) -> impl axum::response::IntoResponse {
        let upgrading = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut io = TokioIo::new(upgrading.await.unwrap());
            let mut bytes = [0; 4];
            while io.read_exact(&mut bytes).await.is_ok() {
                io.write_all(&bytes).await.unwrap();
            }
        });
        (hyper::StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "echo")])
    }

    impl Server {
        async fn connect(&self) -> DuplexStream {
            let (ours, theirs) = duplex(4096);
            self.door.send(theirs).await.unwrap();
            ours
        }

        async fn ask(&self, path: &str) -> DuplexStream {
            let mut io = self.connect().await;
            let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
            io.write_all(head.as_bytes()).await.unwrap();
            io
        }
    }

    async fn read(io: &mut DuplexStream) -> String {
        let mut bytes = vec![0; 4096];
        let length = io.read(&mut bytes).await.unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_head_that_does_not_come_ends_the_connection() {
        let server = start(2);
        let mut io = server.connect().await;
        io.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
        let clock = Clock::system();
        assert_eq!(read(&mut io).await, "");
        assert_eq!(clock.uptime().as_secs(), limits::HEADER_TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_carries_the_address_of_who_sent_it() {
        let mut io = start(1).ask("/who").await;
        assert!(read(&mut io).await.ends_with("\r\n\r\n127.0.0.1:4711"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_beyond_the_most_is_told_to_come_back() {
        let server = start(1);
        let mut first = server.ask("/").await;
        assert!(read(&mut first).await.contains("200 OK"));
        let mut second = server.ask("/").await;
        let mut text = String::new();
        second.read_to_string(&mut text).await.unwrap(); // to the end: it is closed behind the answer
        assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
        assert!(text.contains("\r\nretry-after: 2\r\n") && text.contains("has its 1 connections"), "{text}");
        drop(first);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(read(&mut server.ask("/").await).await.contains("200 OK"));
    }

    #[tokio::test(start_paused = true)]
    async fn silent_connections_beyond_the_most_are_closed_soon() {
        let server = start(0);
        let clock = Clock::system();
        let mut silent = Vec::new();
        for _ in 0..limits::REFUSALS_MAX {
            silent.push(server.connect().await);
        }
        assert!(read(&mut server.ask("/").await).await.contains("503 Service Unavailable"));
        assert_eq!(clock.uptime().as_secs(), limits::REFUSAL_TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn an_upgraded_connection_keeps_its_seat_until_it_closes() {
        let server = start(1);
        let mut socket = server.ask("/upgrade").await;
        assert!(read(&mut socket).await.starts_with("HTTP/1.1 101 "));
        assert!(read(&mut server.ask("/").await).await.contains("503 Service Unavailable"));
        socket.write_all(b"ping").await.unwrap();
        assert_eq!(read(&mut socket).await, "ping");
        drop(socket);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(read(&mut server.ask("/").await).await.contains("200 OK"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_finishes_requests_under_way_and_waits_no_longer_than_told() {
        let server = start(3);
        let (mut slow, mut never) = (server.ask("/slow").await, server.ask("/never").await);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let clock = Clock::system();
        server.stop.cancel();
        assert!(read(&mut slow).await.contains("200 OK"));
        assert_eq!(read(&mut never).await, "");
        server.served.await.unwrap();
        assert_eq!(clock.uptime().as_secs(), FINISH.as_secs());
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_answered_over_real_tcp_while_it_is_still_sent() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(|_: crate::Json<serde_json::Value>| async {});
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(listener, router, ConnectionLimits::default(), stop.clone()));
        let mut io = TcpStream::connect(address).await.unwrap();
        let length = 900_000;
        let head =
            format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
        io.write_all(head.as_bytes()).await.unwrap();
        io.write_all(&vec![b' '; length]).await.unwrap();
        let mut text = vec![0; 4096];
        let read = io.read(&mut text).await.unwrap();
        let text = String::from_utf8(text[..read].to_vec()).unwrap();
        assert!(text.starts_with("HTTP/1.1 413 ") && text.contains("at most 65536 bytes"), "{text}");
        stop.cancel();
        served.await.unwrap();
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn what_a_client_does_not_read_is_not_hidden_in_the_kernel() {
        const HIDDEN_MAX: usize = 256 * 1024;
        let mut listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let client = tokio::net::TcpSocket::new_v4().unwrap();
        client.set_recv_buffer_size(4 * 1024).unwrap();
        let (client, (server, _)) =
            tokio::join!(client.connect(listener.local_addr().unwrap()), Listener::accept(&mut listener));
        let (mut taken, frames) = (0, [b'x'; 16 * 1024]);
        // The kernel sends what the client has room for at first; after that nothing goes on.
        while tokio::time::timeout(Duration::from_millis(200), server.writable()).await.is_ok() {
            taken += server.try_write(&frames).unwrap_or_default();
            assert!(taken < HIDDEN_MAX, "the kernel has taken {taken} bytes");
        }
        assert!(taken > 0);
        drop(client);
    }
}
