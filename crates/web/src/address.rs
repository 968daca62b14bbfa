//! Addresses: which page a path names.

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// `/`
    Projects,
    /// `/projects/new`
    NewProject,
    /// `/login`
    Login,
    /// `/logout`
    Logout,
    /// `/-/preferences`
    Preferences,
    /// A page of a project.
    Project(String, Place),
}

/// A page of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The project itself.
    Overview,
    /// Its merge requests.
    Requests,
    /// The form for a new one.
    NewRequest,
    /// A merge request.
    Request(i64),
    /// What a merge request changes.
    Changes(i64),
    /// Its pipelines.
    Pipelines,
    /// A pipeline.
    Pipeline(i64),
    /// A job.
    Job(i64),
    /// Lines of a job's log.
    Log(i64),
    /// A job's log as it is.
    Raw(i64),
    /// Its quality from pipeline to pipeline.
    Quality,
    /// Its packaged releases.
    Releases,
    /// A release, by digits of its digest.
    Release(String),
    /// What is said of a release, by its kind.
    Statement(String, &'static str),
    /// Its environments.
    Environments,
    /// An environment.
    Environment(String),
}

/// The address of a path, if it has one.
pub(crate) fn parse(path: &str) -> Option<Address> {
    match path {
        "/" => return Some(Address::Projects),
        "/projects/new" => return Some(Address::NewProject),
        "/login" => return Some(Address::Login),
        "/logout" => return Some(Address::Logout),
        "/-/preferences" => return Some(Address::Preferences),
        _ => {}
    }
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let (project, place) = match path.split_once("/-/") {
        Some((project, place)) => (project, self::place(place)?),
        None => (path, Place::Overview),
    };
    (!project.is_empty() && !project.starts_with('-')).then(|| Address::Project(project.to_owned(), place))
}

fn place(path: &str) -> Option<Place> {
    let (section, rest) = path.split_once('/').unwrap_or((path, ""));
    let parts: Vec<&str> = if rest.is_empty() { Vec::new() } else { rest.split('/').collect() };
    let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number > 0);
    match (section, parts.as_slice()) {
        ("merge_requests", []) => Some(Place::Requests),
        ("merge_requests", ["new"]) => Some(Place::NewRequest),
        ("merge_requests", [iid]) => Some(Place::Request(number(iid)?)),
        ("merge_requests", [iid, "changes"]) => Some(Place::Changes(number(iid)?)),
        ("pipelines", []) => Some(Place::Pipelines),
        ("pipelines", [id]) => Some(Place::Pipeline(number(id)?)),
        ("jobs", [id]) => Some(Place::Job(number(id)?)),
        ("jobs", [id, "log"]) => Some(Place::Log(number(id)?)),
        ("jobs", [id, "raw"]) => Some(Place::Raw(number(id)?)),
        ("quality", []) => Some(Place::Quality),
        ("releases", []) => Some(Place::Releases),
        ("releases", [digest]) => Some(Place::Release((*digest).to_owned())),
        ("releases", [digest, "sbom"]) => Some(Place::Statement((*digest).to_owned(), "sbom")),
        ("releases", [digest, "provenance"]) => Some(Place::Statement((*digest).to_owned(), "provenance")),
        ("environments", []) => Some(Place::Environments),
        ("environments", _) => Some(Place::Environment(decode(rest)?)),
        _ => None,
    }
}

/// Text without percent escapes; `None` where they are wrong or no UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let digits = std::str::from_utf8(&digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// Text as a part of a path or a cookie's value.
pub(crate) fn encode(text: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Whether an address given by a request leads to this site: a redirect follows no other.
pub(crate) fn is_local(address: &str) -> bool {
    address.starts_with('/')
        && !address.starts_with("//")
        && !address.chars().any(|c| c.is_control() || c == '\\' || !c.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::{Address, Place, decode, encode, is_local, parse};

    #[test]
    fn paths_name_pages() {
        let project = |path: &str| match parse(path) {
            Some(Address::Project(name, place)) => Some((name, place)),
            _ => None,
        };
        let cases = [
            ("/shop", "shop", Place::Overview),
            ("/team/shop/", "team/shop", Place::Overview),
            ("/team/shop/-/merge_requests", "team/shop", Place::Requests),
            ("/shop/-/merge_requests/new", "shop", Place::NewRequest),
            ("/shop/-/merge_requests/7", "shop", Place::Request(7)),
            ("/shop/-/merge_requests/7/changes", "shop", Place::Changes(7)),
            ("/shop/-/pipelines/12", "shop", Place::Pipeline(12)),
            ("/shop/-/quality", "shop", Place::Quality),
            ("/shop/-/releases/0a1b2c3d", "shop", Place::Release("0a1b2c3d".into())),
            ("/shop/-/releases/0a1b2c3d/sbom", "shop", Place::Statement("0a1b2c3d".into(), "sbom")),
            ("/shop/-/jobs/3/log", "shop", Place::Log(3)),
            ("/shop/-/environments/review/a%20b", "shop", Place::Environment("review/a b".into())),
        ];
        for (path, name, place) in cases {
            assert_eq!(project(path), Some((name.to_owned(), place)), "{path}");
        }
        assert_eq!(parse("/"), Some(Address::Projects));
        assert_eq!(parse("/-/preferences"), Some(Address::Preferences));
        for path in [
            "/shop/-/jobs",
            "/shop/-/jobs/x",
            "/shop/-/pipelines/-1",
            "/shop/-/wiki",
            "/-/x",
            "/shop/-/environments/%ff",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(decode("a%2Fb%20"), Some("a/b ".to_owned()));
        for wrong in ["%", "%4", "%zz", "%+1", "%ff"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
        let hostile = "a/ü\r\n;\"<%";
        assert_eq!(decode(&encode(hostile)).as_deref(), Some(hostile));
        assert!(encode(hostile).bytes().all(|b| b.is_ascii_graphic() && !b";\"<,".contains(&b)));
    }

    #[test]
    fn redirects_stay_here() {
        for good in ["/", "/shop/-/jobs/1#L3", "/a?b=c"] {
            assert!(is_local(good), "{good}");
        }
        for bad in ["", "shop", "//evil", "/\\evil", "https://evil", "/a\r\nset-cookie: x", "/\t/evil"] {
            assert!(!is_local(bad), "{bad}");
        }
    }
}
