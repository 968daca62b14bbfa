//! What a merge request changes: its files, with findings and untested lines at their lines.

use std::collections::BTreeMap;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serin_git::{Diff, DiffLimits, FileDiff};
use serin_model::CommitId;
use serin_server::error::Result;
use serin_server::quality::{self, Details};
use serin_store::merge_request::MergeRequest;
use serin_store::pipeline as pipelines;
use serin_store::project::Project;

use super::request::find;
use super::row::{self, RequestRow};
use crate::address::encode;
use crate::diff::{self, FileView};
use crate::frame::{Frame, Tab};
use crate::icon;
use crate::reply::html;
use crate::visit::Visit;

/// Files of a difference that are counted.
const FILES_MAX: usize = 20_000;
/// Files of one page.
const PAGE_FILES: usize = 100;
/// Files with findings that are linked on top.
const NOTED_MAX: usize = 60;
/// What a diff on a page holds at most.
const LIMITS: DiffLimits =
    DiffLimits { files_max: PAGE_FILES, file_lines_max: 2_000, line_bytes_max: 2_048, patch_bytes_max: 4 << 20 };

#[derive(Template)]
#[template(path = "changes.html")]
struct Changes {
    f: Frame,
    r: RequestRow,
    files_text: String,
    more_files: bool,
    files: Vec<FileView>,
    noted: Vec<Noted>,
    /// What was found belongs to an older commit.
    outdated: bool,
    left_out: usize,
    pages: Vec<PageLink>,
}

/// A file with something to say of its lines.
struct Noted {
    href: String,
    path: String,
    findings: usize,
    untested: u32,
}

struct PageLink {
    number: usize,
    href: String,
    current: bool,
}

/// Between which commits the changes lie, and what is known of their lines.
struct Change {
    base: CommitId,
    head: CommitId,
    details: Details,
    outdated: bool,
}

/// Shows one page of the changes.
///
/// # Errors
/// Where database or repository fail.
pub(super) async fn show(visit: &Visit, project: &Project, iid: i64) -> Result<Response> {
    let request = find(visit, project, iid).await?;
    let shown = row::request(visit, project, &request, &mut BTreeMap::new()).await?;
    let change = change(visit, project, &request).await?;
    let repository = visit.app.repository(project.id)?;
    let list = repository.git.diff_list(&change.base, &change.head, FILES_MAX).await?;
    let page = page_wanted(visit, &list.files);
    let from = page * PAGE_FILES;
    let slice = &list.files[from.min(list.files.len())..(from + PAGE_FILES).min(list.files.len())];
    let paths: Vec<&str> = slice.iter().flat_map(|file| [file.old_path.as_str(), file.new_path.as_str()]).collect();
    let found = match paths.is_empty() {
        true => Diff::default(),
        false => repository.git.diff_of(&change.base, &change.head, &paths, LIMITS).await?,
    };
    let href = format!("{}/changes", shown.href);
    let page = Changes {
        f: Frame::of(visit, project, Tab::MergeRequests, format!("!{iid} {}", request.title)),
        files_text: visit.language.count(list.files.len(), ("file", "files", "个文件")),
        more_files: list.more_files,
        noted: noted(&change.details, (&list.files, &href)),
        outdated: change.outdated,
        left_out: change.details.findings_left_out,
        pages: pages(list.files.len(), page, &href),
        files: diff::views(found, &change.details.files, visit.t()),
        r: shown,
    };
    html(StatusCode::OK, &page)
}

/// The merged result against its target where that was tested, so that line numbers are those of the reports.
async fn change(visit: &Visit, project: &Project, request: &MergeRequest) -> Result<Change> {
    let all = pipelines::pipeline_of_merge_request(&mut *visit.app.store.read().await?, request.id).await?;
    let newest = all.first();
    let is_of_head = newest.is_some_and(|row| row.head_commit.as_deref() == Some(request.head_commit.as_str()));
    let details = match newest.filter(|_| is_of_head) {
        Some(pipeline) => quality::details_of(&visit.app, pipeline).await.unwrap_or_else(|error| {
            tracing::error!(merge_request = request.id, %error, "places of findings cannot be told");
            None
        }),
        None => None,
    };
    if let (Some(details), Some(pipeline)) = (details, newest)
        && let Some(target) = &pipeline.target_commit
    {
        let (base, head) = (CommitId(target.clone()), CommitId(pipeline.commit_id.clone()));
        return Ok(Change { base, head, details, outdated: false });
    }
    let repository = visit.app.repository(project.id)?;
    let (base, head) = diff::ends(&repository.git, request).await?;
    Ok(Change { base, head, details: Details::default(), outdated: newest.is_some() && !is_of_head })
}

