//! A server of the test's own, on a UNIX socket in a folder that goes with it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tidegate_engine::clock::Clock;
use tidegate_engine::plan;
use tidegate_engine::redis::{Client, Store};
use tidegate_engine::telemetry::Telemetry;
use tokio::task::LocalSet;

pub struct Server {
    child: Child,
    folder: PathBuf,
}

static NUMBER: AtomicUsize = AtomicUsize::new(0);

impl Server {
    /// `None` where there is no `redis-server`; the test then says so and passes.
    pub fn start(options: &[&str]) -> Option<Self> {
        let number = NUMBER.fetch_add(1, Relaxed);
        let folder = std::env::temp_dir().join(format!("tidegate-redis-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut server = Self { child: spawn(&folder, options)?, folder };
        server.wait();
        Some(server)
    }

    pub fn address(&self) -> String {
        format!("unix:{}", self.folder.join("socket").display())
    }

    /// Ends the process at once, as a crash does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn restart(&mut self, options: &[&str]) {
        self.child = spawn(&self.folder, options).unwrap();
        self.wait();
    }

    /// Stops the process, and lets it go on.
    pub fn signal(&self, name: &str) {
        let told = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(told.unwrap().success());
    }

    fn wait(&mut self) {
        let lines = BufReader::new(self.child.stdout.take().unwrap()).lines();
        for line in lines {
            if line.unwrap().contains("ready to accept connections at") {
                return;
            }
        }
        panic!("redis-server ended");
    }

    pub fn plan(&self) -> plan::Redis {
        plan::Redis {
            nodes: vec![self.address()],
            cluster: false,
            tls: None,
            username: None,
            password: None,
            database: 0,
            prefix: "tidegate:".into(),
            timeout_ms: 2000,
        }
    }
}

fn spawn(folder: &std::path::Path, options: &[&str]) -> Option<Child> {
    let child = Command::new("redis-server")
        .args(["--port", "0", "--unixsocket", "socket", "--save", "", "--appendonly", "no"])
        .args(options)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn();
    child.inspect_err(|_| println!("SKIPPED: redis-server is not installed")).ok()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Runs a test as a worker runs: one thread, one client. `worker` 0 keeps the store's books, others do not.
pub fn with_client<F: Future<Output = ()>>(plan: &plan::Redis, worker: usize, test: impl FnOnce(Rc<Client>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let telemetry = Telemetry::start(2, Clock::default()).unwrap();
    LocalSet::new().block_on(&runtime, async {
        let store = Arc::new(Store::compile(plan, &telemetry.registry).unwrap());
        test(Client::start(store, worker)).await;
    });
    telemetry.stop();
}
