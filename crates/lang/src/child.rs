//! The entry file of a child pipeline.

use std::fmt::Write;

use serin_model::plan::{Job, Plan, Trigger, TriggerInclude, TriggerSource, Variable};

use crate::expand::{Circle, expand_in_runner};
use crate::inputs::quote;
use crate::{Context, SourceFile, variables};

/// Path that messages show for an entry that was made of `trigger:include`.
pub const PATH: &str = "trigger:include";

/// A file that includes what a trigger job includes, with its inputs; compile it with the source `parent_pipeline` and
/// the forwarded variables as pipeline variables. `None`: the trigger leads to another project, or includes an artifact,
/// whose file is itself the entry (with the include's inputs as [`crate::Context::inputs`]).
#[must_use]
pub fn entry(trigger: &Trigger) -> Option<SourceFile> {
    if trigger.include.is_empty() {
        return None;
    }
    let mut text = String::from("include:\n");
    for include in &trigger.include {
        let source = source(&include.source)?;
        let _ = writeln!(text, "  - {{{source}{}}}", inputs(include));
    }
    Some(SourceFile::new(PATH, text))
}

/// The artifact that is the entry file of a child pipeline, where the trigger includes one: its path in the archive, and
/// the job that makes it.
#[must_use]
pub fn artifact_entry(trigger: &Trigger) -> Option<(&str, &str)> {
    trigger.include.iter().find_map(|include| match &include.source {
        TriggerSource::Artifact { path, job } => Some((path.trim_start_matches('/'), job.as_str())),
        _ => None,
    })
}

/// What a trigger job hands to its downstream pipeline as pipeline variables (`trigger:forward`): its own variables with
/// what the upstream pipeline knows put into them, under the upstream's pipeline variables where those are forwarded.
///
/// # Errors
/// Where variables refer to each other in a circle.
pub fn forwarded(
    (trigger, job): (&Trigger, &Job),
    plan: &Plan,
    context: &Context,
    late: &[Variable],
) -> Result<Vec<Variable>, Circle> {
    let mut list = Vec::new();
    if trigger.forward_yaml_variables {
        let all = variables::of_job(plan, job, context, late, &[])?;
        let look_up = |key: &str| all.iter().find(|known| known.key == key).map(|known| known.value.as_str());
        for own in &job.variables {
            let Some(variable) = all.iter().find(|known| known.key == own.key) else { continue };
            let value = if own.raw { variable.value.clone() } else { expand_in_runner(&variable.value, &look_up) };
            list.push(Variable { value, raw: true, ..variable.clone() });
        }
    }
    if trigger.forward_pipeline_variables {
        list.retain(|own| !context.pipeline_variables.iter().any(|given| given.key == own.key));
        list.extend(context.pipeline_variables.iter().cloned());
    }
    Ok(list)
}

fn source(source: &TriggerSource) -> Option<String> {
    Some(match source {
        TriggerSource::Local(path) => format!("local: {}", quote(path)),
        TriggerSource::Template(name) => format!("template: {}", quote(name)),
        TriggerSource::Component(address) => format!("component: {}", quote(address)),
        TriggerSource::Remote(url) => format!("remote: {}", quote(url)),
        TriggerSource::Project { project, file, reference } => {
            let reference =
                reference.as_ref().map_or_else(String::new, |reference| format!(", ref: {}", quote(reference)));
            format!("project: {}, file: {}{reference}", quote(project), quote(file))
        }
        TriggerSource::Artifact { .. } => return None,
    })
}

fn inputs(include: &TriggerInclude) -> String {
    if include.inputs.is_empty() {
        return String::new();
    }
    let values: Vec<String> = include.inputs.iter().map(|(name, json)| format!("{}: {json}", quote(name))).collect();
    format!(", inputs: {{{}}}", values.join(", "))
}

#[cfg(test)]
mod tests {
    use super::{entry, forwarded};
    use crate::{Answer, Answers, Context, Request, SourceFile, Step, compile};
    use serin_model::plan::{Variable, Work};

    #[test]
    fn a_child_is_compiled_from_its_trigger() {
        let parent = "child: {trigger: {include: [{local: /c.yml, inputs: {who: 'a \"b\": $x'}}]}}";
        let context =
            Context { branch: Some("main".to_owned()), default_branch: "main".to_owned(), ..Context::default() };
        let Step::Done(done) = compile(&SourceFile::new("x", parent), &context, &Answers::default()) else { panic!() };
        let plan = done.plan.unwrap();
        let Work::Trigger(trigger) = &plan.jobs[0].work else { panic!() };
        let mut answers = Answers::default();
        let child = b"spec: {inputs: {who: {}}}\n---\njob: {script: ['$[[ inputs.who ]]']}".to_vec();
        answers.give(Request::ProjectFile { path: "c.yml".to_owned() }, Answer::File(child));
        let Step::Done(done) = compile(&entry(trigger).unwrap(), &context, &answers) else { panic!() };
        let plan = done.plan.unwrap();
        let Work::Script(script) = &plan.jobs[0].work else { panic!() };
        assert_eq!(script.script, ["a \"b\": $x"]);
    }

    #[test]
    fn a_child_gets_what_is_forwarded() {
        let keys = |forward: &str| {
            let file = format!(
                "variables: {{ROOT: r}}\nchild: {{variables: {{OWN: $ROOT-$CI_COMMIT_BRANCH}}, trigger: {{include: c.yml, \
                 forward: {{{forward}}}}}}}"
            );
            let context = Context {
                branch: Some("main".to_owned()),
                default_branch: "main".to_owned(),
                pipeline_variables: vec![Variable::plain("GIVEN", "g")],
                ..Context::default()
            };
            let Step::Done(done) = compile(&SourceFile::new("x", file), &context, &Answers::default()) else {
                panic!()
            };
            let plan = done.plan.unwrap();
            let Work::Trigger(trigger) = &plan.jobs[0].work else { panic!() };
            let list = forwarded((trigger, &plan.jobs[0]), &plan, &context, &[]).unwrap();
            list.into_iter()
                .map(|variable| format!("{}={}", variable.key, variable.value))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(keys(""), "ROOT=r OWN=r-main");
        assert_eq!(keys("pipeline_variables: true"), "ROOT=r OWN=r-main GIVEN=g");
        assert_eq!(keys("yaml_variables: false"), "");
    }
}
