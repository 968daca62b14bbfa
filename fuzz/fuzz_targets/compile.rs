//! A whole pipeline: the first byte chooses the event, `\n%%\n` parts the entry from the files that it may include.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serin_lang::merged::Origins;
use serin_lang::{Answer, Color, Context, Driver, PipelineSource, Request, SourceFile};

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let parts = parts(rest);
    let entry = SourceFile::new(".gitlab-ci.yml", parts[0]);
    let context = context(*choice);
    let answer = |request: &Request| Ok::<_, ()>(answer(request, &parts));
    let Ok(done) = Driver::new(&entry, &context).run(answer) else { return };
    let _ = serin_lang::render(&done.diagnostics, &done.sources, Color::Plain);
    let _ = (done.merged.json(), done.merged.yaml(Origins::Shown));
    for detail in done.details.iter().chain(&done.excluded).take(5) {
        assert!(done.explain(&detail.job, &context).is_some());
    }
    let Some(plan) = &done.plan else { return };
    for job in &plan.jobs {
        assert!(job.stage < plan.stages.len());
        for need in job.needs.iter().flatten() {
            assert!(plan.jobs.iter().any(|other| other.name == need.job), "{} needs {}", job.name, need.job);
        }
        let _ = serin_lang::variables::of_job(plan, job, &context, &[], &[]);
    }
});

fn parts(mut rest: &[u8]) -> Vec<&[u8]> {
    let mark = b"\n%%\n";
    let mut parts = Vec::new();
    while let Some(at) = rest.windows(mark.len()).position(|window| window == mark) {
        parts.push(&rest[..at]);
        rest = &rest[at + mark.len()..];
    }
    parts.push(rest);
    parts
}

fn context(choice: u8) -> Context {
    let sources = PipelineSource::ALL;
    Context {
        source: sources[usize::from(choice) % sources.len()],
        branch: Some("main".to_owned()),
        tag: (choice & 0x40 != 0).then(|| "v1".to_owned()),
        default_branch: "main".to_owned(),
        project: "group/project".to_owned(),
        sha: "0123456789012345678901234567890123456789".to_owned(),
        changed_files: (choice & 0x80 != 0).then(|| vec!["src/a.rs".to_owned(), "README.md".to_owned()]),
        server_url: "https://example.com".to_owned(),
        ..Context::default()
    }
}

fn answer(request: &Request, parts: &[&[u8]]) -> Answer {
    let file = |name: &str| {
        let at = name.bytes().fold(0_usize, |sum, byte| sum + usize::from(byte)) % parts.len();
        Answer::File(parts[at].to_vec())
    };
    match request {
        Request::ProjectFile { path } | Request::OtherProject { file: path, .. } => file(path),
        Request::Remote { url: name } | Request::Template { name } => file(name),
        Request::Component { address, version } => Answer::Component {
            bytes: parts[address.len() % parts.len()].to_vec(),
            project: "other".to_owned(),
            sha: "f".repeat(40),
            version: version.clone(),
        },
        Request::TreeListing { .. } => Answer::Files(vec!["a.yml".to_owned(), "dir/b.yml".to_owned()]),
        Request::ChangedFilesAgainst { .. } => Answer::Changes(None),
    }
}
