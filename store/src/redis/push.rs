//! The push plane: what Redis tells unasked over one connection of its own. That a channel was published to, that an event has
//! changed which is watched here, and that a key has changed which was read here.
//!
//! The only file that knows `fred`. Owns that connection, which is made again for as long as the process lives, and the
//! subscription and the tracking of keys, which do not outlive a connection. What was told while there was none, or faster
//! than it was looked at, is lost; those who listen are told that, and woken after every connection.
//!
//! Redis tells of a key only when it was read on a connection that tracks, so every read says so itself (`OPTIN`): on one
//! that does not yet, it is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{
    ClientInterface, ClientLike, ClusterInterface, EventInterface, PubsubInterface, SetsInterface, TrackingInterface,
};
use fred::types::client::Invalidation;
use fred::types::cluster::ClusterRouting;
use fred::types::config::{
    ClusterDiscoveryPolicy, Config, ConnectionConfig, Options, PerformanceConfig, ReconnectPolicy, Server,
    ServerConfig, TcpConfig, TlsConfig, TlsConnector, UnresponsiveConfig,
};
use fred::types::{Builder, ConnectHandle, Message, RespVersion, Value};
use peal_proto::name::{SHARDS_CHANNEL, event_of_key, events_channel};
use redis::{ConnectionAddr, ConnectionInfo};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use super::address::Address;
use super::{ANSWER_TIME_MAX, CONNECT_TIME_MAX, RECONNECT_PAUSE_MAX, unavailable};
use crate::StoreError;
use crate::status::{Changes, Told};

/// How often the connection is tried while nothing comes: one that died in silence is found out within this and
/// [`ANSWER_TIME_MAX`].
const HEARTBEAT: Duration = Duration::from_secs(5);

/// The shortest pause before a connection is made again.
const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(50);

/// What was told and not looked at yet; beyond it something was missed, which is as good as a lost connection.
const TOLD_MAX: usize = 1_024;

/// What is told of the keys that were read with [`Push::members`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Heard<'a> {
    /// From now on every change is told.
    Listening,
    /// A key has changed.
    Changed(&'a [u8]),
    /// Changes may have been missed, and none is told.
    Missed,
}

/// A connection that is told things. It ends with the last handle on it.
pub(crate) struct Push {
    client: Client,
    published: watch::Sender<u64>,
    /// Where this process is told of the events that it watches.
    channel: String,
    told: Arc<Told>,
    tasks: (ConnectHandle, JoinHandle<()>),
}

impl Push {
    /// Starts to connect, and to listen as soon as there is a connection.
    pub(super) fn start(
        address: &Address,
        hear: impl Fn(Heard<'_>) + Send + Sync + 'static,
    ) -> Result<Arc<Self>, StoreError> {
        let client = client(address).map_err(|error| unavailable("redis", error))?;
        let published = watch::Sender::new(0);
        let (channel, told) = (events_channel(client.id()), Arc::new(Told::new()));
        let listener = Listener::new(client.clone(), published.clone(), (channel.clone(), Arc::clone(&told)), hear);
        let tasks = (client.connect(), tokio::spawn(listener.run()));
        Ok(Arc::new(Self { client, published, channel, told, tasks }))
    }

    /// Where this process is told of the events that it watches, by their keys.
    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }

    /// What it is told of them; `None` after every connection.
    pub(crate) fn changes(&self) -> Changes {
        self.told.changes()
    }

    /// Watches the channel of the shard map from now on.
    pub(crate) fn watch(self: &Arc<Self>) -> Watch {
        Watch { seen: AtomicU64::new(*self.published.borrow()), push: Arc::clone(self) }
    }

    /// All members of a set, of which the next change is told. Refused at once while there is no connection that tracks.
    pub(crate) async fn members(&self, key: &str) -> Result<Vec<Bytes>, StoreError> {
        self.read(key).await.map_err(|error| unavailable("store of members", error))
    }

