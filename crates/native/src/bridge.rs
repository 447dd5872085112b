//! The queue of handler jobs, for the app loop and the threads of blocking handlers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use tidegate_engine::bridge::{self, Event, Queue};

use crate::asked;
use crate::call::{Call, Waiting};
use crate::job::Job;

/// Jobs, events as kind and number, and calls that came to their answers.
type Drained = (Vec<Job>, Vec<(u8, u64)>, Vec<Py<Call>>);

#[pyclass(frozen, module = "tidegate._native")]
pub struct Bridge {
    pub queue: Arc<Queue>,
    waiting: Arc<Waiting>,
    /// The loop that drains the queue.
    event_loop: Mutex<Option<Py<PyAny>>>,
}

#[pymethods]
impl Bridge {
    #[new]
    fn new(limit: usize) -> PyResult<Self> {
        Ok(Self { queue: Arc::new(Queue::new(limit)?), waiting: Arc::default(), event_loop: Mutex::default() })
    }

    fn fileno(&self) -> i32 {
        self.queue.descriptor()
    }

    fn set_blocking(&self, handler: u32) {
        self.queue.set_blocking(handler);
    }

    /// The loop that drains the queue, on which calls are awaited.
    fn set_loop(&self, event_loop: Py<PyAny>) {
        let before = self.event_loop().replace(event_loop);
        drop(before);
    }

    fn drain(&self, most: usize, woken: bool) -> Drained {
        let drained = self.queue.drain(most, woken);
        let jobs = drained.jobs.into_iter().map(Job).collect();
        let (mut events, mut calls) = (Vec::new(), Vec::new());
        for (event, number) in drained.events {
            match event {
                Event::Answered => calls.extend(self.waiting.take(number)),
                event => events.push((event as u8, number)),
            }
        }
        (jobs, events, calls)
    }

    /// Calls a service for the exchange of a job; `body` is `None` for one that is streamed.
    #[expect(
        clippy::too_many_arguments,
        reason = "by position, as a call with names costs more than the whole crossing"
    )]
    fn call(
        &self,
        py: Python<'_>,
        job: &Job,
        service: &str,
        method: &str,
        path: &str,
        params: Option<&Bound<'_, PyAny>>,
        query: Option<&Bound<'_, PyAny>>,
        headers: Option<&Bound<'_, PyAny>>,
        content_type: Option<&str>,
        forward: Option<Vec<String>>,
        body: Option<&[u8]>,
        timeout: Option<f64>,
        most_bytes: usize,
        streams: bool,
    ) -> PyResult<Call> {
        let request = asked::request(
            service,
            method,
            path,
            params,
            query,
            headers,
            content_type,
            forward,
            body,
            timeout,
            most_bytes,
            streams,
        )?;
        let call = bridge::Call::begin(&job.0, request);
        let event_loop = self.event_loop().as_ref().map(|event_loop| event_loop.clone_ref(py));
        Ok(Call::new(call, self.waiting.clone(), event_loop))
    }

    fn take_blocking(&self, py: Python<'_>) -> Option<Job> {
        py.detach(|| self.queue.take_blocking()).map(Job)
    }

    fn close(&self) {
        self.queue.close();
    }
}

impl Bridge {
    fn event_loop(&self) -> MutexGuard<'_, Option<Py<PyAny>>> {
        self.event_loop.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
