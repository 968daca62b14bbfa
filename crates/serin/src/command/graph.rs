//! `serin graph`: stages and needs, drawn.

mod svg;

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::Result;
use serin_model::plan::{Job, Plan, When};

use crate::cli::{Graph, GraphFormat};
use crate::terminal::{self, BOLD, CYAN, DIM, YELLOW, plain, styled};

/// Draws the pipeline; exit code 1 where the files have errors.
pub fn run(graph: &Graph) -> Result<ExitCode> {
    let Some(local) = super::compiled(&graph.of)? else { return Ok(ExitCode::from(1)) };
    let empty = Plan::default();
    let drawing = Drawing::of(local.compilation.plan.as_ref().unwrap_or(&empty));
    let drawn = match graph.format {
        GraphFormat::Text => text(&drawing),
        GraphFormat::Svg => svg::draw(&drawing),
        GraphFormat::Mermaid => mermaid(&drawing),
        GraphFormat::Json => serde_json::to_string_pretty(&json(&drawing))?,
    };
    if !drawn.is_empty() {
        terminal::line(&drawn);
    }
    Ok(ExitCode::SUCCESS)
}

/// A pipeline as it is drawn: stages that have jobs, and what waits for what.
struct Drawing<'p> {
    plan: &'p Plan,
    /// The jobs of each stage that has some, by their place in the plan.
    stages: Vec<(&'p str, Vec<usize>)>,
    /// From and to, by their places in the plan.
    edges: Vec<(usize, usize)>,
}

impl<'p> Drawing<'p> {
    fn of(plan: &'p Plan) -> Self {
        let of_stage = |stage: usize| {
            let jobs = plan.jobs.iter().enumerate().filter(move |(_, job)| job.stage == stage);
            jobs.map(|(at, _)| at).collect::<Vec<_>>()
        };
        let stages = plan.stages.iter().enumerate().map(|(stage, name)| (name.as_str(), of_stage(stage)));
        let places: std::collections::BTreeMap<&str, usize> =
            plan.jobs.iter().enumerate().map(|(at, job)| (job.name.as_str(), at)).collect();
        let edges = plan.jobs.iter().enumerate().flat_map(|(to, job)| {
            let needs = job.needs.iter().flatten();
            needs.filter_map(|need| Some((*places.get(need.job.as_str())?, to))).collect::<Vec<_>>()
        });
        Self { plan, stages: stages.filter(|(_, jobs)| !jobs.is_empty()).collect(), edges: edges.collect() }
    }

    fn name(&self, job: usize) -> &'p str {
        &self.plan.jobs[job].name
    }
}

/// A mark for how a job starts.
fn mark(job: &Job) -> &'static str {
    match job.when {
        When::OnSuccess => "○",
        When::Always => "●",
        When::OnFailure => "✗",
        When::Manual => "▷",
        When::Delayed { .. } => "◷",
    }
}

fn text(drawing: &Drawing<'_>) -> String {
    let mut lines = Vec::new();
    for (at, (stage, jobs)) in drawing.stages.iter().enumerate() {
        if at > 0 {
            lines.push(styled(DIM, "│"));
        }
        lines.push(styled(BOLD, &plain(stage)));
        for (place, job) in jobs.iter().enumerate() {
            let branch = if place + 1 == jobs.len() { "└─" } else { "├─" };
            lines.push(format!("{} {}", styled(DIM, branch), node(drawing, *job)));
        }
    }
    lines.join("\n")
}

fn node(drawing: &Drawing<'_>, at: usize) -> String {
    let job = &drawing.plan.jobs[at];
    let mut line = format!("{} {}", mark(job), styled(CYAN, &plain(&job.name)));
    if job.when != When::OnSuccess {
        let _ = write!(line, " {}", styled(YELLOW, job.when.as_str()));
    }
    let waits = match &job.needs {
        None => return line,
        Some(needs) if needs.is_empty() => "at once".to_owned(),
        Some(needs) => {
            format!("◀ {}", needs.iter().map(|need| plain(&need.job)).collect::<Vec<_>>().join(", "))
        }
    };
    let _ = write!(line, "  {}", styled(DIM, &waits));
    line
}

fn mermaid(drawing: &Drawing<'_>) -> String {
    let mut out = String::from("flowchart LR\n");
    for (at, (stage, jobs)) in drawing.stages.iter().enumerate() {
        let _ = writeln!(out, "  subgraph s{at}[\"{}\"]", label(stage));
        for job in jobs {
            let _ = writeln!(out, "    j{job}[\"{}\"]", label(drawing.name(*job)));
        }
        out.push_str("  end\n");
    }
    for at in 1..drawing.stages.len() {
        let _ = writeln!(out, "  s{} -.-> s{at}", at - 1);
    }
    for (from, to) in &drawing.edges {
        let _ = writeln!(out, "  j{from} --> j{to}");
    }
    out.trim_end().to_owned()
}

/// A text inside the quotes of a Mermaid label, which knows entities.
fn label(text: &str) -> String {
    let mut label = String::new();
    for c in plain(text).chars() {
        if c.is_alphanumeric() || " -_./:,()[]+".contains(c) {
            label.push(c);
        } else {
            let _ = write!(label, "#{};", u32::from(c));
        }
    }
    label
}

fn json(drawing: &Drawing<'_>) -> serde_json::Value {
    let stages = drawing.stages.iter().map(|(stage, jobs)| {
        let names: Vec<&str> = jobs.iter().map(|job| drawing.name(*job)).collect();
        serde_json::json!({ "name": stage, "jobs": names })
    });
    let jobs = drawing.plan.jobs.iter().map(|job| {
        let needs = job.needs.as_ref().map(|needs| needs.iter().map(|need| &need.job).collect::<Vec<_>>());
        serde_json::json!({ "name": job.name, "when": job.when.as_str(), "needs": needs })
    });
    let edges = drawing
        .edges
        .iter()
        .map(|(from, to)| serde_json::json!({ "from": drawing.name(*from), "to": drawing.name(*to) }));
    serde_json::json!({
        "stages": stages.collect::<Vec<_>>(),
        "jobs": jobs.collect::<Vec<_>>(),
        "edges": edges.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Drawing, label, mermaid, svg};
    use serin_model::plan::Plan;

    fn plan() -> Plan {
        let text = "stages: [a, b]\none: {stage: a, script: x}\n'two \"<&': {stage: b, script: x, needs: [one]}\n";
        let entry = serin_lang::SourceFile::new("x", text);
        let context = serin_lang::Context { default_branch: "main".to_owned(), ..serin_lang::Context::default() };
        let refuse = |_: &serin_lang::Request| Err(());
        serin_lang::Driver::new(&entry, &context).run(refuse).unwrap().plan.unwrap()
    }

    #[test]
    fn names_do_not_break_out() {
        let plan = plan();
        let drawing = Drawing::of(&plan);
        assert_eq!(label("a\"]<b>"), "a#34;]#60;b#62;");
        assert_eq!(
            mermaid(&drawing),
            "flowchart LR\n  subgraph s0[\"a\"]\n    j0[\"one\"]\n  end\n  subgraph s1[\"b\"]\n    \
             j1[\"two #34;#60;#38;\"]\n  end\n  s0 -.-> s1\n  j0 --> j1"
        );
        let drawn = svg::draw(&drawing);
        assert!(drawn.contains("two &quot;&lt;&amp;"), "{drawn}");
        assert_eq!(drawn.matches("<path").count(), 1);
    }
}