    async fn read(&self, key: &str) -> Result<Vec<Bytes>, Error> {
        // In one go, as it holds for the next command of the connection. The option of fred's for it does nothing (10.1).
        let reads = self.client.pipeline().with_options(&Options { cluster_node: self.owner(key), ..now_or_never() });
        let () = reads.client_caching(true).await?;
        let () = reads.smembers(key).await?;
        let (_, members): (Value, Vec<Bytes>) = reads.all().await?;
        Ok(members)
    }

    /// The server of a cluster that has a key.
    fn owner(&self, key: &str) -> Option<Server> {
        let slots = self.client.cached_cluster_state()?;
        slots.get_server(ClusterRouting::hash_key(key.as_bytes())).cloned()
    }
}

impl Drop for Push {
    fn drop(&mut self) {
        self.tasks.0.abort();
        self.tasks.1.abort();
    }
}

/// A watch on a channel.
pub(crate) struct Watch {
    push: Arc<Push>,
    seen: AtomicU64,
}

impl Watch {
    /// Until something was published or may have been missed; at once when that has happened since the last call ended.
    /// Cancel safe.
    pub(crate) async fn changed(&self) {
        let seen = self.seen.load(Ordering::Relaxed);
        let mut published = self.push.published.subscribe();
        let now = published.wait_for(|number| *number != seen).await.map(|number| *number);
        self.seen.store(now.unwrap_or(seen), Ordering::Relaxed); // the sender lives as long as the push plane, so as this
    }
}

fn client(address: &Address) -> Result<Client, Error> {
    let mut client = Builder::from_config(config(address)?);
    client.set_policy(ReconnectPolicy::new_exponential(0, millis(RECONNECT_PAUSE_MIN), millis(RECONNECT_PAUSE_MAX), 2));
    client.set_connection_config(ConnectionConfig {
        connection_timeout: CONNECT_TIME_MAX,
        internal_command_timeout: ANSWER_TIME_MAX,
        max_command_attempts: 1,
        max_redirections: 0, // a read that is sent on to another server would not be tracked there
        unresponsive: UnresponsiveConfig { max_timeout: Some(ANSWER_TIME_MAX), ..UnresponsiveConfig::default() },
        tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
        ..ConnectionConfig::default()
    });
    client.set_performance_config(PerformanceConfig {
        default_command_timeout: ANSWER_TIME_MAX,
        broadcast_channel_capacity: TOLD_MAX,
        ..PerformanceConfig::default()
    });
    client.build()
}

fn config(address: &Address) -> Result<Config, Error> {
    let servers = address.servers().map(server).collect::<Result<Vec<_>, _>>()?;
    let policy = ClusterDiscoveryPolicy::default();
    let settings = address.first.redis_settings();
    Ok(Config {
        fail_fast: false, // tries again when the first connection fails too
        version: RespVersion::RESP3,
        server: match servers.first() {
            Some(server) if !address.is_cluster() => ServerConfig::Centralized { server: server.clone() },
            Some(_) | None => ServerConfig::Clustered { hosts: servers, policy },
        },
        tls: tls(address)?,
        username: settings.username().map(str::to_owned),
        password: settings.password().map(str::to_owned),
        database: if address.is_cluster() { None } else { u8::try_from(settings.db()).ok() },
        ..Config::default()
    })
}

fn server(redis: &ConnectionInfo) -> Result<Server, Error> {
    match redis.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => Ok(Server::new(host, *port)),
        ConnectionAddr::Unix(_) | _ => Err(Error::new(ErrorKind::Url, "it has no host")),
    }
}

fn tls(address: &Address) -> Result<Option<TlsConfig>, Error> {
    if !matches!(address.first.addr(), ConnectionAddr::TcpTls { .. }) {
        return Ok(None);
    }
    let Some(authority) = &address.authority else { return Ok(Some(TlsConnector::default_rustls()?.into())) };
    let refused = |why: &dyn std::fmt::Display| Error::new(ErrorKind::Tls, format!("the authority: {why}"));
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority) {
        roots.add(certificate.map_err(|error| refused(&error))?).map_err(|error| refused(&error))?;
    }
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(Some(TlsConnector::from(config).into()))
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// Passes on what Redis tells.
struct Listener<H> {
    client: Client,
    connected: broadcast::Receiver<Server>,
    failed: broadcast::Receiver<(Error, Option<Server>)>,
    invalidated: broadcast::Receiver<Invalidation>,
    messages: broadcast::Receiver<Message>,
    published: watch::Sender<u64>,
    channel: String,
    told: Arc<Told>,
    hear: H,
    /// Whether the subscription and the tracking stand.
    listens: bool,
}

