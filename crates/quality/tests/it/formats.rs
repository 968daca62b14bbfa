//! Reports as the formats' own documents show them, and the dialects that cannot be made here.

use serin_quality::{Content, Coverage, Finding, Format, Outcome, Places, Ratio, Severity, TestCase, TreePath, read};

fn content(format: Format, text: &str, places: &Places) -> Content {
    assert_eq!(Format::detect(text.as_bytes()), Some(format));
    read(format, text.as_bytes(), places).unwrap().content
}

fn findings(format: Format, text: &str) -> Vec<Finding> {
    match content(format, text, &Places::new(["/builds/shop".to_owned()])) {
        Content::Findings(found) => found,
        other => panic!("{other:?}"),
    }
}

fn tests(text: &str) -> Vec<TestCase> {
    match content(Format::Junit, text, &Places::default()) {
        Content::Tests(found) => found,
        other => panic!("{other:?}"),
    }
}

fn coverage(format: Format, text: &str, places: &Places) -> Coverage {
    match content(format, text, places) {
        Content::Coverage(found) => found,
        other => panic!("{other:?}"),
    }
}

fn shown(finding: &Finding) -> String {
    let at = finding.location.as_ref().map_or("-".to_owned(), |at| format!("{}:{}:{}", at.path, at.line, at.column));
    format!("{} {} {} {at} {}", finding.tool, finding.rule, finding.severity, finding.message)
}

fn outcomes(tests: &[TestCase]) -> Vec<String> {
    tests
        .iter()
        .map(|test| {
            let flaky = if test.flaky { " flaky" } else { "" };
            format!("{} {} {}{flaky} {}", test.class, test.name, test.outcome.as_str(), test.duration_ms)
        })
        .collect()
}

#[test]
fn sarif_with_rules_behind_results() {
    let text = r#"{"$schema":"https://json.schemastore.org/sarif-2.1.0.json","version":"2.1.0","runs":[{
      "originalUriBaseIds":{"ROOT":{"uri":"file:///builds/shop/"}},
      "results":[
        {"ruleId":"S1","ruleIndex":0,"message":{"text":"bad"},"locations":[{"physicalLocation":{
          "artifactLocation":{"uri":"src/a%20b.c","uriBaseId":"ROOT"},"region":{"startLine":3,"startColumn":5,"endLine":4}}}]},
        {"ruleId":"S2","level":"error","message":{"text":"worse"},"locations":[{"physicalLocation":{
          "artifactLocation":{"uri":"../../etc/passwd"},"region":{"startLine":1}}}]},
        {"rule":{"index":1},"kind":"pass","message":{"text":"fine"}},
        {"ruleIndex":1,"message":{}},
        {"ruleId":"S2","message":{"text":"x"},"suppressions":[{"kind":"inSource"}]},
        {"ruleId":"S2","baselineState":"absent","message":{"text":"x"}}],
      "tool":{"driver":{"name":"Sonar","rules":[
        {"id":"S1","properties":{"security-severity":"8.1"}},
        {"id":"S2","shortDescription":{"text":"a rule"},"defaultConfiguration":{"level":"note"}}]}}}]}"#;
    let found: Vec<String> = findings(Format::Sarif, text).iter().map(shown).collect();
    assert_eq!(found, ["Sonar S1 critical src/a b.c:3:5 bad", "Sonar S2 major - worse", "Sonar S2 info - a rule"]);
}

#[test]
fn code_climate_in_its_three_forms() {
    let one = r#"{"type":"issue","check_name":"R/Cop","description":"long","severity":"major","fingerprint":"f1",
        "location":{"path":"./a.rb","lines":{"begin":7,"end":9}}}"#;
    let two = r#"{"description":"x","check_name":"y","severity":"info",
        "location":{"path":"b.rb","positions":{"begin":{"line":2,"column":4},"end":{"line":2}}}}"#;
    let expected = ["code quality R/Cop major a.rb:7:0 long", "code quality y info b.rb:2:4 x"];
    for text in [format!("[{one},{two}]"), format!("{one}\n{two}\n"), format!("{one}\0{two}\0\n")] {
        let found = findings(Format::CodeClimate, &text);
        assert_eq!(found.iter().map(shown).collect::<Vec<_>>(), expected);
        assert_eq!(found[0].given.as_deref(), Some("f1"));
    }
    assert_eq!(findings(Format::CodeClimate, "[]"), []);
}

