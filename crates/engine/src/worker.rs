//! What one worker thread owns. Nothing here is shared; connections never leave their worker.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use crate::bridge::Bridge;
use crate::clock::Clock;
use crate::exchange::Exchange;
use crate::snapshot::Pinned;
use crate::telemetry::Telemetry;
use crate::upstream::pool::Pools;
use crate::wheel::Wheel;

/// Bytes of a read buffer as it is lent; a larger head or a large body makes it grow.
const BUFFER_BYTES: usize = 16 * 1024;
/// Buffers that grew past this are not kept.
const KEPT_BYTES: usize = 64 * 1024;
const KEPT_BUFFERS: usize = 256;

pub struct Worker {
    pub index: usize,
    pub clock: Clock,
    pub wheel: Rc<Wheel>,
    pub current: RefCell<Pinned>,
    pub pools: Pools,
    pub telemetry: Arc<Telemetry>,
    pub bridge: Option<Arc<dyn Bridge>>,
    /// Set when the process drains: connections close after the answer they are at.
    pub draining: Cell<bool>,
    buffers: RefCell<Vec<Vec<u8>>>,
    exchanges: RefCell<VecDeque<Box<Exchange>>>,
}
