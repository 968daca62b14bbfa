//! `serin compile`: the merged file.

use std::process::ExitCode;

use anyhow::Result;
use serin_lang::merged::Origins;

use crate::cli::{Compile, Format};
use crate::terminal;

/// Prints the merged file; exit code 1 where the files have errors.
pub fn run(compile: &Compile) -> Result<ExitCode> {
    let Some(local) = super::compiled(&compile.of)? else { return Ok(ExitCode::from(1)) };
    let merged = &local.compilation.merged;
    match compile.format {
        Format::Json => {
            let value: serde_json::Value = serde_json::from_str(&merged.json())?;
            terminal::json(&value)?;
        }
        Format::Text => {
            let origins = if compile.no_origins { Origins::Hidden } else { Origins::Shown };
            terminal::line(merged.yaml(origins).trim_end());
        }
    }
    Ok(ExitCode::SUCCESS)
}
