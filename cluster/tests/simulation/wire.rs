//! The simulated network as servers and clients use it: a listener for the real servers, and as much of an HTTP client as
//! the cluster's clients need.

mod answer;
mod exchange;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;
use turmoil::net::{TcpListener, TcpStream};

pub(crate) use self::answer::Answer;
pub(crate) use self::exchange::{Pieces, exchange};

/// Where every server listens on its own host.
pub(crate) const PORT: u16 = 7000;

/// Since the simulation began.
pub(crate) fn now() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

/// A listener for the front door of a server.
pub(crate) struct Door {
    listener: TcpListener,
    segment_bytes_max: usize,
    kernel: Arc<Kernel>,
}

impl Door {
    /// Segments of this size, of which a connection has 64 on their way: a client that does not read is felt soon.
    pub(crate) async fn open(segment_bytes_max: usize, kernel: Arc<Kernel>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
        Ok(Self { listener, segment_bytes_max, kernel })
    }
}

impl Listener for Door {
    type Io = Narrow;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Narrow, SocketAddr) {
        loop {
            if let Ok((stream, address)) = self.listener.accept().await {
                let Self { segment_bytes_max, kernel, .. } = self;
                let number = kernel.accepted.fetch_add(1, Ordering::Relaxed);
                let (segment_bytes_max, kernel) = (*segment_bytes_max, Arc::clone(kernel));
                return (Narrow { stream: Some(stream), number, segment_bytes_max, kernel }, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// What is left of a process's connections when it dies, to be closed in the order in which they were accepted. A runtime
/// drops its tasks in an order that depends on how many tasks other threads have spawned, which is no business of a seed.
#[derive(Default)]
pub(crate) struct Kernel {
    accepted: AtomicU64,
    process_dies: AtomicBool,
    left: Mutex<BTreeMap<u64, TcpStream>>,
}

impl Kernel {
    /// From now on connections that are dropped stay open.
    pub(crate) fn process_dies(&self) {
        self.process_dies.store(true, Ordering::Relaxed);
    }

    /// Closes what is left. On the host itself.
    pub(crate) fn bury(&self) {
        self.process_dies.store(false, Ordering::Relaxed);
        let left = std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner));
        left.into_values().for_each(drop);
    }
}

/// A connection that takes a small segment at a time.
pub(crate) struct Narrow {
    /// Until it is dropped.
    stream: Option<TcpStream>,
    number: u64,
    segment_bytes_max: usize,
    kernel: Arc<Kernel>,
}

impl Narrow {
    fn stream(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.stream.as_mut().unwrap())
    }
}

impl Drop for Narrow {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take_if(|_| self.kernel.process_dies.load(Ordering::Relaxed)) {
            self.kernel.left.lock().unwrap_or_else(PoisonError::into_inner).insert(self.number, stream);
        }
    }
}

impl AsyncRead for Narrow {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buf)
    }
}

impl AsyncWrite for Narrow {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let segment = &bytes[..bytes.len().min(self.segment_bytes_max)];
        self.stream().poll_write(cx, segment)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}

/// One request on a connection of its own; nothing is known about it when there is no answer in time.
pub(crate) async fn request(
    host: &str,
    method: &str,
    path: &str,
    body: &str,
    patience: Duration,
) -> Result<Answer, String> {
    let ask = async {
        let mut stream = TcpStream::connect((host, PORT)).await?;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all((head + body).as_bytes()).await?;
        let mut text = Vec::new();
        stream.read_to_end(&mut text).await?;
        io::Result::Ok(text)
    };
    let text = timeout(patience, ask).await.map_err(|_| "no answer in time".to_owned())?;
    let text = text.map_err(|error| error.to_string())?;
    Answer::read(&text).filter(|answer| answer.is_whole).ok_or_else(|| "the answer broke off".to_owned())
}
