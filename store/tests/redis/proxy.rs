//! A way to a server on which a transaction can be held up, or its answer lost.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use peal_store::Inbox;
use peal_store::conformance::RETENTION;
use peal_store::redis::{self, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::server::Server;
use super::simulation;

/// How a transaction starts.
const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";

/// Bytes carried at once; more than any transaction of a test.
const CARRIED_MAX: usize = 64 * 1024;

/// What becomes of a transaction that was held up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Done,
    /// It is done, and the connection goes down before its answer is there.
    AnswerLost,
}

/// The next transaction, before the server sees it.
pub(super) struct Held {
    reached: oneshot::Receiver<()>,
    fate: oneshot::Sender<Fate>,
}

impl Held {
    /// Waits until it is there.
    pub(super) async fn reached(&mut self) {
        (&mut self.reached).await.unwrap();
    }

    /// Lets it go on.
    pub(super) fn go(self, fate: Fate) {
        self.fate.send(fate).unwrap();
    }
}

struct Hold {
    reached: oneshot::Sender<()>,
    fate: oneshot::Receiver<Fate>,
}

pub(super) struct Proxy {
    port: u16,
    next: Arc<Mutex<Option<Hold>>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(super) async fn to(server: &Server) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (port, to) = (listener.local_addr().unwrap().port(), server.port);
        let next = Arc::default();
        let accepting = tokio::spawn(accept(listener, to, Arc::clone(&next)));
        Self { port, next, accepting }
    }

    pub(super) async fn inbox(&self) -> Arc<dyn Inbox> {
        let settings = Settings { retention: RETENTION, ..Settings::new(format!("redis://127.0.0.1:{}", self.port)) };
        redis::connect(settings).await.unwrap().stores(simulation().stores().log).inbox
    }

    /// Holds the next transaction up.
    pub(super) fn hold(&self) -> Held {
        let (reached, is_reached) = oneshot::channel();
        let (decide, fate) = oneshot::channel();
        *self.next.lock().unwrap() = Some(Hold { reached, fate });
        Held { reached: is_reached, fate: decide }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, to: u16, next: Arc<Mutex<Option<Hold>>>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await.unwrap();
        tokio::spawn(carry(client, server, Arc::clone(&next)));
    }
}

/// Until one of them is gone.
async fn carry(mut client: TcpStream, mut server: TcpStream, next: Arc<Mutex<Option<Hold>>>) -> std::io::Result<()> {
    let (mut asked, mut answered) = (vec![0; CARRIED_MAX], vec![0; CARRIED_MAX]);
    let mut fate = Fate::Done;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let asked = &asked[..read?];
                let hold = asked.starts_with(MULTI).then(|| next.lock().unwrap().take()).flatten();
                if let Some(hold) = hold {
                    hold.reached.send(()).unwrap();
                    fate = hold.fate.await.unwrap();
                }
                server.write_all(asked).await?;
                if asked.is_empty() {
                    return Ok(());
                }
            }
            read = server.read(&mut answered) => {
                let answered = &answered[..read?];
                if answered.is_empty() || fate == Fate::AnswerLost {
                    return Ok(());
                }
                client.write_all(answered).await?;
            }
        }
    }
}
