//! The text that a job's shell reads.

use std::path::{Path, PathBuf};

use crate::environment::HostEnvironment;

/// A shell of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shell {
    pub(crate) program: PathBuf,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bash,
    Posix,
}

impl Shell {
    /// Whatever shell an image has.
    pub(crate) fn unknown() -> Self {
        Self { program: "sh".into(), kind: Kind::Posix }
    }

    /// bash where it is in the search path, else sh; [`HostEnvironment::shell`] remembers it.
    pub(crate) fn find(host: &HostEnvironment) -> Option<Self> {
        let path = host.get("PATH")?;
        let find = |name: &str| {
            std::env::split_paths(path)
                .filter(|folder| folder.is_absolute())
                .map(|f| f.join(name))
                .find(|p| p.is_file())
        };
        let bash = find("bash").map(|program| Self { program, kind: Kind::Bash });
        bash.or_else(|| find("sh").map(|program| Self { program, kind: Kind::Posix }))
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Bash => "bash",
            Kind::Posix => "sh",
        }
    }

    /// The arguments to run a script file without any start-up file of the machine.
    pub(crate) fn args(&self, script: &Path) -> Vec<std::ffi::OsString> {
        match self.kind {
            Kind::Bash => vec!["--noprofile".into(), "--norc".into(), script.into()],
            Kind::Posix => vec![script.into()],
        }
    }

    /// The script: each command is shown, then run; the first that fails ends it.
    pub(crate) fn script<'a>(&self, commands: impl IntoIterator<Item = &'a String>) -> String {
        let mut text = String::from(match self.kind {
            Kind::Bash => "set -eo pipefail\nset +o noclobber\n",
            Kind::Posix => "set -e\n( set -o pipefail ) 2>/dev/null && set -o pipefail || :\n",
        });
        for command in commands {
            text.push_str("printf '%s\\n' ");
            text.push_str(&quoted(&format!("\x1b[32;1m$ {}\x1b[0;m", shown(command))));
            text.push('\n');
            text.push_str(command);
            text.push('\n');
        }
        text
    }
}

/// A command as the trace shows it: its first line.
fn shown(command: &str) -> String {
    let mut lines = command.trim_end().lines();
    let first = lines.next().unwrap_or_default();
    if lines.next().is_some() { format!("{first} # collapsed multi-line command") } else { first.to_owned() }
}

/// One word for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_as_text_and_run_as_they_are() {
        let shell = Shell { program: "/bin/bash".into(), kind: Kind::Bash };
        let commands = ["echo 'a' \"$(id)\"".to_owned(), "if true\nthen :\nfi\n".to_owned()];
        let text = shell.script(&commands);
        assert!(text.contains("printf '%s\\n' '\x1b[32;1m$ echo '\\''a'\\'' \"$(id)\"\x1b[0;m'\necho 'a' \"$(id)\"\n"));
        assert!(text.contains("$ if true # collapsed multi-line command"));
    }
}
