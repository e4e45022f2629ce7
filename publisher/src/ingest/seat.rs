//! Who may be in flight: a seat a request, and a weight in bytes: of its body, then of its event. A single event waits for
//! neither; a batch, which has its seat for long, waits for its weight.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All seats of one sort of request.
pub(crate) struct Seats {
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    bytes_max: usize,
}

impl Seats {
    pub(crate) fn new(requests_max: usize, bytes_max: usize) -> Self {
        let most = |number: usize| Arc::new(Semaphore::new(number.min(Semaphore::MAX_PERMITS)));
        Self { requests: most(requests_max), bytes: most(bytes_max), bytes_max }
    }

    /// Seats of another sort, for requests whose bytes are counted together with those of these.
    pub(crate) fn beside(&self, requests_max: usize) -> Self {
        Self { bytes: Arc::clone(&self.bytes), ..Self::new(requests_max, self.bytes_max) }
    }

    /// A seat, if one is left.
    pub(crate) fn take(&self) -> Option<Seat> {
        let request = Arc::clone(&self.requests).try_acquire_owned().ok()?;
        metrics::gauge!("peal_inflight_requests").increment(1);
        Some(Seat { bytes: Arc::clone(&self.bytes), bytes_max: self.bytes_max, _request: request, weight: None })
    }
}

/// One request in flight; gives everything back when it is dropped.
pub(crate) struct Seat {
    bytes: Arc<Semaphore>,
    bytes_max: usize,
    _request: OwnedSemaphorePermit,
    weight: Option<Weight>,
}

/// Bytes in flight.
pub(super) struct Weight(OwnedSemaphorePermit);

impl Weight {
    fn of(permit: OwnedSemaphorePermit) -> Self {
        let weight = Self(permit);
        metrics::gauge!("peal_inflight_bytes").increment(weight.bytes());
        weight
    }

    fn bytes(&self) -> u32 {
        u32::try_from(self.0.num_permits()).unwrap_or(u32::MAX) // taken as a u32
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        metrics::gauge!("peal_inflight_bytes").decrement(self.bytes());
    }
}

impl Seat {
    /// Takes this many bytes as well, in place of those it had; `None` when there are not so many left.
    pub(crate) fn weigh(&mut self, bytes: usize) -> Option<()> {
        self.weight = None;
        let bytes = u32::try_from(bytes).ok()?;
        self.weight = Some(Weight::of(Arc::clone(&self.bytes).try_acquire_many_owned(bytes).ok()?));
        Some(())
    }

    /// Waits until so many bytes may be in flight as well, which they are until the weight is dropped.
    pub(super) async fn weight(&self, bytes: usize) -> Option<Weight> {
        let bytes = u32::try_from(bytes.min(self.bytes_max)).unwrap_or(u32::MAX);
        Arc::clone(&self.bytes).acquire_many_owned(bytes).await.ok().map(Weight::of) // the semaphore is never closed
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        metrics::gauge!("peal_inflight_requests").decrement(1);
    }
}
