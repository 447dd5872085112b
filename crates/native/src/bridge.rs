//! The queue of handler jobs, for the app loop and the threads of blocking handlers.

use std::sync::Arc;

use pyo3::prelude::*;
use tidegate_engine::bridge::Queue;

use crate::job::Job;

#[pyclass(frozen, module = "tidegate._native")]
pub struct Bridge {
    pub queue: Arc<Queue>,
}

#[pymethods]
impl Bridge {
    #[new]
    fn new(limit: usize) -> PyResult<Self> {
        Ok(Self { queue: Arc::new(Queue::new(limit)?) })
    }

    fn fileno(&self) -> i32 {
        self.queue.descriptor()
    }

    fn set_blocking(&self, handler: u32) {
        self.queue.set_blocking(handler);
    }

    fn drain(&self, most: usize, woken: bool) -> (Vec<Job>, Vec<(u8, u64)>) {
        let drained = self.queue.drain(most, woken);
        let jobs = drained.jobs.into_iter().map(Job).collect();
        let events = drained.events.into_iter().map(|(event, number)| (event as u8, number)).collect();
        (jobs, events)
    }

    fn take_blocking(&self, py: Python<'_>) -> Option<Job> {
        py.detach(|| self.queue.take_blocking()).map(Job)
    }

    fn close(&self) {
        self.queue.close();
    }
}
