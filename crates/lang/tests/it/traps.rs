//! Bombs and broken files: a clear error, fast, bounded.

use std::time::{Duration, Instant};

use serin_lang::{Answer, Answers, Compilation, Context, Request, SourceFile, Step, compile};

/// Far above what any of these takes, so that a slow machine does not fail it; what grows without bound does.
const PATIENCE: Duration = Duration::from_secs(4);

fn run(bytes: impl Into<Vec<u8>>, mut file: impl FnMut(&Request) -> Answer) -> Compilation {
    let started = Instant::now();
    let context = Context { branch: Some("main".to_owned()), default_branch: "main".to_owned(), ..Context::default() };
    let entry = SourceFile::new(".gitlab-ci.yml", bytes);
    let mut answers = Answers::default();
    for _ in 0..400 {
        match compile(&entry, &context, &answers) {
            Step::Done(done) => {
                let took = started.elapsed();
                assert!(took < PATIENCE, "took {took:?}");
                return *done;
            }
            Step::Ask(requests) => {
                for request in requests {
                    let answer = file(&request);
                    answers.give(request, answer);
                }
            }
        }
    }
    panic!("asks for ever");
}

#[track_caller]
fn refused(bytes: impl Into<Vec<u8>>, says: &str) {
    let done = run(bytes, |_| Answer::Missing("not there".to_owned()));
    assert!(done.plan.is_none());
    let messages: Vec<&str> = done.diagnostics.iter().map(|found| found.message.as_str()).collect();
    assert!(messages.iter().any(|message| message.contains(says)), "{messages:?}");
}

#[test]
fn alias_bomb() {
    let mut text = String::from(".a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for at in 1..12 {
        let below = vec![format!("*a{}", at - 1); 10].join(", ");
        text.push_str(&format!(".a{at}: &a{at} [{below}]\n"));
    }
    refused(text + "job: {script: echo}\n", "aliases of this file expand");
}

#[test]
fn merge_key_bomb_and_loop() {
    let mut text = String::from(".m0: &m0 {k0: 1}\n");
    for at in 1..3000 {
        text.push_str(&format!(".m{at}: &m{at} {{<<: *m{}, k{at}: 1}}\n", at - 1));
    }
    refused(text + "job: {script: echo}\n", "aliases of this file expand");
    refused("a: &a\n  <<: *a\n  script: echo\n", "inside its own anchor");
}

#[test]
fn depth() {
    refused("[".repeat(10_000), "levels deep");
    refused(
        format!("job:\n{}", (0..10_000).map(|at| format!("{}a:\n", " ".repeat(at + 1))).take(600).collect::<String>()),
        "levels deep",
    );
    refused(format!("a: {}x{}", "[".repeat(150), "]".repeat(150)), "levels deep");
}

#[test]
fn include_loops() {
    let own = "include: [a.yml]\njob: {script: echo}\n";
    let done = run(own, |_| Answer::File(b"include: [a.yml, b.yml]".to_vec()));
    assert!(
        done.diagnostics.iter().any(|found| found.message.contains("more than 150 files")),
        "{:?}",
        done.diagnostics
    );
    let many: Vec<String> = (0..10_000).map(|at| format!("f{at}.yml")).collect();
    let done =
        run(format!("include: [{}]\njob: {{script: echo}}", many.join(", ")), |_| Answer::File(b".x: 1".to_vec()));
    assert!(done.diagnostics.iter().any(|found| found.message.contains("more than 150 files")));
    let mut asked = 0;
    let done = run(format!("include: [{}]\njob: {{script: echo}}", many.join(", ")), |_| {
        asked += 1;
        Answer::Missing(String::new())
    });
    assert!(done.diagnostics.iter().any(|found| found.message.contains("more than 150 files")));
    assert_eq!((asked, done.diagnostics.len()), (150, 151));
}

