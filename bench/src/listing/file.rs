//! A pipeline file of many jobs, as a generator of a large monorepo would write it.

use std::fmt::Write;

const HEAD: &str = "\
stages: [build, test, deploy]

default:
  image: rust:1
  interruptible: true

variables:
  CARGO_HOME: $CI_PROJECT_DIR/.cargo
  PROFILE: release

.base:
  before_script:
    - source ci/env.sh
  retry: 1
  rules:
    - if: $CI_PIPELINE_SOURCE == \"schedule\"
      when: never
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH || $CI_COMMIT_BRANCH =~ /^release\\/.*/
";

/// The file's text: a third of the jobs builds, a third tests what was built, a third deploys.
pub fn text(jobs: usize) -> String {
    let mut text = HEAD.to_owned();
    let third = jobs.div_ceil(3);
    for job in 0..jobs {
        let (stage, of) = (["build", "test", "deploy"][(job / third).min(2)], job % third);
        let _ = write!(
            text,
            "\n{stage}-{of}:\n  extends: .base\n  stage: {stage}\n  variables:\n    PART: \"{of}\"\n    \
             TARGET: parts/$PART\n  script:\n    - echo {stage} $PART\n    - make -C $TARGET {stage}\n"
        );
        let _ = match stage {
            "build" => writeln!(text, "  artifacts:\n    paths: [parts/{of}/out]\n    expire_in: 1 day"),
            "test" => writeln!(text, "  needs: [build-{of}]\n  allow_failure: true"),
            _ => writeln!(text, "  needs:\n    - test-{of}\n  environment: part-{of}"),
        };
    }
    text
}
