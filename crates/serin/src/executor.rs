//! Which executor carries jobs out, as `serin run` and `serin serve` are told.

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serin_runner::{Choice, ContainerLimits, ContainerSettings, Missing};

/// Flags of the executor; the table `[runner]` of `serin.toml` has fields of the same names with `_`.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Executor")]
pub struct ExecutorFlags {
    /// Where jobs run: `auto` is a container for a job that names an image, where a Docker Engine answers.
    #[arg(long, env = "SERIN_EXECUTOR", value_enum)]
    pub executor: Option<Executor>,
    /// Memory of each container, such as `512m` or `4g`; 80 % of the machine's where not given.
    #[arg(long, env = "SERIN_JOB_MEMORY", value_name = "SIZE")]
    pub job_memory: Option<Size>,
    /// Processor cores of each container, such as `1.5`; all where not given.
    #[arg(long, env = "SERIN_JOB_CPUS", value_name = "CORES")]
    pub job_cpus: Option<f64>,
    /// Processes and threads of each container; 4,096 where not given.
    #[arg(long, env = "SERIN_JOB_PIDS", value_name = "N")]
    pub job_pids: Option<u32>,
    /// Output of one script that a container's trace keeps, such as `64m`; 256 MiB where not given.
    #[arg(long, env = "SERIN_JOB_OUTPUT", value_name = "SIZE")]
    pub job_output: Option<Size>,
}

/// Where jobs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Executor {
    /// In a container where the job names an image and an engine answers, else in a shell.
    Auto,
    /// In a shell of this machine.
    Shell,
    /// In a container; a job without an image fails.
    Docker,
}

/// A number of bytes: digits, and `k`, `m` or `g` for KiB, MiB or GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Size(pub u64);

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            _ => return Err(format!("`{text}` is no size: write `512m` or `4g`")),
        };
        let number: Option<u64> = digits.parse().ok().filter(|number| *number > 0 && *number < 1 << 32);
        number.map(|number| Self(number << shift)).ok_or_else(|| format!("`{text}` is no size: write `512m` or `4g`"))
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl ExecutorFlags {
    /// These flags, and where they say nothing the others.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            executor: self.executor.or(other.executor),
            job_memory: self.job_memory.or(other.job_memory),
            job_cpus: self.job_cpus.or(other.job_cpus),
            job_pids: self.job_pids.or(other.job_pids),
            job_output: self.job_output.or(other.job_output),
        }
    }

    /// What the runner is told; `missing` is what an image means that cannot be had.
    #[must_use]
    pub fn settings(&self, missing: Missing) -> ContainerSettings {
        let defaults = ContainerLimits::default();
        let choice = match self.executor {
            None | Some(Executor::Auto) => Choice::Auto,
            Some(Executor::Shell) => Choice::Shell,
            Some(Executor::Docker) => Choice::Docker,
        };
        let limits = ContainerLimits {
            memory_bytes: self.job_memory.map_or(defaults.memory_bytes, |size| size.0),
            cpu_milli: self.job_cpus.map(milli),
            pids: self.job_pids.unwrap_or(defaults.pids),
            output_bytes: self.job_output.map_or(defaults.output_bytes, |size| size.0),
        };
        ContainerSettings { choice, missing, limits }
    }
}

/// Thousandths of a core, at least ten, which is the least that the engine takes.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped before")]
fn milli(cores: f64) -> u32 {
    (cores * 1000.0).clamp(10.0, 1_000_000.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [("1", 1), ("512m", 512 << 20), ("4G", 4 << 30), ("10KiB", 10 << 10)] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "m", "-1m", "1.5g", "4t", "0", "99999999999999999g"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn flags_come_before_the_file() {
        let flags = ExecutorFlags { executor: Some(Executor::Shell), job_pids: Some(7), ..ExecutorFlags::default() };
        let file = ExecutorFlags { executor: Some(Executor::Docker), job_cpus: Some(1.5), ..ExecutorFlags::default() };
        let settings = flags.or(file).settings(Missing::Fail);
        assert_eq!(settings.choice, Choice::Shell);
        assert_eq!((settings.limits.pids, settings.limits.cpu_milli), (7, Some(1500)));
        assert_eq!(ExecutorFlags::default().settings(Missing::Fail).choice, Choice::Auto);
    }
}