#[test]
fn references_and_extends() {
    let mut chain = String::from(".r0: [x]\n");
    let mut doubling = chain.clone();
    let mut extends = String::from(".e0: {script: [x]}\n");
    for at in 1..5_000 {
        chain.push_str(&format!(".r{at}: [!reference [.r{}]]\n", at - 1));
        extends.push_str(&format!(".e{at}: {{extends: .e{}}}\n", at - 1));
        if at < 40 {
            doubling.push_str(&format!(".r{at}: [!reference [.r{0}], !reference [.r{0}]]\n", at - 1));
        }
    }
    refused(chain + "job: {script: !reference [.r4999]}\n", "lead to one another");
    refused(doubling + "job: {script: !reference [.r39]}\n", "references expand to more");
    refused(extends + "job: {extends: .e4999}\n", "nested too deep");
}

#[test]
fn matrix_of_a_million() {
    let keys: Vec<String> =
        ["A", "B", "C", "D", "E", "F"].iter().map(|key| format!("{key}: [0,1,2,3,4,5,6,7,8,9]")).collect();
    refused(
        format!("job:\n  script: echo\n  parallel:\n    matrix:\n      - {{{}}}\n", keys.join(", ")),
        "makes 1000000 jobs",
    );
}

#[test]
fn patterns() {
    let text = "job: {script: echo, rules: [{if: '$CI_COMMIT_BRANCH =~ /^(a+)+$/'}], variables: {A: b}}\nother: {script: echo}\n";
    let done = run(text, |_| Answer::Missing(String::new()));
    assert!(done.plan.is_some());
    refused("job: {script: echo, rules: [{if: '$A =~ /((a{1000}){1000}){1000}/'}]}", "is no pattern");
}

#[test]
fn encodings() {
    refused(b"job: {script: \xff}".to_vec(), "not UTF-8");
    refused("job:\n\tscript: echo\n", "a tab cannot indent");
    refused("", "the file is empty");
    refused("- a\n- b\n", "must hold a mapping");
    refused(vec![b'a'; 40 << 20], "more than 2097152");
    for text in ["\u{feff}job: {script: echo}\n", "job:\r\n  script:\r\n    - echo\r\n"] {
        let done = run(text, |_| Answer::Missing(String::new()));
        let plan = done.plan.unwrap_or_else(|| panic!("{:?}", done.diagnostics));
        let serin_model::plan::Work::Script(script) = &plan.jobs[0].work else { panic!() };
        assert_eq!(script.script, ["echo"]);
    }
}

#[test]
fn variables() {
    let mut text = String::from("variables:\n  V0: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n");
    for at in 1..200 {
        text.push_str(&format!("  V{at}: $V{0}$V{0}\n", at - 1));
    }
    let done = run(text + "job: {script: echo, environment: $V199}\n", |_| Answer::Missing(String::new()));
    assert!(done.plan.is_some(), "{:?}", done.diagnostics);
}

#[test]
fn broken_texts_never_panic() {
    let whole = include_str!("../data/own/given/rules-first-match/.gitlab-ci.yml");
    let refused = |_: &Request| Answer::Missing(String::new());
    for end in (0..whole.len()).step_by(3) {
        run(&whole.as_bytes()[..end], refused);
        let mut bytes = whole.as_bytes().to_vec();
        bytes[end] = b"{[\"':&*!|>%@`#-?,\n\t\0"[end % 20];
        run(bytes, refused);
    }
}

/// What fuzzing found once, in every place where such bytes may stand.
#[test]
fn findings_of_fuzzing() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/findings");
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty(), "there is nothing in {}", folder.display());
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let started = Instant::now();
        let findings = serin_lang::check_fragment(&SourceFile::new("f.yml", bytes.clone()));
        let _ = serin_lang::expression::Expression::parse(&String::from_utf8_lossy(&bytes));
        assert!(started.elapsed() < PATIENCE && findings.len() < 2_000, "{}", file.display());
        run(bytes.clone(), |_| Answer::File(bytes.clone()));
    }
}

