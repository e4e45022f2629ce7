//! How much memory a process has, and may have before the kernel ends it. Linux only; elsewhere it is not known.

use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

/// Bytes of memory that are resident (proc(5)).
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Bytes that the process' control group may have, if there is a limit (cgroups(7), version 2 or 1).
#[must_use]
pub fn cgroup_max() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    lowest(&groups, |path| std::fs::read_to_string(path).ok())
}

/// The lowest limit of a group and those it is in. Within a container the path that the kernel tells may not be there, but the
/// root of what is there is the container's own.
fn lowest(groups: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let limit = |path: &Path| read(path)?.trim().parse().ok().filter(|bytes| *bytes < NO_LIMIT);
    let files = groups.lines().filter_map(files).flatten();
    files.filter_map(|file| limit(&file)).min()
}

/// Version 1 has no word for "none", but the largest number of whole pages.
const NO_LIMIT: u64 = 1 << 62;

/// Where the limits of a line of `/proc/self/cgroup` stand, from the group itself to the root.
fn files(line: &str) -> Option<Vec<PathBuf>> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let (root, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        _ if controllers.split(',').any(|name| name == "memory") => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        _ => return None,
    };
    let own: PathBuf = Path::new(path).components().filter(|part| matches!(part, Component::Normal(_))).collect();
    Some(own.ancestors().map(|group| Path::new(root).join(group).join(file)).collect())
}

/// The most memory, as an operator says it: `512MiB`, `2GiB`, bytes, or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryMax(pub Option<u64>);

impl FromStr for MemoryMax {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
        let shift = match &text[digits.len()..] {
            "" => Some(0),
            "KiB" => Some(10),
            "MiB" => Some(20),
            "GiB" => Some(30),
            _ => None,
        };
        let bytes = shift.and_then(|shift| digits.parse::<u64>().ok()?.checked_mul(1 << shift));
        match bytes {
            Some(bytes) if bytes >= LEAST => Ok(Self(Some(bytes))),
            Some(_) => Err(format!("at least {} MiB, which a node at rest takes", LEAST >> 20)),
            None => Err("a number of bytes, or of KiB, MiB or GiB as in 512MiB, or none".to_owned()),
        }
    }
}

/// A node at rest with 40 partitions takes half of it.
const LEAST: u64 = 48 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(groups: &str, limits: &[(&str, &str)]) -> Option<u64> {
        lowest(groups, |path| limits.iter().find(|(at, _)| Path::new(at) == path).map(|(_, text)| format!("{text}\n")))
    }

    #[test]
    fn the_lowest_limit_on_the_way_to_the_root_holds() {
        let limits = [("/sys/fs/cgroup/a/b/memory.max", "max"), ("/sys/fs/cgroup/a/memory.max", "4096")];
        assert_eq!(found("0::/a/b\n", &limits), Some(4096));
        assert_eq!(found("0::/a/b\n", &limits[..1]), None);
        let container = [("/sys/fs/cgroup/memory.max", "8192")];
        assert_eq!(found("0::/kubepods/pod7/abc\n", &container), Some(8192));
        assert_eq!(found("0::/../../x\n", &container), Some(8192));
    }

    #[test]
    fn version_1_is_read_where_memory_is_its_own() {
        let groups = "12:cpu,cpuacct:/x\n4:memory:/x\n0::/\n";
        assert_eq!(found(groups, &[("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "1024")]), Some(1024));
        let none = [("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "9223372036854771712")];
        assert_eq!(found(groups, &none), None);
    }

    #[test]
    fn a_size_is_bytes_or_has_a_unit() {
        let parse = |text: &str| text.parse::<MemoryMax>().map(|max| max.0);
        assert_eq!(parse("512MiB"), Ok(Some(512 << 20)));
        assert_eq!(parse("2GiB"), Ok(Some(2 << 30)));
        assert_eq!(parse("100000000"), Ok(Some(100_000_000)));
        assert_eq!(parse("none"), Ok(None));
        for wrong in ["", "MiB", "512MB", "-1", "99999999999GiB", "1.5GiB"] {
            assert!(parse(wrong).unwrap_err().contains("as in 512MiB"), "{wrong}");
        }
        assert!(parse("4MiB").unwrap_err().contains("at least 48 MiB"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