/// The page's index: asked for by number, or as the one that holds a file.
fn page_wanted(visit: &Visit, files: &[FileDiff]) -> usize {
    if let Some(path) = visit.query.get("file") {
        return files.iter().position(|file| file.new_path == *path).unwrap_or(0) / PAGE_FILES;
    }
    let wanted = visit.query.get("page").and_then(|number| number.parse::<usize>().ok()).unwrap_or(1);
    wanted.clamp(1, files.len().div_ceil(PAGE_FILES).max(1)) - 1
}

fn noted(details: &Details, (files, href): (&[FileDiff], &str)) -> Vec<Noted> {
    let known = files.iter().filter_map(|file| Some((&file.new_path, details.files.get(&file.new_path)?)));
    let shown = known.map(|(path, of)| Noted {
        href: format!("{href}?file={}#{}", encode(path), diff::anchor(path)),
        path: path.clone(),
        findings: of.findings.len(),
        untested: of.missed.iter().map(|(from, to)| to - from + 1).sum(),
    });
    shown.filter(|file| file.findings > 0 || file.untested > 0).take(NOTED_MAX).collect()
}

fn pages(files: usize, current: usize, href: &str) -> Vec<PageLink> {
    let count = files.div_ceil(PAGE_FILES);
    if count < 2 {
        return Vec::new();
    }
    let link = |index: usize| PageLink {
        number: index + 1,
        href: format!("{href}?page={}", index + 1),
        current: index == current,
    };
    (0..count).map(link).collect()
}

#[cfg(test)]
mod tests {
    use askama::Template;
    use serin_git::{FileDiff, FileStatus, Hunk, Line, LineKind};
    use serin_server::quality::FileDetails;
    use serin_wire::quality::Finding;

    use super::*;
    use crate::frame::tests::frame;
    use crate::page::row::tests::request_row;
    use crate::text::Language;

    const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'";

    fn file(path: &str) -> FileDiff {
        let line = |number| Line {
            kind: LineKind::Added,
            old: None,
            new: Some(number),
            text: HOSTILE.into(),
            no_newline: false,
        };
        FileDiff {
            old_path: path.into(),
            new_path: path.into(),
            status: FileStatus::Renamed,
            old_mode: "100644".into(),
            new_mode: "100644".into(),
            binary: false,
            hunks: vec![Hunk {
                old_start: 1,
                new_start: 1,
                context: HOSTILE.into(),
                lines: vec![line(1), line(2), line(3)],
            }],
            too_large: true,
            misses_lines: true,
            added: 3,
            removed: 0,
        }
    }

    fn finding(line: u32) -> Finding {
        Finding {
            severity: "major".into(),
            tool: HOSTILE.into(),
            rule: HOSTILE.into(),
            message: format!("{HOSTILE} at {line}"),
            path: Some(HOSTILE.into()),
            line,
        }
    }

    fn details() -> Details {
        let of = FileDetails { findings: vec![finding(2), finding(77)], ran: vec![(1, 1)], missed: vec![(2, 3)] };
        Details { files: BTreeMap::from([(HOSTILE.to_owned(), of)]), ..Details::default() }
    }

    #[test]
    fn findings_and_untested_lines_stand_at_their_lines() {
        let diff = Diff { files: vec![file(HOSTILE)], more_files: false };
        let views = diff::views(diff, &details().files, Language::English.text());
        let lines = &views[0].hunks[0].lines;
        let ran: Vec<Option<bool>> = lines.iter().map(|line| line.ran).collect();
        assert_eq!(ran, [Some(true), Some(false), Some(false)]);
        let notes: Vec<usize> = lines.iter().map(|line| line.notes.len()).collect();
        assert_eq!(notes, [0, 1, 0]);
        assert_eq!((views[0].further.len(), views[0].further[0].line), (1, 77));
        assert_eq!((views[0].findings, views[0].untested), (2, 2));
    }

    #[test]
    fn names_lines_and_messages_stay_text() {
        let diff = Diff { files: vec![file(HOSTILE)], more_files: true };
        let files = vec![file(HOSTILE)];
        let page = Changes {
            f: frame(),
            r: request_row(),
            files_text: String::new(),
            more_files: true,
            noted: noted(&details(), (&files, "/x")),
            outdated: true,
            left_out: 3,
            pages: pages(250, 1, "/x"),
            files: diff::views(diff, &details().files, Language::English.text()),
        };
        let html = page.render().unwrap();
        for forbidden in ["<img", "<script>", "onerror=alert(1)>", " style=", " onclick="] {
            assert!(!html.contains(forbidden), "{forbidden} in {html}");
        }
        assert!(html.contains("at 2") && html.contains("at 77"), "{html}");
    }

    #[test]
    fn pages_are_bounded() {
        assert!(pages(100, 0, "/x").is_empty());
        assert_eq!(pages(5_000, 3, "/x").iter().filter(|page| page.current).map(|page| page.number).sum::<usize>(), 4);
        assert_ne!(diff::anchor("a"), diff::anchor("b"));
    }
}
