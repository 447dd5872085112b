//! What passes between the two sides of an exchange, without sockets: scripted sides, a clock that is moved by hand, and a
//! machine that is polled only when it was woken, so that a waker that was not left behind shows as a test that stands still.

mod bodies;
mod continues;
mod random;
mod scene;
mod sides;
mod silence;
mod tunnels;
mod wheel;
mod wire;
