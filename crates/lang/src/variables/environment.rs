//! Variables of environments.

use serin_model::plan::{Environment, Variable};

/// `CI_ENVIRONMENT_*` of a job.
pub(super) fn variables(environment: &Environment) -> Vec<Variable> {
    let tier = environment.deployment_tier.clone().unwrap_or_else(|| environment_tier(&environment.name).to_owned());
    let mut variables = vec![
        Variable::plain("CI_ENVIRONMENT_NAME", environment.name.as_str()),
        Variable::plain("CI_ENVIRONMENT_SLUG", environment_slug(&environment.name)),
        Variable::plain("CI_ENVIRONMENT_ACTION", environment.action.as_deref().unwrap_or("start")),
        Variable::plain("CI_ENVIRONMENT_TIER", tier),
    ];
    variables.extend(environment.url.as_deref().map(|url| Variable::plain("CI_ENVIRONMENT_URL", url)));
    variables
}

/// The tier that an environment's name suggests.
#[must_use]
pub fn environment_tier(name: &str) -> &'static str {
    let name = name.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if has(&["dev", "review", "trunk"]) {
        "development"
    } else if has(&["test", "tst", "int", "acpt", "accept", "qa", "qc", "control", "quality"]) {
        "testing"
    } else if has(&["stg", "stag", "model", "modl", "pre", "demo", "non"]) {
        "staging"
    } else if has(&["prd", "prod", "live"]) {
        "production"
    } else {
        "other"
    }
}

/// `CI_ENVIRONMENT_SLUG`: lower case, 24 characters, with a digest where the name had to change.
#[must_use]
pub fn environment_slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.to_lowercase().chars() {
        let c = if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
        if c != '-' || !slug.ends_with('-') {
            slug.push(c);
        }
    }
    if !slug.starts_with(|c: char| c.is_ascii_lowercase()) {
        slug = format!("env-{slug}");
    }
    if slug.len() > 24 || slug != name {
        let digest = crate::sha256::base36(&crate::sha256::digest(name.as_bytes()));
        let head: String = slug.chars().take(17).collect();
        let head = if head.ends_with('-') { head } else { format!("{head}-") };
        slug = format!("{head}{}", &digest[digest.len() - 6..]);
    }
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::{environment_slug, environment_tier};

    #[test]
    fn slugs() {
        for (name, slug) in [
            ("production", "production"),
            ("Stage Domain", "stage-domain-ip33nk"),
            ("stage-domain-foobar-long-string", "stage-domain-foob-yafktx"),
        ] {
            assert_eq!(environment_slug(name), slug);
        }
        assert!(environment_slug("1").starts_with("env-1-"));
    }

    #[test]
    fn tiers() {
        for (name, tier) in [
            ("production", "production"),
            ("review/x", "development"),
            ("qa", "testing"),
            ("staging", "staging"),
            ("x", "other"),
        ] {
            assert_eq!(environment_tier(name), tier);
        }
    }
}
