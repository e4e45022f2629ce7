//! The handle that the stores call: steps for the writer thread, looks at the tables for everybody.
//!
//! Owns the queue to the writer and who may see the tables. A step is one call as the writer runs it, inside a group; its
//! answer goes out when the group is as durable as the step asked for.

use std::sync::{Arc, PoisonError, RwLock, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::directory::Directory;
use super::fault::Fault;
use super::schema::Stamp;
use super::stage::Stage;
use super::tables::{Tables, View};
use super::tails::Tails;
use crate::StoreError;
use crate::limits::{QUEUE_BYTES_MAX, QUEUE_CALLS_MAX};

/// How durable a call is before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// On the disk.
    Synced,
    /// With the operating system, and on the disk with whatever is synced next.
    Riding,
}

/// What the writer is told.
pub(crate) enum Message {
    Call(Box<dyn Call>),
    /// Nothing more will come.
    Close,
}

/// A call as the writer sees it.
pub(crate) trait Call: Send {
    fn durability(&self) -> Durability;
    /// Runs the step.
    fn stage(&mut self, stage: &mut Stage<'_>);
    /// Tells the caller, now that the group is written, or why it is not.
    fn answer(self: Box<Self>, written: Result<(), Fault>);
}

struct Step<F, T> {
    durability: Durability,
    step: Option<F>,
    staged: Option<Result<T, Fault>>,
    answer: oneshot::Sender<Result<T, Fault>>,
    /// Given back when the call is answered, also when nobody waits for it any more.
    _budget: Option<OwnedSemaphorePermit>,
}

impl<F, T> Call for Step<F, T>
where
    F: FnOnce(&mut Stage<'_>) -> Result<T, Fault> + Send,
    T: Send,
{
    fn durability(&self) -> Durability {
        self.durability
    }

    fn stage(&mut self, stage: &mut Stage<'_>) {
        self.staged = self.step.take().map(|step| stage.step(step));
    }

    fn answer(self: Box<Self>, written: Result<(), Fault>) {
        let not_run = || Err(Fault::Unavailable("the call was not run".to_owned()));
        let Self { staged, answer, .. } = *self;
        let result = written.and_then(|()| staged.unwrap_or_else(not_run));
        drop(answer.send(result)); // a caller that is gone needs no answer
    }
}

/// What the writer and all handles share.
pub(crate) struct Shared {
    pub(crate) directory: Directory,
    pub(crate) stamp: Stamp,
    pub(crate) tails: Tails,
    tables: RwLock<Option<Arc<Tables>>>,
}

impl Shared {
    pub(crate) fn new(directory: Directory, stamp: Stamp, tables: Tables) -> Self {
        let tables = RwLock::new(Some(Arc::new(tables)));
        Self { directory, stamp, tails: Tails::new(stamp.partitions), tables }
    }

    pub(crate) fn tables(&self) -> Result<Arc<Tables>, Fault> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        tables.clone().ok_or_else(|| Fault::Unavailable("the store is closed".to_owned()))
    }

    pub(crate) fn open(&self, tables: Tables) {
        *self.tables.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(tables));
    }

    /// Lets nobody look any more. The tables close when the last look ends.
    pub(crate) fn close(&self) -> Weak<Tables> {
        let tables = self.tables.write().unwrap_or_else(PoisonError::into_inner).take();
        tables.as_ref().map(Arc::downgrade).unwrap_or_default()
    }
}

/// A handle for one store.
#[derive(Clone)]
pub(crate) struct Engine {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Message>,
    budget: Arc<Semaphore>,
    store: &'static str,
}

impl Engine {
    /// A handle, and what the writer takes calls from.
    pub(crate) fn new(shared: Arc<Shared>) -> (Self, mpsc::Receiver<Message>) {
        let (queue, calls) = mpsc::channel(QUEUE_CALLS_MAX);
        let budget = Arc::new(Semaphore::new(QUEUE_BYTES_MAX));
        (Self { shared, queue, budget, store: "store" }, calls)
    }

    /// The same, whose errors name this store.
    pub(crate) fn of(&self, store: &'static str) -> Self {
        Self { store, ..self.clone() }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn queue(&self) -> &mpsc::Sender<Message> {
        &self.queue
    }

    /// Has the writer run a step that carries so many bytes.
    pub(crate) async fn run<T, F>(&self, durability: Durability, bytes: usize, step: F) -> Result<T, StoreError>
    where
        F: FnOnce(&mut Stage<'_>) -> Result<T, Fault> + Send + 'static,
        T: Send + 'static,
    {
        let permits = u32::try_from(bytes.min(QUEUE_BYTES_MAX)).unwrap_or(u32::MAX);
        let budget = Arc::clone(&self.budget).acquire_many_owned(permits).await.map_err(|_| self.error(closed()))?;
        let (call, answer) = call(durability, Some(budget), step);
        self.queue.send(call).await.map_err(|_| self.error(closed()))?;
        answer.await.unwrap_or_else(|_| Err(closed())).map_err(|fault| self.error(fault))
    }

    /// The same, for a thread that may wait.
    pub(crate) fn run_blocking<T, F>(&self, durability: Durability, step: F) -> Result<T, StoreError>
    where
        F: FnOnce(&mut Stage<'_>) -> Result<T, Fault> + Send + 'static,
        T: Send + 'static,
    {
        let (call, answer) = call(durability, None, step);
        self.queue.blocking_send(call).map_err(|_| self.error(closed()))?;
        answer.blocking_recv().unwrap_or_else(|_| Err(closed())).map_err(|fault| self.error(fault))
    }

    /// Looks at the tables, on a thread that may wait for the disk.
    pub(crate) async fn look<T, F>(&self, look: F) -> Result<T, StoreError>
    where
        F: FnOnce(&View<'_>) -> Result<T, Fault> + Send + 'static,
        T: Send + 'static,
    {
        let tables = self.shared.tables().map_err(|fault| self.error(fault))?;
        let looked = tokio::task::spawn_blocking(move || look(&tables.view())).await;
        looked.unwrap_or_else(|_| Err(closed())).map_err(|fault| self.error(fault))
    }

    pub(crate) fn error(&self, fault: Fault) -> StoreError {
        fault.of(self.store, self.shared.directory.path())
    }
}

fn closed() -> Fault {
    Fault::Unavailable("the store is closed".to_owned())
}

fn call<T, F>(
    durability: Durability,
    budget: Option<OwnedSemaphorePermit>,
    step: F,
) -> (Message, oneshot::Receiver<Result<T, Fault>>)
where
    F: FnOnce(&mut Stage<'_>) -> Result<T, Fault> + Send + 'static,
    T: Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    let step = Step { durability, step: Some(step), staged: None, answer, _budget: budget };
    (Message::Call(Box::new(step)), answered)
}