impl<H: Fn(Heard<'_>)> Listener<H> {
    fn new(client: Client, published: watch::Sender<u64>, (channel, told): (String, Arc<Told>), hear: H) -> Self {
        let (connected, failed) = (client.reconnect_rx(), client.error_rx());
        let (invalidated, messages) = (client.invalidation_rx(), client.message_rx());
        Self { client, connected, failed, invalidated, messages, published, channel, told, hear, listens: false }
    }

    async fn run(mut self) {
        let client = self.client.clone();
        let mut heartbeat = Box::pin(beat(&client));
        loop {
            // Lagged: something was missed. Closed: the client has ended, which it does when this does.
            tokio::select! {
                biased;
                failed = self.failed.recv() => match failed {
                    Ok(_) | Err(RecvError::Lagged(_)) => self.missed(),
                    Err(RecvError::Closed) => return,
                },
                connected = self.connected.recv() => match connected {
                    Ok(_) | Err(RecvError::Lagged(_)) => self.listen().await,
                    Err(RecvError::Closed) => return,
                },
                invalidated = self.invalidated.recv() => match invalidated {
                    Ok(Invalidation { keys, .. }) => keys.iter().for_each(|key| (self.hear)(Heard::Changed(key.as_bytes()))),
                    Err(RecvError::Lagged(_)) => self.listen().await,
                    Err(RecvError::Closed) => return,
                },
                message = self.messages.recv() => match message {
                    Ok(message) if *message.channel == *self.channel => self.tell(&message),
                    Ok(_) => self.publish(),
                    Err(RecvError::Lagged(_)) => {
                        self.publish();
                        self.told.tell(None);
                    }
                    Err(RecvError::Closed) => return,
                },
                () = &mut heartbeat => {
                    if !self.listens {
                        self.listen().await;
                    }
                    heartbeat = Box::pin(beat(&client));
                }
            }
        }
    }

    /// Subscribes and tracks again; until that is done nothing is told.
    async fn listen(&mut self) {
        self.missed();
        match self.ask().await {
            Ok(()) => {
                self.listens = true;
                (self.hear)(Heard::Listening);
            }
            Err(error) => tracing::warn!(%error, "redis does not tell what changes"),
        }
        self.publish();
        self.told.tell(None);
    }

    async fn ask(&self) -> Result<(), Error> {
        self.client.subscribe(vec![SHARDS_CHANNEL, &self.channel]).await?;
        // Answered behind the subscription, for which fred does not wait.
        self.client.start_tracking((), false, true, false, false).await
    }

    fn missed(&mut self) {
        self.listens = false;
        (self.hear)(Heard::Missed);
    }

    /// What is published there is the key of an event.
    fn tell(&self, message: &Message) {
        let key = message.value.as_str();
        self.told.tell(key.as_deref().and_then(event_of_key));
    }

    fn publish(&self) {
        self.published.send_modify(|number| *number += 1);
    }
}

/// A sign of life from every server, some time from now. Without one the connection is made again, and that is told; so the
/// answer is of no use here.
async fn beat(client: &Client) {
    tokio::time::sleep(HEARTBEAT).await;
    for server in client.active_connections() {
        let options = Options { cluster_node: client.is_clustered().then_some(server), ..now_or_never() };
        drop(client.with_options(&options).ping::<()>(None).await);
    }
}

fn now_or_never() -> Options {
    Options { fail_fast: true, timeout: Some(ANSWER_TIME_MAX), max_attempts: Some(1), ..Options::default() }
}
