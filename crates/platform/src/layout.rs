//! The folder of a node and the records in it.
//!
//! `DIR/nodes/ENVIRONMENT/NODE/` is private to the user (0700) and holds `spec.json`, `lock`, `control.sock`, `log`,
//! `log.1`, `ended.json`, `supervisor.log`, and the service's `home`, `tmp` and, where it has some, `secrets`. `DIR/ports/`
//! holds one lock per port.

use crate::{Error, NodeKey, NodeSpec};
use nix::libc;
use serde::{Deserialize, Serialize};
use serin_model::service::{Health, LogFormat, Probe};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const NAME_BYTES_MAX: usize = 100;
const RECORD_BYTES_MAX: u64 = 1024 * 1024;
const SPEC_VERSION: u32 = 1;

/// The folder of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeDir(pub(crate) PathBuf);

impl NodeDir {
    /// The folder of `key` under the platform's folder `dir`, its name checked.
    pub(crate) fn of(dir: &Path, key: &NodeKey) -> Result<Self, Error> {
        check_name("an environment", &key.environment)?;
        check_name("a node", key.node.as_str())?;
        Ok(Self(environment_dir(dir, &key.environment).join(key.node.as_str())))
    }

    pub(crate) fn create(&self) -> Result<(), Error> {
        create_private(&self.0)
    }

    pub(crate) fn spec(&self) -> PathBuf {
        self.0.join("spec.json")
    }
    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }
    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("log")
    }
    pub(crate) fn log_before(&self) -> PathBuf {
        self.0.join("log.1")
    }
    pub(crate) fn ended(&self) -> PathBuf {
        self.0.join("ended.json")
    }
    pub(crate) fn supervisor_log(&self) -> PathBuf {
        self.0.join("supervisor.log")
    }
    pub(crate) fn home(&self) -> PathBuf {
        self.0.join("home")
    }
    pub(crate) fn tmp(&self) -> PathBuf {
        self.0.join("tmp")
    }
    pub(crate) fn secrets(&self) -> PathBuf {
        self.0.join("secrets")
    }

    /// A path to the node's socket that fits the 108 bytes of a socket address however long the folder's is; valid as
    /// long as the returned folder handle is open.
    pub(crate) fn socket(&self) -> io::Result<(File, PathBuf)> {
        let handle = OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(&self.0)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/control.sock", handle.as_raw_fd()));
        Ok((handle, path))
    }

    /// Reads the node's specification; `None` where there is none.
    pub(crate) fn read_spec(&self) -> Result<Option<SpecRecord>, Error> {
        read_record(&self.spec())
    }
}

pub(crate) fn nodes_dir(dir: &Path) -> PathBuf {
    dir.join("nodes")
}

pub(crate) fn environment_dir(dir: &Path, environment: &str) -> PathBuf {
    nodes_dir(dir).join(environment)
}

/// Checks that a name is safe as a folder's.
pub(crate) fn check_name(what: &'static str, name: &str) -> Result<(), Error> {
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    let first = name.bytes().next().is_some_and(|byte| !matches!(byte, b'-' | b'.'));
    if letters && first && name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(Error::Name { what, name: name.chars().take(NAME_BYTES_MAX).collect() })
}

/// Makes a folder and its parents, open to this user alone.
pub(crate) fn create_private(path: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(Error::io("create the folder", path))
}

/// Reads a JSON record of bounded size; `None` where there is no file.
pub(crate) fn read_record<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(RECORD_BYTES_MAX).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| Error::io("read", path)(io::Error::other(error)))
}

/// Writes a JSON record in one step: a reader sees the old one or the new one.
pub(crate) fn write_record<T: Serialize>(path: &Path, record: &T) -> Result<(), Error> {
    let fresh = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(&serde_json::to_vec(record).map_err(io::Error::other)?)?;
        file.sync_data()?;
        fs::rename(&fresh, path)
    };
    write().map_err(Error::io("write", path))
}