#[test]
fn many_of_everything() {
    let list = |count: usize, item: &dyn Fn(usize) -> String| (0..count).map(item).collect::<Vec<_>>().join(",");
    let stages = list(20_000, &|at| format!("s{at}"));
    refused(format!("stages: [{stages}]\njob: {{stage: s1, script: x}}\n"), "has 20000 entries; at most 1000");
    let jobs: String = (0..30_000).map(|at| format!("a{at}: {{script: x}}\n")).collect();
    refused(jobs, "more than 20000 jobs");
    let copies: String = (0..50).map(|at| format!("a{at}: {{stage: build, script: x, parallel: 199}}\n")).collect();
    let needs = list(50, &|at| format!("a{at}"));
    refused(format!("{copies}b: {{script: x, parallel: 200, needs: [{needs}]}}\n"), "the pipeline has 10150 jobs");
    refused(
        "a: {stage: build, script: x, parallel: 200}\nb: {script: x, parallel: 200, needs: [a]}\n",
        "needs more than 50 jobs",
    );
    let keys: String = (0..20_000).map(|at| format!("  k{at}: 1\n")).collect();
    refused(format!("job:\n  script: x\n{keys}"), "has the unknown key `k0`");
}

#[test]
fn inputs_that_grow() {
    let value = "y".repeat(200_000);
    let blocks = "$[[ inputs.a ]] ".repeat(5_000);
    let header = format!("spec: {{inputs: {{a: {{default: {value}}}}}}}\n---\n");
    refused(format!("{header}job: {{script: '{blocks}'}}\n"), "the inputs make this text too long");
    let inputs: String = (0..10_000).map(|at| format!("    i{at}: {{default: a}}\n")).collect();
    refused(format!("spec:\n  inputs:\n{inputs}---\njob: {{script: x}}\n"), "more than 100 inputs are declared");
}

#[test]
fn an_error_behind_a_thousand_warnings_counts() {
    let empty: String = (0..1_200).map(|at| format!("a{at}: {{script: x, except: }}\n")).collect();
    refused(format!("{empty}b: {{script: x, retry: 9}}\n"), "`retry` must be a number");
}

#[test]
fn what_jobs_share_is_counted_for_each() {
    let command = "x".repeat(1_000);
    let commands = vec![command.as_str(); 1_000].join(",");
    let jobs: String = (0..1_000).map(|at| format!("j{at}: {{script: x}}\n")).collect();
    refused(format!("default: {{before_script: [{commands}]}}\n{jobs}"), "hold too much text together");
    let variables: String = (0..5_000).map(|at| format!("  V{at}: x\n")).collect();
    refused(format!("variables:\n{variables}{jobs}"), "hold too much text together");
}

#[test]
fn many_names_that_are_not_there() {
    let jobs =
        |keys: &str| (0..5_000).map(|at| format!("job{at}: {{script: x, {keys}: nope{at}}}\n")).collect::<String>();
    refused(jobs("extends"), "which does not exist");
    let needs = (0..5_000).map(|at| format!("job{at}: {{script: x, needs: [nope{at}]}}\n")).collect::<String>();
    refused(needs, "which is not defined");
    let stops = jobs("environment: {name: e, on_stop").replace("}\n", "}}\n");
    refused(stops, "which is no job");
    let variables: String = (0..20_000).map(|at| format!("    V{at}: x\n")).collect();
    let done = run(format!("job:\n  script: x\n  variables:\n{variables}"), |_| Answer::Missing(String::new()));
    assert_eq!(done.plan.unwrap().jobs[0].variables.len(), 20_000);
}

#[test]
fn many_patterns_that_are_too_large() {
    let rules: String = (0..500).map(|at| format!("  - if: '$A =~ /^(\\pL|\\pN){{50}}x{at}$/'\n")).collect();
    refused(format!("job:\n  script: x\n  rules:\n{rules}"), "it was not read");
}
