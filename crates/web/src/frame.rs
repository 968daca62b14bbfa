//! What every page has around its own part: head, navigation, foot.

use serin_store::project::Project;

use crate::asset;
use crate::show::initials;
use crate::text::Text;
use crate::visit::Visit;

/// The frame of one page.
pub(crate) struct Frame {
    pub(crate) t: &'static Text,
    pub(crate) lang: &'static str,
    pub(crate) theme: &'static str,
    pub(crate) assets: &'static str,
    pub(crate) version: &'static str,
    pub(crate) title: String,
    pub(crate) person: Option<Person>,
    pub(crate) project: Option<Navigation>,
    pub(crate) tab: Tab,
    pub(crate) crumbs: Vec<Crumb>,
    pub(crate) fragment: bool,
    /// What the page wants to hear of, as a query.
    pub(crate) events: Option<String>,
    /// Milliseconds after which it is asked for anew in any case; 0: never.
    pub(crate) every_ms: u32,
    pub(crate) here: String,
    pub(crate) flash: Option<String>,
}

/// Who is logged in.
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) initials: String,
}

/// The project whose pages are linked.
pub(crate) struct Navigation {
    pub(crate) path: String,
}

/// A page of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tab {
    None,
    Overview,
    MergeRequests,
    Pipelines,
    Quality,
    Environments,
}

/// A step on the way to the page.
pub(crate) struct Crumb {
    pub(crate) label: String,
    pub(crate) href: Option<String>,
}

impl Frame {
    /// The frame of a page of no project.
    pub(crate) fn new(visit: &Visit, title: impl Into<String>) -> Self {
        let person = visit.account.as_ref();
        Self {
            t: visit.t(),
            lang: visit.language.tag(),
            theme: visit.theme,
            assets: asset::folder(),
            version: env!("CARGO_PKG_VERSION"),
            title: title.into(),
            person: person.map(|account| Person { name: account.name.clone(), initials: initials(&account.name) }),
            project: None,
            tab: Tab::None,
            crumbs: Vec::new(),
            fragment: visit.fragment,
            events: None,
            every_ms: 0,
            here: visit.here.clone(),
            flash: visit.flash.clone(),
        }
    }

    /// The frame of a page of a project; the title is the last step.
    pub(crate) fn of(visit: &Visit, project: &Project, tab: Tab, title: impl Into<String>) -> Self {
        let title = title.into();
        let mut frame = Self::new(visit, format!("{title} · {}", project.name));
        frame.project = Some(Navigation { path: project.path.clone() });
        frame.tab = tab;
        frame.crumbs.push(Crumb { label: project.name.clone(), href: Some(format!("/{}", project.path)) });
        let section = match tab {
            Tab::MergeRequests => Some((frame.t.merge_requests, "merge_requests")),
            Tab::Pipelines => Some((frame.t.pipelines, "pipelines")),
            Tab::Quality => Some((frame.t.quality, "quality")),
            Tab::Environments => Some((frame.t.environments, "environments")),
            Tab::None | Tab::Overview => None,
        };
        if let Some((label, place)) = section {
            let href = Some(format!("/{}/-/{place}", project.path));
            frame.crumbs.push(Crumb { label: label.to_owned(), href });
            if title != label {
                frame.crumbs.push(Crumb { label: title, href: None });
            }
        }
        frame
    }

    /// Keeps the page up to date on these events.
    pub(crate) fn hears(mut self, topics: impl IntoIterator<Item = (&'static str, i64)>) -> Self {
        let topics: Vec<String> = topics.into_iter().map(|(kind, id)| format!("{kind}={id}")).collect();
        self.events = Some(topics.join("&"));
        self
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Crumb, Frame, Navigation, Person, Tab};
    use crate::text::Language;

    /// A frame full of hostile names.
    pub(crate) fn frame() -> Frame {
        Frame {
            t: Language::English.text(),
            lang: "en",
            theme: "system",
            assets: "/assets/0",
            version: "0",
            title: "<script>title</script>".into(),
            person: Some(Person { name: "<script>name</script>".into(), initials: "<".into() }),
            project: Some(Navigation { path: "shop".into() }),
            tab: Tab::Overview,
            crumbs: vec![Crumb { label: "<script>crumb</script>".into(), href: None }],
            fragment: false,
            events: None,
            every_ms: 0,
            here: "/\"><script>here</script>".into(),
            flash: Some("<script>flash</script>".into()),
        }
    }
}
