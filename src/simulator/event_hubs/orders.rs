//! What a namespace tells its connections: the one thing both sides of that line hold.

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::readers::ReaderId;
use super::refusal::Refusal;

/// One instruction to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// End without a word, as a cable that is pulled.
    Drop,
    /// Close with a reason.
    Close(Refusal),
    /// Detach one receiver with a reason.
    Detach { reader: ReaderId, why: Refusal },
}

/// A connection's letter box. It holds at most one `Detach` for each receiver of the connection and a few others, since
/// each is taken at the next turn of the connection's loop.
#[derive(Debug, Default)]
pub(super) struct Orders {
    waiting: Mutex<Vec<Order>>,
    bell: Notify,
}

impl Orders {
    pub(super) fn give(&self, order: Order) {
        self.waiting.lock().push(order);
        self.bell.notify_one();
    }

    /// Tells the connection that there is something to read, or to look at.
    pub(super) fn wake(&self) {
        self.bell.notify_one();
    }

    pub(super) fn take(&self) -> Vec<Order> {
        std::mem::take(&mut *self.waiting.lock())
    }

    /// Waits for an order or a wake-up. Dropping this loses nothing.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }
}
