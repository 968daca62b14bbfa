//! What a release needs besides a click, and which of it the visitor may give.

use serin_store::account::Account;
use serin_wire::rest::{ReleaseTerms, RolloutAction};

use crate::icon;
use crate::mark::Mark;
use crate::text::{Language, Text};

/// One line of the terms.
pub(super) struct TermRow {
    pub(super) mark: Mark,
    pub(super) text: String,
}

/// The terms, line by line, in a stable order; of a release that is over, what came of them.
pub(super) fn rows(terms: &ReleaseTerms, is_current: bool, language: Language) -> Vec<TermRow> {
    let t = language.text();
    let mut rows = Vec::new();
    if terms.approvals_required > 0 {
        rows.push(approvals(terms, t));
        if terms.approvals_left > 0 {
            rows.push(TermRow { mark: Mark::new(icon::INFO, t.terms_who, "idle"), text: who(terms, language) });
        }
    }
    if let Some(frozen) = &terms.frozen {
        let text = filled(t.terms_frozen_until, &[&frozen.ends, &frozen.window]);
        rows.push(TermRow { mark: Mark::new(icon::WAITING, t.terms_frozen, "warn"), text });
    } else if !terms.freeze.is_empty() && is_current && terms.overridden.is_none() {
        let text = filled(t.terms_windows, &[&terms.freeze.join(language.comma())]);
        rows.push(TermRow { mark: Mark::new(icon::CLOCK, t.terms_free, "ok"), text });
    }
    if let Some(word) = &terms.overridden {
        let text = filled(t.terms_overridden_by, &[&word.by, &word.reason]);
        rows.push(TermRow { mark: Mark::new(icon::WARNING, t.terms_overridden, "warn"), text });
    }
    rows
}

fn approvals(terms: &ReleaseTerms, t: &'static Text) -> TermRow {
    let enough = terms.approved_by.len() >= usize::try_from(terms.approvals_required).unwrap_or(usize::MAX);
    let (icon, class) = match (enough, &terms.overridden) {
        (true, _) => (icon::SUCCESS, "ok"),
        (false, None) => (icon::PENDING, "warn"),
        // Nobody waits for the others any more.
        (false, Some(_)) => (icon::SKIPPED, "idle"),
    };
    let given = terms.approved_by.len().to_string();
    let mut text = filled(t.terms_given, &[&given, &terms.approvals_required.to_string()]);
    if !terms.approved_by.is_empty() {
        text = format!("{text} · {}", terms.approved_by.join(", "));
    }
    TermRow { mark: Mark::new(icon, t.terms_approvals, class), text }
}

fn who(terms: &ReleaseTerms, language: Language) -> String {
    let t = language.text();
    let may: Vec<&str> =
        terms.approvers.iter().filter(|name| !terms.authors.contains(name)).map(String::as_str).collect();
    let authors = terms.authors.join(language.comma());
    match (terms.approvers.is_empty(), authors.is_empty()) {
        (true, true) => t.terms_anybody.to_owned(),
        (true, false) => filled(t.terms_not_authors, &[&authors]),
        (false, _) if may.is_empty() => t.terms_nobody.to_owned(),
        (false, _) => may.join(language.comma()),
    }
}

/// Whether the visitor may do that; what everybody may, the rollout decides alone.
pub(super) fn may(action: &RolloutAction, terms: Option<&ReleaseTerms>, account: Option<&Account>) -> bool {
    let (Some(terms), Some(account)) = (terms, account) else { return !is_of_terms(action) };
    let name = &account.username;
    match action.action.as_str() {
        "override" => account.admin,
        "approve" => {
            let is_approver = terms.approvers.is_empty() || terms.approvers.contains(name);
            is_approver && !terms.authors.contains(name) && !terms.approved_by.contains(name)
        }
        _ => true,
    }
}

fn is_of_terms(action: &RolloutAction) -> bool {
    matches!(action.action.as_str(), "approve" | "override")
}

/// Puts values in the places `{1}`, `{2}` of a sentence.
fn filled(sentence: &str, values: &[&str]) -> String {
    let mut parts = sentence.split('{');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (number, rest) = part.split_once('}').unwrap_or(("", part));
        let value = number.parse::<usize>().ok().and_then(|number| values.get(number.checked_sub(1)?));
        text.push_str(value.copied().unwrap_or_default());
        text.push_str(rest);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{may, rows};
    use crate::text::Language;
    use serin_store::account::Account;
    use serin_wire::rest::{Frozen, Overridden, ReleaseTerms, RolloutAction};

    fn terms() -> ReleaseTerms {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        ReleaseTerms {
            approvals_required: 2,
            approvals_left: 1,
            approved_by: names(&["ada"]),
            authors: names(&["dana"]),
            ..ReleaseTerms::default()
        }
    }

    fn person(username: &str, admin: bool) -> Account {
        let text = String::new;
        let (id, created_at) = (1, 0);
        Account { id, username: username.into(), name: text(), email: text(), password_hash: None, admin, created_at }
    }

    #[test]
    fn each_term_is_a_sentence() {
        let mut shown = terms();
        shown.frozen =
            Some(Frozen { window: "Fri 16:00 – Mon 09:00 UTC".into(), until: String::new(), ends: "Monday".into() });
        shown.overridden = Some(Overridden { by: "ada".into(), reason: "<b>now {}</b>".into() });
        let texts = |language| rows(&shown, true, language).into_iter().map(|row| row.text).collect::<Vec<_>>();
        assert_eq!(
            texts(Language::English),
            [
                "1 of 2 approvals · ada",
                "whoever did not write the change; dana wrote it",
                "no pool begins before Monday (Fri 16:00 – Mon 09:00 UTC)",
                "ada lets it go on against its terms: <b>now {}</b>",
            ]
        );
        assert_eq!(texts(Language::Chinese)[0], "2 个审批已通过 1 个 · ada");
        let marks = |terms: &ReleaseTerms, is_current| {
            rows(terms, is_current, Language::English).iter().map(|row| row.mark.class).collect::<Vec<_>>()
        };
        assert_eq!(marks(&shown, true)[0], "idle", "overridden, and not enough people agreed");
        let window = ReleaseTerms { freeze: vec!["Fri 16:00 – Mon 09:00 UTC".into()], ..ReleaseTerms::default() };
        assert_eq!((marks(&window, true), marks(&window, false)), (vec!["ok"], vec![]));
        let held = ReleaseTerms { overridden: shown.overridden, ..window };
        assert_eq!(marks(&held, true), ["warn"], "whether a window holds is not told then");
    }

    #[test]
    fn buttons_are_for_those_who_may() {
        let action = |name: &str| RolloutAction { action: name.into(), ..RolloutAction::default() };
        let allowed = |name: &str, person: &Account| may(&action(name), Some(&terms()), Some(person));
        assert!(allowed("approve", &person("bea", false)));
        assert!(!allowed("approve", &person("dana", true)), "wrote it");
        assert!(!allowed("approve", &person("ada", true)), "has approved");
        assert!(allowed("override", &person("ada", true)) && !allowed("override", &person("bea", false)));
        assert!(allowed("pause", &person("dana", false)) && !may(&action("approve"), None, None));
    }
}
