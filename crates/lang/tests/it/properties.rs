//! Properties over made-up files: nothing panics, places are right, what is printed reads back.

use proptest::prelude::*;
use serin_lang::expression::Expression;
use serin_lang::merged::Origins;
use serin_lang::{Answer, Answers, Compilation, Context, SourceFile, Step, compile, schema, service};

fn run(text: &str) -> Compilation {
    let context = Context { branch: Some("main".to_owned()), default_branch: "main".to_owned(), ..Context::default() };
    let entry = SourceFile::new(".gitlab-ci.yml", text);
    let mut answers = Answers::default();
    for _ in 0..200 {
        match compile(&entry, &context, &answers) {
            Step::Done(done) => return *done,
            Step::Ask(requests) => {
                requests.into_iter().for_each(|request| answers.give(request, Answer::Missing(String::new())));
            }
        }
    }
    panic!("asks for ever: {text}");
}

/// Words that files are made of, so that made-up ones come near to real ones.
fn word() -> impl Strategy<Value = String> {
    let known = [
        "job",
        "script",
        "stage",
        "rules",
        "if",
        "needs",
        "extends",
        "include",
        "variables",
        "parallel",
        "matrix",
        "trigger",
        "serin",
        "action",
        "when",
        "manual",
        "default",
        "image",
        "cache",
        "key",
        "files",
        "!reference",
        "&a",
        "*a",
        "<<",
        "$A",
        "$CI_COMMIT_BRANCH == \"main\"",
        "[",
        "]",
        "{",
        "}",
        ":",
        ",",
        "- ",
        "'",
        "\"",
        "|",
        "~",
        "yes",
        "0x1F",
        "1.5",
        "---",
        "spec",
        "inputs",
        "$[[ inputs.x ]]",
        "$[[",
        "é",
        "\u{1F600}",
        "#",
        "%",
        "@",
        "\\",
    ];
    prop_oneof![4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => "[a-z]{0,5}"]
}

fn text() -> impl Strategy<Value = String> {
    let line = (0_usize..4, prop::collection::vec(word(), 0..5));
    let line = line.prop_map(|(indent, words)| format!("{}{}", "  ".repeat(indent), words.join(" ")));
    prop::collection::vec(line, 0..14).prop_map(|lines| lines.join("\n"))
}

/// A small valid file.
fn pipeline() -> impl Strategy<Value = String> {
    let job = ("[a-z]{1,6}", "[ -~]{1,20}", 0_usize..3, any::<bool>());
    prop::collection::vec(job, 1..6).prop_map(|jobs| {
        let mut out = String::new();
        for (name, command, stage, manual) in jobs {
            let command = command.replace('\\', "\\\\").replace('"', "\\\"");
            let stage = ["build", "test", "deploy"][stage];
            let when = if manual { "manual" } else { "always" };
            out.push_str(&format!("job-{name}:\n  stage: {stage}\n  when: {when}\n  script:\n    - \"x{command}\"\n"));
        }
        out
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics_and_places_are_in_it(text in text()) {
        let done = run(&text);
        for found in &done.diagnostics {
            prop_assert!(found.line >= 1 && found.column >= 1);
            prop_assert!(found.span.start <= found.span.end && found.span.end <= text.len() + 1, "{:?}", found);
            prop_assert!(found.line as usize <= text.lines().count() + 1, "{:?}", found);
        }
        let _ = serin_lang::render(&done.diagnostics, &done.sources, serin_lang::Color::Ansi);
        let _ = service::parse(&SourceFile::new("serin.yml", text));
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let context = Context::default();
        let _ = compile(&SourceFile::new("x", bytes.clone()), &context, &Answers::default());
        let _ = service::parse(&SourceFile::new("x", bytes));
    }

    #[test]
    fn no_expression_panics(text in "[$A-C(!)&|=~/'\" a-z0-9\\\\\\[\\].*+{}é]{0,40}") {
        if let Ok(expression) = Expression::parse(&text) {
            expression.holds(&|name| (name == "A").then_some("a"));
        }
    }

    #[test]
    fn a_printed_pipeline_reads_back(text in pipeline()) {
        let done = run(&text);
        prop_assert!(done.plan.is_some(), "{:?}", done.diagnostics);
        let printed = done.merged.yaml(Origins::Shown);
        let again = run(&printed);
        prop_assert_eq!(again.plan, done.plan, "{}", printed);
    }
}

#[test]
fn schemas_are_json_and_know_every_keyword() {
    for (schema, known) in [(schema::pipeline(), "resource_group"), (schema::service(), "false_alarm")] {
        let parsed: serde_json::Value = serde_json::from_str(&schema).unwrap();
        assert!(parsed["$schema"].is_string() && schema.contains(known));
    }
}
