//! The last table and the ports given out, kept on disk.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Routes};

/// The file's name.
const NAME: &str = "routes.json";
/// Where the next state is written before it takes the file's place.
const NEXT: &str = "routes.json.next";
/// Where an unreadable file is put aside.
const BROKEN: &str = "routes.json.broken";
/// The layout of the file.
const FORMAT: u32 = 1;

/// What outlives the gateway's process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    format: u32,
    pub(crate) routes: Routes,
    /// Where environments without an address of their own are served, by key; also of those that left.
    pub(crate) ports: BTreeMap<String, SocketAddr>,
}

/// The routes that the gateway of a folder has in force, or had last.
///
/// # Errors
/// The file cannot be read.
pub fn kept_routes(dir: &Path) -> Result<Routes, Error> {
    let kept = read(&dir.join(NAME))?.and_then(|bytes| parse(&bytes).ok());
    Ok(kept.map(|state| state.routes).unwrap_or_default())
}

/// Reads the state; none is an empty one, and one that cannot be understood is put aside.
pub(crate) fn load(dir: &Path) -> Result<State, Error> {
    let path = dir.join(NAME);
    let Some(bytes) = read(&path)? else { return Ok(State::default()) };
    match parse(&bytes) {
        Ok(state) => Ok(state),
        Err(error) => {
            tracing::error!(path = %path.display(), ?error, "kept routes not understood, put aside");
            std::fs::rename(&path, dir.join(BROKEN)).map_err(Error::io("put aside", path))?;
            Ok(State::default())
        }
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// The state; `Err(None)`: it is of another layout, or its routes are none.
fn parse(bytes: &[u8]) -> Result<State, Option<serde_json::Error>> {
    let state: State = serde_json::from_slice(bytes).map_err(Some)?;
    if state.format == FORMAT && state.routes.check().is_ok() { Ok(state) } else { Err(None) }
}

/// Writes the state so that a crash leaves either the old one or the new one.
pub(crate) fn save(dir: &Path, state: &State) -> Result<(), Error> {
    let (path, next) = (dir.join(NAME), dir.join(NEXT));
    let mut kept = state.clone();
    kept.format = FORMAT;
    let bytes = serde_json::to_vec(&kept).map_err(|error| Error::io("encode", &path)(error.into()))?;
    write_synced(&next, &bytes).map_err(Error::io("write", &next))?;
    std::fs::rename(&next, &path).map_err(Error::io("replace", &path))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::io("sync", dir))
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()).unwrap(), State::default());
        let mut state = State { routes: Routes { revision: 7, environments: Vec::new() }, ..State::default() };
        state.ports.insert("e".to_owned(), "127.0.0.1:1".parse().unwrap());
        save(dir.path(), &state).unwrap();
        let loaded = load(dir.path()).unwrap();
        assert_eq!(kept_routes(dir.path()).unwrap(), loaded.routes);
        assert_eq!((loaded.routes, loaded.ports), (state.routes, state.ports));
    }

    #[test]
    fn a_broken_file_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(NAME), b"{\"format\":1,").unwrap();
        assert_eq!(kept_routes(dir.path()).unwrap(), Routes::default());
        assert_eq!(load(dir.path()).unwrap(), State::default());
        assert!(dir.path().join(BROKEN).exists());
    }
}
