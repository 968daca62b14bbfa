//! The environment of a job's processes.
//!
//! Nothing of the server's own environment reaches a job but what [`HostEnvironment`] names. `HOME` is the home of the
//! user that runs the job, as with the official runner's shell executor, so that installed toolchains are found; a job
//! variable `HOME` overrides it. `TMPDIR` is the job's own.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serin_model::plan::Variable;

use crate::expand::expand_with;
use crate::script::Shell;

/// Variables of the machine that a job may see.
const PASSED_ON: [&str; 19] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];
/// Where programs are looked for if the machine says nothing.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Bytes of one `NAME=value`, with its end, that Linux hands to a program (`MAX_ARG_STRLEN`).
const ENTRY_BYTES_MAX: usize = 128 << 10;

/// What a job sees of the machine.
#[derive(Clone, Debug)]
pub struct HostEnvironment {
    entries: Vec<(OsString, OsString)>,
    /// The shell that was found by it, for all clones.
    shell: Arc<OnceLock<Shell>>,
}

impl Default for HostEnvironment {
    /// As [`HostEnvironment::of_this_process`].
    fn default() -> Self {
        Self::of_this_process()
    }
}

impl HostEnvironment {
    /// Takes the harmless part of this process's environment: search path, home, language, proxies, certificates.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self::from_entries(std::env::vars_os())
    }

    /// Takes the harmless part of `entries`.
    #[must_use]
    pub fn from_entries(entries: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut entries: Vec<_> = entries
            .into_iter()
            .filter(|(name, _)| PASSED_ON.iter().any(|passed| name.as_os_str() == *passed))
            .collect();
        for (name, value) in [("PATH", PATH_DEFAULT), ("LANG", "C.UTF-8")] {
            if !entries.iter().any(|(entry, _)| entry.as_os_str() == name) {
                entries.push((name.into(), value.into()));
            }
        }
        Self { entries, shell: Arc::default() }
    }

    /// Nothing of the machine.
    pub(crate) fn none() -> Self {
        Self { entries: Vec::new(), shell: Arc::default() }
    }

    /// The shell of this machine that jobs run in; what was found is not looked for again.
    pub(crate) fn shell(&self) -> Option<Shell> {
        match self.shell.get() {
            Some(shell) => Some(shell.clone()),
            None => Shell::find(self).map(|found| self.shell.get_or_init(|| found).clone()),
        }
    }

    /// The value of a variable of the machine.
    pub(crate) fn get(&self, name: &str) -> Option<&OsString> {
        self.entries.iter().find(|(entry, _)| entry.as_os_str() == name).map(|(_, value)| value)
    }
}

/// A job's variables after expansion, and the environment made of them.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    /// Expanded; a name stands once; file variables hold their path.
    variables: Vec<Variable>,
    host: HostEnvironment,
}

impl Environment {
    /// Expands `variables` and writes file variables to files of their own below `files`, readable by the owner alone; the
    /// job sees that folder as `seen`.
    pub(crate) fn new(
        host: &HostEnvironment,
        variables: &[Variable],
        (files, seen): (&Path, &Path),
    ) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(files)?;
        let latest = latest_of_each(variables);
        let mut located = Vec::with_capacity(latest.len());
        for (index, variable) in latest.iter().enumerate() {
            let mut variable = (*variable).clone();
            if variable.file {
                let path = write_file(files, index, &variable)?;
                let name = path.file_name().unwrap_or_default();
                variable.value = seen.join(name).to_string_lossy().into_owned();
                variable.raw = true;
            }
            located.push(variable);
        }
        Ok(Self { variables: expanded(located), host: host.clone() })
    }

    /// The variables, for [`crate::expand::expand`].
    pub(crate) fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// Expands `text` by the variables of the job.
    pub(crate) fn expand(&self, text: &str) -> String {
        crate::expand::expand(text, &self.variables)
    }

    /// The expanded value of a variable.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.variables.iter().find(|variable| variable.key == key).map(|variable| variable.value.as_str())
    }

    /// Sets a variable of the runner's own.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.variables.retain(|variable| variable.key != key);
        self.variables.push(Variable::plain(key, value));
    }

    /// The entries for a process; an error names a variable that no process can be given.
    pub(crate) fn entries(&self) -> Result<Vec<(OsString, OsString)>, String> {
        let own = |name: &OsString| self.variables.iter().any(|variable| name.as_os_str() == variable.key.as_str());
        let mut entries: Vec<(OsString, OsString)> =
            self.host.entries.iter().filter(|(name, _)| !own(name)).cloned().collect();
        for variable in &self.variables {
            if !is_possible_name(&variable.key) {
                continue;
            }
            if variable.value.contains('\0') {
                return Err(format!("variable `{}` holds a zero byte, which no process can be given", variable.key));
            }
            if variable.key.len() + variable.value.len() + 2 > ENTRY_BYTES_MAX {
                return Err(format!(
                    "variable `{}` is too long for a process: {} bytes, at most {}; make it a file variable",
                    variable.key,
                    variable.value.len(),
                    ENTRY_BYTES_MAX - variable.key.len() - 2
                ));
            }
            entries.push((OsString::from(&variable.key), OsString::from(&variable.value)));
        }
        Ok(entries)
    }
}