#[test]
fn gitlab_sast_and_dependency_scanning() {
    let text = r#"{"version":"15.0.7","vulnerabilities":[
      {"id":"a","severity":"Critical","name":"SQL injection","location":{"file":"app/db.py","start_line":12,"end_line":13},
       "identifiers":[{"type":"semgrep_id","name":"sqli","value":"py.sqli"}],"scanner":{"id":"semgrep","name":"Semgrep"}},
      {"id":"b","severity":"High","name":"ReDoS","location":{"file":"yarn.lock","dependency":{
        "package":{"name":"semver"},"version":"5.7.1"}},"identifiers":[{"type":"cve","name":"CVE-1","value":"CVE-1"}]}],
      "scan":{"scanner":{"id":"gemnasium","name":"Gemnasium"}}}"#;
    let found: Vec<String> = findings(Format::GitlabSecurity, text).iter().map(shown).collect();
    assert_eq!(
        found,
        [
            "Semgrep py.sqli blocker app/db.py:12:0 SQL injection",
            "Gemnasium CVE-1 critical yarn.lock:0:0 semver 5.7.1: ReDoS"
        ]
    );
}

#[test]
fn checkstyle_from_several_tools() {
    let text = r#"<?xml version="1.0"?><checkstyle version="10"><file name="/builds/shop/src/A.java">
      <error line="3" column="1" severity="error" message="Missing a Javadoc &lt;comment&gt;." source="com.puppycrawl.tools.checkstyle.checks.javadoc.MissingJavadocCheck"/>
      <error line="9" severity="ignore" message="no" source="x"/></file>
      <file name="b.js"><error line="1" severity="warning" message="no var" source="eslint.rules.no-var"/></file></checkstyle>"#;
    let found: Vec<String> = findings(Format::Checkstyle, text).iter().map(shown).collect();
    assert_eq!(
        found,
        [
            "checkstyle MissingJavadocCheck major src/A.java:3:1 Missing a Javadoc <comment>.",
            "eslint no-var minor b.js:1:0 no var"
        ]
    );
    assert_eq!(findings(Format::Checkstyle, text)[1].severity, Severity::Minor);
}

#[test]
fn surefire_with_reruns_and_commas() {
    let text = r#"<?xml version="1.0" encoding="UTF-8"?>
      <testsuite name="org.x.ATest" time="1,234.5" tests="4" errors="1" skipped="1" failures="0">
        <properties><property name="java.version" value="17"/></properties>
        <testcase name="slow" classname="org.x.ATest" time="1,234.5"/>
        <testcase name="flaky" classname="org.x.ATest" time="0.1"><flakyFailure message="once" type="E"><stackTrace>at x</stackTrace></flakyFailure></testcase>
        <testcase name="broken" classname="org.x.ATest" time="0.002"><error message="NPE" type="java.lang.NPE"><![CDATA[at org.x.ATest]]></error><rerunError message="NPE"/><system-out>hi</system-out></testcase>
        <testcase name="off" classname="org.x.ATest" time="0"><skipped message="later"/></testcase>
      </testsuite>"#;
    let found = tests(text);
    assert_eq!(
        outcomes(&found),
        [
            "org.x.ATest slow passed 1234500",
            "org.x.ATest flaky passed flaky 100",
            "org.x.ATest broken failed 2",
            "org.x.ATest off skipped 0",
        ]
    );
    let detail = found[2].detail.as_ref().unwrap();
    assert_eq!((detail.message.as_str(), detail.output.as_str()), ("NPE", "at org.x.ATest\nhi"));
}

#[test]
fn jest_go_and_googletest() {
    let jest = r#"<testsuites name="jest tests" tests="2"><testsuite name="sum" tests="2">
        <testcase classname="sum adds" name="sum adds" time="0.003"/>
        <testcase classname="sum subtracts" name="sum subtracts" time="0.004"><failure>Error: expect(received)&#10;Expected: 1</failure></testcase>
      </testsuite></testsuites>"#;
    let found = tests(jest);
    assert_eq!(outcomes(&found), ["sum adds sum adds passed 3", "sum subtracts sum subtracts failed 4"]);
    assert_eq!(found[1].detail.as_ref().unwrap().message, "Error: expect(received)");
    let go = r#"<testsuites tests="3" failures="1"><testsuite tests="3" failures="1" time="0.010" name="example.com/m/p">
        <testcase classname="example.com/m/p" name="TestA" time="0.000000"></testcase>
        <testcase classname="example.com/m/p" name="TestB/sub_1" time="-0.010"><failure message="Failed" type="">p_test.go:9: got 2</failure></testcase>
        <testcase classname="example.com/m/p" name="TestC" time="0.01"><skipped message="p_test.go:14: short"></skipped></testcase>
      </testsuite></testsuites>"#;
    let failed = "example.com/m/p TestB/sub_1 failed 0";
    assert_eq!(outcomes(&tests(go)), ["example.com/m/p TestA passed 0", failed, "example.com/m/p TestC skipped 10"]);
    let google = r#"<testsuites tests="3" failures="1" disabled="1" name="AllTests"><testsuite name="Pay" tests="3">
        <testcase name="Takes" file="/x/pay.cc" line="3" status="run" result="completed" time="0.001" classname="Pay"/>
        <testcase name="Gives" status="run" result="completed" time="0." classname="Pay">
          <failure message="pay.cc:9&#x0A;Expected equality" type=""><![CDATA[pay.cc:9
Expected equality]]></failure></testcase>
        <testcase name="DISABLED_Waits" status="notrun" result="suppressed" time="0." classname="Pay"/>
      </testsuite></testsuites>"#;
    let expected = ["Pay Takes passed 1", "Pay Gives failed 0", "Pay DISABLED_Waits skipped 0"];
    assert_eq!(outcomes(&tests(google)), expected);
}

