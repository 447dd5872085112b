//! How full the memory is, and what that means for requests. Read by the slow thread, so that no worker waits for a file.
//!
//! In a container with a limit it is the container's memory that runs out, so that is what counts: what is in use without the
//! page cache that the kernel can take back (cgroup v2, `memory.current` less `inactive_file`; or v1). Elsewhere, and where the
//! document sets a limit of its own, it is the resident set of this process.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::overload::pressure::TOP;
use crate::plan;

/// What was read last, shared by all workers.
#[derive(Debug, Default)]
pub struct Memory {
    notches: AtomicU32,
    used: AtomicU64,
    limit: AtomicU64,
}

impl Memory {
    /// The pressure; 0 while there is room.
    pub fn notches(&self) -> u32 {
        self.notches.load(Relaxed)
    }

    /// Bytes in use, and how many there may be; zeros before the first look.
    pub fn reading(&self) -> (u64, u64) {
        (self.used.load(Relaxed), self.limit.load(Relaxed))
    }

    /// Looks again; without settings, there is no pressure.
    pub fn look(&self, settings: Option<&plan::OverloadMemory>) {
        let found = settings.and_then(|settings| Some((settings, read(Path::new("/"), settings.limit)?)));
        let Some((settings, (used, limit))) = found else {
            self.notches.store(0, Relaxed);
            return;
        };
        self.used.store(used, Relaxed);
        self.limit.store(limit, Relaxed);
        let notches = notches(used, limit, settings);
        let before = self.notches.swap(notches, Relaxed);
        if (before == 0) != (notches == 0) {
            match notches {
                0 => tracing::info!(used, limit, "memory has room again"),
                _ => tracing::warn!(used, limit, "memory runs out, requests are refused"),
            }
        }
    }
}

/// None below the lower mark, all at the upper one, and evenly between.
fn notches(used: u64, limit: u64, settings: &plan::OverloadMemory) -> u32 {
    let permille = (u128::from(used) * 1000 / u128::from(limit.max(1))).min(1_000_000) as u64;
    let (from, to) = (u64::from(settings.from_percent) * 10, u64::from(settings.to_percent) * 10);
    if permille < from {
        return 0;
    }
    let share = (permille - from + 1) * u64::from(TOP) / (to.saturating_sub(from)).max(1);
    u32::try_from(share.max(1)).unwrap_or(TOP).min(TOP)
}

/// Bytes in use and their limit, in the file system below `root`.
fn read(root: &Path, limit: Option<u64>) -> Option<(u64, u64)> {
    if let Some(limit) = limit {
        return Some((resident(root)?, limit));
    }
    of_cgroup(root).or_else(|| Some((resident(root)?, machine(root)?)))
}

/// The nearest group with a limit; the files of the others are no help.
fn of_cgroup(root: &Path) -> Option<(u64, u64)> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounted = root.join("sys/fs/cgroup");
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, group) = (parts.next()?, parts.next()?, parts.next()?);
        let names = match controllers {
            "" => ("memory.current", "memory.max", "inactive_file "),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file ")
            }
            _ => continue,
        };
        let base = if controllers.is_empty() { mounted.clone() } else { mounted.join("memory") };
        let mut folder = Some(base.join(group.trim_start_matches('/')));
        while let Some(here) = folder.filter(|here| here.starts_with(&base)) {
            if let Some(reading) = of_group(&here, names) {
                return Some(reading);
            }
            folder = here.parent().map(PathBuf::from);
        }
    }
    None
}

fn of_group(folder: &Path, (used, limit, cached): (&str, &str, &str)) -> Option<(u64, u64)> {
    // A limit of v1 that is none is a number near the largest there is.
    let limit = number(&folder.join(limit)).filter(|limit| *limit < 1 << 60)?;
    let used = number(&folder.join(used))?;
    let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let cached = stat.lines().find_map(|line| line.strip_prefix(cached)?.trim().parse().ok()).unwrap_or(0);
    Some((used.saturating_sub(cached), limit))
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn resident(root: &Path) -> Option<u64> {
    kibibytes(&root.join("proc/self/status"), "VmRSS:")
}

fn machine(root: &Path) -> Option<u64> {
    kibibytes(&root.join("proc/meminfo"), "MemTotal:")
}

fn kibibytes(file: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: plan::OverloadMemory = plan::OverloadMemory { limit: None, from_percent: 80, to_percent: 90 };

    #[test]
    fn pressure_grows_evenly_between_the_marks() {
        for (used, expected) in [(0, 0), (799, 0), (800, 1), (850, 24), (899, 48), (900, 48), (5000, 48)] {
            assert_eq!(notches(used, 1000, &SETTINGS), expected, "{used}");
        }
    }

    /// A file system that lasts as long as the test.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("tidegate-{name}-{}", std::process::id()));
            for (file, text) in files {
                let file = root.join(file);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, text).unwrap();
            }
            Self(root)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const PROCESS: [(&str, &str); 2] =
        [("proc/self/status", "Name:\tx\nVmRSS:\t    2048 kB\n"), ("proc/meminfo", "MemTotal:       16384 kB\n")];

    #[test]
    fn the_limit_of_the_container_counts_without_the_page_cache() {
        let files = [
            PROCESS[0],
            ("proc/self/cgroup", "0::/pod/container\n"),
            ("sys/fs/cgroup/pod/container/memory.max", "max\n"),
            ("sys/fs/cgroup/pod/memory.max", "1000\n"),
            ("sys/fs/cgroup/pod/memory.current", "900\n"),
            ("sys/fs/cgroup/pod/memory.stat", "anon 1\ninactive_file 300\n"),
        ];
        let root = Root::new("cgroup2", &files);
        assert_eq!(read(&root.0, None), Some((600, 1000)));
    }

    #[test]
    fn so_does_that_of_version_1() {
        let files = [
            PROCESS[0],
            ("proc/self/cgroup", "3:cpu,cpuacct:/a\n5:memory:/a\n"),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1000\n"),
            ("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "500\n"),
            ("sys/fs/cgroup/memory/a/memory.stat", "total_inactive_file 100\n"),
        ];
        let root = Root::new("cgroup1", &files);
        assert_eq!(read(&root.0, None), Some((400, 1000)));
    }

    #[test]
    fn without_a_limit_it_is_the_process_in_the_machine() {
        let files = [PROCESS[0], PROCESS[1], ("proc/self/cgroup", "0::/\n")];
        let root = Root::new("machine", &files);
        assert_eq!(read(&root.0, None), Some((2 << 20, 16 << 20)));
        assert_eq!(read(&root.0, Some(4 << 20)), Some((2 << 20, 4 << 20)));
    }

    #[test]
    fn this_process_has_a_size() {
        let (used, limit) = read(Path::new("/"), None).unwrap();
        assert!(used > 0 && limit > used);
    }
}