/// Puts secrets into a folder of their own, each a file that only this user reads; none of before stays.
pub(crate) fn write_secrets(dir: &NodeDir, secrets: &[(String, crate::Secret)]) -> Result<(), Error> {
    let folder = dir.secrets();
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("empty", folder)(error)),
        _ if secrets.is_empty() => return Ok(()),
        _ => create_private(&folder)?,
    }
    for (name, secret) in secrets {
        let path = folder.join(name);
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(&path)?;
            file.write_all(secret.0.as_bytes())
        };
        write().map_err(Error::io("write", &path))?;
    }
    Ok(())
}

/// Checks what every platform refuses: names of secrets that are no file names.
pub(crate) fn check_secrets(spec: &NodeSpec) -> Result<(), Error> {
    spec.secrets.iter().try_for_each(|(name, _)| check_name("a secret", name))
}

/// A node's specification on disk: what its supervisor reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SpecRecord {
    pub(crate) version: u32,
    pub(crate) environment: String,
    pub(crate) node: String,
    pub(crate) generation: u64,
    pub(crate) digest: String,
    pub(crate) release_dir: PathBuf,
    pub(crate) command: Vec<String>,
    pub(crate) variables: Vec<(String, String)>,
    #[serde(default)]
    pub(crate) probe: Probe,
    pub(crate) health_path: String,
    pub(crate) health_timeout_ms: i64,
    pub(crate) health_interval_ms: i64,
    pub(crate) logs: LogRecord,
    pub(crate) stop_timeout_ms: i64,
    pub(crate) ports_dir: PathBuf,
    /// Arguments before the supervisor's own, with which it starts itself again.
    pub(crate) supervisor_args: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogRecord {
    Json,
    Logfmt,
    Text,
}

impl SpecRecord {
    pub(crate) fn of(spec: &NodeSpec, dir: &Path, supervisor_args: &[String]) -> Self {
        Self {
            version: SPEC_VERSION,
            environment: spec.key.environment.clone(),
            node: spec.key.node.0.clone(),
            generation: spec.generation,
            digest: spec.digest.0.clone(),
            release_dir: spec.release_dir.clone(),
            command: spec.command.clone(),
            variables: spec.variables.clone(),
            probe: spec.health.probe.clone(),
            health_path: spec.health.path.clone(),
            health_timeout_ms: spec.health.timeout_ms,
            health_interval_ms: spec.health.interval_ms,
            logs: match spec.logs {
                LogFormat::Json => LogRecord::Json,
                LogFormat::Logfmt => LogRecord::Logfmt,
                LogFormat::Text => LogRecord::Text,
            },
            stop_timeout_ms: spec.stop_timeout_ms,
            ports_dir: dir.join("ports"),
            supervisor_args: supervisor_args.to_vec(),
        }
    }

    pub(crate) fn log_format(&self) -> LogFormat {
        match self.logs {
            LogRecord::Json => LogFormat::Json,
            LogRecord::Logfmt => LogFormat::Logfmt,
            LogRecord::Text => LogFormat::Text,
        }
    }

    pub(crate) fn health(&self) -> Health {
        Health {
            probe: self.probe.clone(),
            path: self.health_path.clone(),
            timeout_ms: self.health_timeout_ms,
            interval_ms: self.health_interval_ms,
        }
    }
}

/// What a supervisor leaves behind when it ends in good order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EndedRecord {
    pub(crate) generation: u64,
    pub(crate) since_ms: i64,
    pub(crate) restarts: u32,
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        for name in ["", ".", "..", "a/b", "a\0b", "-rf", "ü", "a b", &"x".repeat(101)] {
            assert!(check_name("a node", name).is_err(), "{name:?}");
        }
        for name in ["a-1", "3-production", "A_b.c", &"x".repeat(100)] {
            assert!(check_name("a node", name).is_ok(), "{name:?}");
        }
    }
}