#[test]
fn a_suite_that_fails_outside_its_tests_is_a_failed_test() {
    let text = r#"<testsuites><testsuite name="s"><error message="cannot load">trace</error><testcase name="a"/></testsuite></testsuites>"#;
    let found = tests(text);
    assert_eq!(outcomes(&found), ["s (suite) failed 0", "s a passed 0"]);
    assert_eq!(found[0].outcome, Outcome::Failed);
}

#[test]
fn jacoco_paths_are_completed_by_the_tree() {
    let text = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
      <!DOCTYPE report PUBLIC "-//JACOCO//DTD Report 1.1//EN" "report.dtd"><report name="shop">
      <sessioninfo id="h" start="1" dump="2"/><package name="org/shop">
        <class name="org/shop/Pay" sourcefilename="Pay.java"><method name="a" desc="()V" line="3"><counter type="LINE" missed="1" covered="2"/></method></class>
        <sourcefile name="Pay.java"><line nr="3" mi="0" ci="2" mb="0" cb="0"/><line nr="4" mi="3" ci="0" mb="2" cb="0"/>
          <line nr="5" mi="1" ci="4" mb="1" cb="1"/><counter type="LINE" missed="1" covered="2"/></sourcefile>
      </package></report>"#;
    let places = Places::default().with_files(["core/src/main/java/org/shop/Pay.java", "README.md"]);
    let found = coverage(Format::Jacoco, text, &places);
    let path = TreePath::parse("core/src/main/java/org/shop/Pay.java").unwrap();
    let lines: Vec<(u32, bool)> = found.of(&path).unwrap().lines().collect();
    assert_eq!(lines, [(3, true), (4, false), (5, true)]);
}

#[test]
fn clover_and_cobertura_and_lcov_say_the_same() {
    let clover = r#"<coverage generated="1" clover="3.2.0"><project timestamp="1"><metrics statements="3"/><package name="s">
        <file name="a.js" path="/builds/shop/src/a.js"><line num="1" count="1" type="stmt"/>
        <line num="2" count="0" type="cond" truecount="0" falsecount="0"/><line num="9" count="99999999999999999999" type="stmt"/></file></package></project></coverage>"#;
    let cobertura = r#"<coverage line-rate="0.6" version="7"><sources><source>/builds/shop/src</source></sources><packages><package name="s"><classes>
        <class name="a.js" filename="a.js" line-rate="0.6"><methods><method name="f"><lines><line number="1" hits="1"/></lines></method></methods>
        <lines><line number="1" hits="1"/><line number="2" hits="0" branch="true" condition-coverage="0% (0/2)"/><line number="9" hits="4"/></lines></class></classes></package></packages></coverage>"#;
    let lcov = "TN:\nSF:/builds/shop/src/a.js\nFN:1,f\nFNDA:1,f\nDA:1,1\nDA:2,0\nDA:9,4,checksum\nBRDA:2,0,0,-\nLF:3\nLH:2\nend_of_record\n\
                SF:/usr/include/x.h\nDA:1,1\nend_of_record\n";
    let places = Places::new(["/builds/shop".to_owned()]);
    let expected = coverage(Format::Lcov, lcov, &places);
    assert_eq!(expected.ratio(), Ratio { covered: 2, total: 3 });
    assert_eq!(coverage(Format::Clover, clover, &places), expected);
    assert_eq!(coverage(Format::Cobertura, cobertura, &places), expected);
}
