//! `run`: steps as lines of a script.

use crate::compile::variables;
use crate::inputs::functions::posix_quote;
use crate::syntax::Node;

/// The lines: each step is a shell of its own, with its own variables, and the first that fails ends the job.
pub(super) fn lines(run: &Node) -> Vec<String> {
    run.as_list().unwrap_or_default().iter().map(line).collect()
}

/// Whether each step is a script, which is all that is carried out.
pub(super) fn are_scripts(run: &Node) -> bool {
    run.as_list().unwrap_or_default().iter().all(|step| step.get("script").is_some())
}

fn line(step: &Node) -> String {
    let name = step.get("name").and_then(Node::as_text).unwrap_or_default();
    // The first line is the one that the log shows.
    let title = name.lines().next().unwrap_or_default();
    let Some(script) = step.get("script").and_then(Node::as_text) else {
        let says = format!("Serin runs steps with `script` alone, not the step `{name}`");
        return format!("# {title}\necho {} >&2; false", posix_quote(&says));
    };
    let exports: String = variables(step.get("env"), false)
        .iter()
        .map(|variable| format!("export {}={}\n", posix_quote(&variable.key), posix_quote(&variable.value)))
        .collect();
    format!("# {title}\n(\n{exports}{}\n)", script.trim_end())
}
