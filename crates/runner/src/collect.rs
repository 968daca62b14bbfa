//! What a job leaves behind: artifacts, reports, dotenv variables.

use std::path::{Path, PathBuf};

use serin_objects::archive::{self, Limits, Packed, Selection};
use serin_objects::glob::Pattern;

use crate::dotenv;
use crate::request::Report;

/// What of the project folder is wanted, in the words of `.gitlab-ci.yml`, expanded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) paths: Vec<String>,
    pub(crate) exclude: Vec<String>,
    /// Files that Git does not track, where they are wanted.
    pub(crate) files: Vec<PathBuf>,
}

/// Something that people should know, though nothing fails by it.
pub(crate) type Warning = String;

impl Wanted {
    /// Parses the patterns; those that lead out of the project folder select nothing. With the words of `paths` that
    /// were understood.
    pub(crate) fn selection(&self, warnings: &mut Vec<Warning>) -> (Selection, Vec<&str>) {
        let mut parse = |words: &str| {
            let parsed = Pattern::parse(words);
            parsed.map_err(|error| warnings.push(error.to_string())).ok()
        };
        let (mut paths, mut understood) = (Vec::new(), Vec::new());
        for words in self.paths.iter().map(|words| words.trim()).filter(|words| !words.is_empty()) {
            if let Some(pattern) = parse(words) {
                paths.push(pattern);
                understood.push(words);
            }
        }
        let exclude = self.exclude.iter().filter_map(|words| parse(words.trim())).collect();
        (Selection { paths, exclude, files: self.files.clone() }, understood)
    }
}

/// Packs what is wanted into `archive`; `None`: nothing is there.
pub(crate) fn pack(
    project: &Path,
    wanted: &Wanted,
    archive: &Path,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Packed>, serin_objects::Error> {
    let (selection, words) = wanted.selection(warnings);
    let packed = archive::pack(project, &selection, archive, Limits::default())?;
    let missing = words.iter().zip(&packed.matches).filter(|(_, count)| **count == 0);
    warnings.extend(missing.map(|(words, _)| format!("{words}: no matching files")));
    warnings.extend(packed.left_out.iter().map(|name| {
        format!("{name}: left out (a link that leads out of the project, no file, or a name that is no UTF-8)")
    }));
    if packed.entries == 0 {
        // An archive of nothing is of no use to anyone.
        let _ = std::fs::remove_file(archive);
        return Ok(None);
    }
    Ok(Some(packed))
}

/// Packs the files of one kind of report.
pub(crate) fn report(
    project: &Path,
    kind: &str,
    wanted: &Wanted,
    results: &Path,
) -> Result<(Option<Report>, Vec<Warning>), serin_objects::Error> {
    let plain = kind.bytes().all(|byte| byte == b'_' || byte == b'-' || byte.is_ascii_alphanumeric());
    if kind.is_empty() || !plain {
        return Ok((None, vec![format!("report `{kind}` is of no known kind")]));
    }
    let archive = results.join(format!("report-{kind}.zip"));
    let mut warnings = Vec::new();
    let packed = pack(project, wanted, &archive, &mut warnings)?;
    Ok((packed.map(|_| Report { kind: kind.to_owned(), archive }), warnings))
}

/// Reads the variables of dotenv files; an error says what is malformed.
pub(crate) fn dotenv(project: &Path, wanted: &Wanted, results: &Path) -> Result<Vec<(String, String)>, String> {
    let (report, _) = report(project, "dotenv", wanted, results).map_err(|error| error.to_string())?;
    let Some(report) = report else { return Ok(Vec::new()) };
    let text = |error: serin_objects::Error| error.to_string();
    let mut variables = Vec::new();
    let mut bytes_left = dotenv::DOTENV_BYTES_MAX;
    for entry in archive::list(&report.archive, Limits::default()).map_err(text)? {
        if entry.kind != archive::EntryKind::File {
            continue;
        }
        let content = archive::read_file(&report.archive, &entry.path, bytes_left).map_err(text)?;
        bytes_left -= content.len() as u64;
        let content = String::from_utf8(content).map_err(|_| format!("dotenv file `{}` is no UTF-8", entry.path))?;
        let parsed = dotenv::parse(&content).map_err(|error| format!("dotenv file `{}`: {error}", entry.path))?;
        variables.extend(parsed);
    }
    Ok(variables)
}