/// Whether a process can have a variable of that name.
fn is_possible_name(key: &str) -> bool {
    !key.is_empty() && !key.contains(['=', '\0'])
}

/// The last of each name, in the order of first appearance.
fn latest_of_each(variables: &[Variable]) -> Vec<&Variable> {
    let mut latest: Vec<&Variable> = Vec::with_capacity(variables.len());
    let mut position = HashMap::new();
    for variable in variables {
        let index = *position.entry(variable.key.as_str()).or_insert(latest.len());
        match latest.get_mut(index) {
            Some(slot) => *slot = variable,
            None => latest.push(variable),
        }
    }
    latest
}

/// The variables of somebody who is no process: the last of each name, expanded; those for files hold the content.
#[must_use]
pub fn resolved(variables: &[Variable]) -> Vec<Variable> {
    let plain = |variable: &Variable| Variable { raw: variable.raw || variable.file, ..variable.clone() };
    expanded(latest_of_each(variables).into_iter().map(plain).collect())
}

/// Expands each value once by the others as they were written.
fn expanded(mut variables: Vec<Variable>) -> Vec<Variable> {
    let refers = |variable: &Variable| !variable.raw && variable.value.contains('$');
    if !variables.iter().any(refers) {
        return variables;
    }
    let by_name: HashMap<&str, &str> = variables.iter().map(|v| (v.key.as_str(), v.value.as_str())).collect();
    let expand = |variable: &Variable| expand_with(&variable.value, |name| by_name.get(name).copied());
    let values: Vec<Option<String>> = variables.iter().map(|v| refers(v).then(|| expand(v))).collect();
    for (variable, value) in variables.iter_mut().zip(values) {
        variable.value = value.unwrap_or_else(|| std::mem::take(&mut variable.value));
    }
    variables
}

fn write_file(files: &Path, index: usize, variable: &Variable) -> io::Result<PathBuf> {
    let safe = variable.key.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
        && (1..=200).contains(&variable.key.len());
    let path = if safe { files.join(&variable.key) } else { files.join(format!("variable-{index}")) };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(variable.value.as_bytes())?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn raw(key: &str, value: &str) -> Variable {
        Variable { raw: true, ..Variable::plain(key, value) }
    }

    #[test]
    fn values_expand_once_and_raw_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let variables = [
            Variable::plain("A", "one"),
            Variable::plain("B", "$A-$C-$UNKNOWN"),
            Variable::plain("C", "$A"),
            raw("D", "$A $$"),
            Variable::plain("PRICE", "5$$"),
            Variable::plain("A", "two"),
        ];
        let environment =
            Environment::new(&HostEnvironment::default(), &variables, (folder.path(), folder.path())).unwrap();
        let value = |key| environment.get(key).unwrap();
        assert_eq!((value("A"), value("B"), value("C")), ("two", "two-$A-", "two"));
        assert_eq!((value("D"), value("PRICE")), ("$A $$", "5$"));
    }

    #[test]
    fn file_variables_are_files_of_the_owner() {
        let folder = tempfile::tempdir().unwrap();
        let file = |key: &str| Variable { file: true, ..Variable::plain(key, "top\nsecret $A") };
        let variables = [file("KEY"), file("../up"), Variable::plain("USE", "--key $KEY")];
        let environment =
            Environment::new(&HostEnvironment::default(), &variables, (folder.path(), folder.path())).unwrap();
        let path = environment.get("KEY").unwrap().to_owned();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "top\nsecret $A");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(environment.get("USE").unwrap(), format!("--key {path}"));
        assert!(Path::new(environment.get("../up").unwrap()).starts_with(folder.path()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn only_the_harmless_part_of_the_machine_is_seen() {
        let entries = [("SERIN_TOKEN", "x"), ("AWS_SECRET_ACCESS_KEY", "y"), ("HOME", "/home/u"), ("PATH", "/bin")];
        let host = HostEnvironment::from_entries(entries.map(|(name, value)| (name.into(), value.into())));
        let folder = tempfile::tempdir().unwrap();
        let environment =
            Environment::new(&host, &[Variable::plain("HOME", "/mine")], (folder.path(), folder.path())).unwrap();
        let mut entries = environment.entries().unwrap();
        entries.sort();
        let expected = [("HOME", "/mine"), ("LANG", "C.UTF-8"), ("PATH", "/bin")];
        assert_eq!(entries, expected.map(|(name, value)| (OsString::from(name), OsString::from(value))));
    }

    #[test]
    fn impossible_entries_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let long = Variable::plain("LONG", "x".repeat(200_000));
        let environment =
            Environment::new(&HostEnvironment::default(), &[long], (folder.path(), folder.path())).unwrap();
        assert!(environment.entries().unwrap_err().contains("`LONG` is too long"));
    }
}
