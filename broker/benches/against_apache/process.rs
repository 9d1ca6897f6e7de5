//! What the kernel says about a process and about the machine.

use anyhow::Context;

/// `USER_HZ`: what Linux counts in towards programs, whatever it counts in itself.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time of a process and all its threads so far, in clock ticks.
#[derive(Debug, Clone, Copy)]
pub struct CpuTime {
    ticks: u64,
}

impl CpuTime {
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name of the program comes first, in brackets, and may hold anything.
        let (_, after_name) = stat
            .rsplit_once(')')
            .context("/proc/PID/stat has no name")?;
        let field = |n: usize| -> anyhow::Result<u64> {
            let field = after_name.split_whitespace().nth(n);
            Ok(field.context("/proc/PID/stat is short")?.parse()?)
        };
        Ok(Self {
            ticks: field(11)? + field(12)?,
        })
    }

    /// Of several processes together.
    pub fn of_all(pids: impl IntoIterator<Item = u32>) -> anyhow::Result<Self> {
        let mut ticks = 0;
        for pid in pids {
            ticks += Self::of(pid)?.ticks;
        }
        Ok(Self { ticks })
    }

    pub fn seconds_since(self, earlier: Self) -> f64 {
        let ticks = self.ticks.saturating_sub(earlier.ticks);
        ticks as f64 / TICKS_PER_SECOND
    }
}

/// Pages of the process that are in memory, its own and those of files: what `ps` shows as RSS.
pub fn resident_mib(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = (status.lines().find_map(|l| l.strip_prefix("VmRSS:"))).context("no VmRSS")?;
    let kib = line.split_whitespace().next().context("no number")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}

/// The averages over 1, 5 and 15 minutes.
pub fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let averages: Vec<&str> = text.split_whitespace().take(3).collect();
    averages.join(" ")
}
