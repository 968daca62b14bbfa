//! Variations that the documents of formats and tools allow, each with what must come of it, line by line.

use serin_quality::{Content, Format, Places, read};

/// The files of the tree that every report here is about.
const FILES: &[&str] = &[
    "src/a.js",
    "src/b.js",
    "lib/only_here.py",
    "core/src/main/java/org/shop/Pay.java",
    "web/src/main/java/org/shop/Pay.java",
    "app/src/main/kotlin/cart/Cart.kt",
    "src/Default.java",
    "pkg/pay.go",
    "go.mod",
];

fn places() -> Places {
    Places::new(["/builds/shop".to_owned()]).with_files(FILES.iter().copied())
}

/// What is read, one line for each finding, test or file.
fn told(format: Format, bytes: &[u8]) -> Vec<String> {
    assert_eq!(Format::detect(bytes), Some(format), "{}", String::from_utf8_lossy(bytes));
    match read(format, bytes, &places()).unwrap().content {
        Content::Findings(found) => {
            let place = |at: &serin_quality::Location| format!("{}:{}:{}-{}", at.path, at.line, at.column, at.end_line);
            let line = |one: &serin_quality::Finding| {
                let at = one.location.as_ref().map_or_else(|| "-".to_owned(), place);
                format!("{}|{}|{}|{at}|{}", one.tool, one.rule, one.severity, one.message)
            };
            found.iter().map(line).collect()
        }
        Content::Tests(tests) => {
            let line = |test: &serin_quality::TestCase| {
                let flaky = if test.flaky { " flaky" } else { "" };
                let why = test.detail.as_ref().map(|detail| format!("|{}", detail.message)).unwrap_or_default();
                format!("{}|{}|{}{flaky} {}{why}", test.class, test.name, test.outcome.as_str(), test.duration_ms)
            };
            tests.iter().map(line).collect()
        }
        Content::Coverage(coverage) => {
            let line = |(line, ran): (u32, bool)| format!("{line}{}", if ran { "+" } else { "-" });
            let file = |(path, lines): (&serin_quality::TreePath, &serin_quality::coverage::FileCoverage)| {
                format!("{path} {}", lines.lines().map(line).collect::<Vec<_>>().join(" "))
            };
            coverage.files().map(file).collect()
        }
    }
}

fn check(format: Format, cases: &[(&str, &str, &[&str])]) {
    for (name, text, expected) in cases {
        assert_eq!(told(format, text.as_bytes()), *expected, "{name}");
    }
}

/// A run of SARIF around its parts.
fn sarif(parts: &str) -> String {
    format!(r#"{{"version":"2.1.0","$schema":"https://json.schemastore.org/sarif-2.1.0.json","runs":[{{{parts}}}]}}"#)
}

const DRIVER: &str = r#""tool":{"driver":{"name":"T","rules":[{"id":"R","defaultConfiguration":{"level":"error"}}]}}"#;

#[test]
fn sarif_levels_kinds_and_suppressions() {
    let result =
        |more: &str| sarif(&format!(r#"{DRIVER},"results":[{{"ruleId":"R","message":{{"text":"m"}}{more}}}]"#));
    for (more, expected) in [
        ("", Some("major")),
        (r#","level":"warning""#, Some("minor")),
        (r#","level":"note""#, Some("info")),
        (r#","level":"none""#, Some("info")),
        (r#","kind":"fail""#, Some("major")),
        (r#","kind":"review""#, Some("info")),
        (r#","kind":"open","level":"error""#, Some("info")),
        (r#","kind":"informational""#, Some("info")),
        (r#","kind":"pass""#, None),
        (r#","kind":"notApplicable""#, None),
        (r#","baselineState":"new""#, Some("major")),
        (r#","baselineState":"unchanged""#, Some("major")),
        (r#","baselineState":"absent""#, None),
        (r#","suppressions":[]"#, Some("major")),
        (r#","suppressions":[{"kind":"inSource"}]"#, None),
        (r#","suppressions":[{"kind":"external","status":"accepted"}]"#, None),
        (r#","suppressions":[{"kind":"external","status":"rejected"}]"#, Some("major")),
        (r#","suppressions":[{"kind":"inSource"},{"kind":"external","status":"underReview"}]"#, Some("major")),
    ] {
        let expected: Vec<String> = expected.iter().map(|severity| format!("T|R|{severity}|-|m")).collect();
        assert_eq!(told(Format::Sarif, result(more).as_bytes()), expected, "{more}");
    }
}

#[test]
fn sarif_rules_of_driver_and_extensions() {
    let tool = r#""tool":{"extensions":[
          {"name":"queries","rules":[{"id":"q/one","defaultConfiguration":{"level":"note"},"properties":{"security-severity":9.8}}]},
          {"name":"more","rules":[{"id":"q/two","shortDescription":{"text":"short"},"defaultConfiguration":{"level":"error"}}]}],
        "driver":{"name":"CodeQL","rules":[{"id":"CA1","messageStrings":{"default":{"text":"'{0}' hides {1}"}},"defaultConfiguration":{"level":"note"}}]}}"#;
    let result = |result: &str| sarif(&format!(r#""results":[{{{result}}}],{tool}"#));
    for (text, expected) in [
        (
            r#""rule":{"id":"q/one","index":0,"toolComponent":{"index":0}},"message":{"text":"m"}"#,
            "CodeQL|q/one|blocker|-|m",
        ),
        (
            r#""ruleId":"q/two","rule":{"index":0,"toolComponent":{"name":"more"}},"message":{"text":"m"}"#,
            "CodeQL|q/two|major|-|m",
        ),
        (r#""ruleId":"q/two","message":{}"#, "CodeQL|q/two|major|-|short"),
        (r#""ruleIndex":0,"message":{"id":"default","arguments":["x","y"]}"#, "CodeQL|CA1|info|-|'x' hides y"),
        (r#""ruleId":"CA1/part/2","message":{"text":"m"}"#, "CodeQL|CA1/part/2|info|-|m"),
        (r#""ruleId":"CA10","message":{"text":"no such rule"}"#, "CodeQL|CA10|minor|-|no such rule"),
        (r#""ruleIndex":-1,"ruleId":"CA1","message":{"markdown":"**m**"}"#, "CodeQL|CA1|info|-|**m**"),
        (r#""ruleIndex":99,"message":{"text":"m"}"#, "CodeQL|unknown|minor|-|m"),
    ] {
        assert_eq!(told(Format::Sarif, result(text).as_bytes()), [expected], "{text}");
    }
}

#[test]
fn sarif_places() {
    let bases = r#""originalUriBaseIds":{"HOME":{"uri":"file:///builds/"},"ROOT":{"uri":"shop/","uriBaseId":"HOME"},
        "SRC":{"uri":"src","uriBaseId":"ROOT"},"REL":{"uri":"src/"},"DISK":{"uri":"file:///"},"NONE":{"description":{"text":"x"}},
        "LOOP":{"uri":"a/","uriBaseId":"LOOP"},"ELSEWHERE":{"uri":"file:///usr/include/"}}"#;
    let files = r#""artifacts":[{"location":{"uri":"src/b.js"}},{"location":{"uri":"a.js","uriBaseId":"SRC"}},{"contents":{}}]"#;
    let region = r#""region":{"startLine":2,"startColumn":3,"endLine":4,"endColumn":9}"#;
    let result = |file: &str| {
        let place = format!(r#"{{"physicalLocation":{{"artifactLocation":{file},{region}}}}}"#);
        sarif(&format!(
            r#"{DRIVER},"results":[{{"ruleId":"R","message":{{"text":"m"}},"locations":[{place}]}}],{bases},{files}"#
        ))
    };
    for (file, expected) in [
        (r#"{"uri":"src/a.js"}"#, "src/a.js:2:3-4"),
        (r#"{"uri":"a.js","uriBaseId":"SRC"}"#, "src/a.js:2:3-4"),
        (r#"{"uri":"b.js","uriBaseId":"REL"}"#, "src/b.js:2:3-4"),
        (r#"{"uri":"src/b.js","uriBaseId":"NONE"}"#, "src/b.js:2:3-4"),
        (r#"{"uri":"src/b.js","uriBaseId":"%SRCROOT%"}"#, "src/b.js:2:3-4"),
        (r#"{"uri":"go.mod","uriBaseId":"DISK"}"#, "go.mod:2:3-4"),
        (r#"{"uri":"new.mod","uriBaseId":"DISK"}"#, "new.mod:2:3-4"),
        (r#"{"uri":"file:///builds/shop/src/a.js","uriBaseId":"DISK"}"#, "src/a.js:2:3-4"),
        (r#"{"index":0}"#, "src/b.js:2:3-4"),
        (r#"{"index":1}"#, "src/a.js:2:3-4"),
        (r#"{"index":2}"#, "-"),
        (r#"{"index":77}"#, "-"),
        (r#"{"uri":"x.h","uriBaseId":"LOOP"}"#, "-"),
        (r#"{"uri":"stdio.h","uriBaseId":"ELSEWHERE"}"#, "-"),
        (r#"{"uri":"file:///etc/passwd"}"#, "-"),
        (r#"{"uri":"https://example.org/src/a.js"}"#, "-"),
    ] {
        assert_eq!(told(Format::Sarif, result(file).as_bytes()), [format!("T|R|major|{expected}|m")], "{file}");
    }
}

#[test]
fn sarif_of_other_shapes() {
    let two = r#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"A"}},"results":[{"message":{"text":"1"}}]},
        {"tool":{"driver":{"name":"B"}}},{"tool":{"driver":{}},"results":null},{"results":[{"ruleId":"x","message":{"text":"2"},
        "analysisTarget":{"uri":"src/a.js"}}]}]}"#;
    let whole = r#"{"version":"2.1.0","runs":[{"results":[{"ruleId":"x","locations":[{"physicalLocation":{"artifactLocation":{"uri":"src/a.js"}}}],
        "message":{"text":"no region"}},{"ruleId":"y","locations":[{"logicalLocations":[{"name":"f"}]}],"message":{"text":"no file"}},
        {"ruleId":"z","locations":[],"message":{"text":"nowhere"}}],"tool":{"driver":{"name":"C"}}}]}"#;
    check(
        Format::Sarif,
        &[
            ("several runs", two, &["A|unknown|minor|-|1", "sarif|x|minor|src/a.js:0:0-0|2"]),
            ("no run", r#"{"version":"2.1.0","runs":[]}"#, &[]),
            (
                "places that are not whole",
                whole,
                &["C|x|minor|src/a.js:0:0-0|no region", "C|y|minor|-|no file", "C|z|minor|-|nowhere"],
            ),
        ],
    );
}

#[test]
fn reports_in_other_encodings() {
    let wide = |text: &str, order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let text = sarif(&format!(r#"{DRIVER},"results":[{{"ruleId":"R","message":{{"text":"grün 绿"}}}}]"#));
    for bytes in [
        format!("\u{feff}{text}").into_bytes(),
        wide(&format!("\u{feff}{text}"), u16::to_le_bytes),
        wide(&format!("\u{feff}{text}"), u16::to_be_bytes),
        wide(&text, u16::to_le_bytes),
    ] {
        assert_eq!(told(Format::Sarif, &bytes), ["T|R|major|-|grün 绿"]);
    }
    let old =
        b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><testsuite name='s'><testcase name='gr\xfcn'/></testsuite>";
    assert_eq!(told(Format::Junit, old), ["s|grün|passed 0"]);
    let wide_xml = wide(
        "\u{feff}<?xml version='1.0' encoding='utf-16'?><testsuite name='s'><testcase name='绿'/></testsuite>",
        u16::to_le_bytes,
    );
    assert_eq!(told(Format::Junit, &wide_xml), ["s|绿|passed 0"]);
    assert_eq!(told(Format::Lcov, b"\xef\xbb\xbfTN:\r\nSF:src/a.js\r\nDA:1,1\r\nend_of_record\r\n"), ["src/a.js 1+"]);
}

#[test]
fn code_climate_of_other_tools() {
    check(
        Format::CodeClimate,
        &[
            (
                "without a rule's name, as PHPStan writes",
                r#"[{"description":"d","fingerprint":"f","severity":"major","location":{"path":"src/a.js","lines":{"begin":7}}}]"#,
                &["code quality|unknown|major|src/a.js:7:0-7|d"],
            ),
            (
                "positions",
                r#"[{"description":"d","check_name":"c","location":{"path":"src/a.js","positions":{"begin":{"line":3,"column":5},"end":{"line":4,"column":1}}}}]"#,
                &["code quality|c|minor|src/a.js:3:5-4|d"],
            ),
            (
                "severities",
                r#"[{"check_name":"a","description":"d","severity":"blocker","location":{"path":"x","lines":{"begin":1}}},
                    {"check_name":"b","description":"d","severity":"critical","location":{"path":"x","lines":{"begin":1}}},
                    {"check_name":"c","description":"d","severity":"info","location":{"path":"x","lines":{"begin":1}}},
                    {"check_name":"d","description":"d","severity":"unknown","location":{"path":"x","lines":{"begin":"9","end":12}}}]"#,
                &[
                    "code quality|a|blocker|x:1:0-1|d",
                    "code quality|b|critical|x:1:0-1|d",
                    "code quality|c|info|x:1:0-1|d",
                    "code quality|d|minor|x:9:0-12|d",
                ],
            ),
            (
                "measurements between issues",
                "{\"type\":\"measurement\",\"name\":\"loc\",\"check_name\":\"\",\"value\":4}\0{\"type\":\"Issue\",\"engine_name\":\"duplication\",\"check_name\":\"c\",\"description\":\"d\",\"location\":{\"path\":\"./src/a.js\",\"lines\":{\"begin\":1,\"end\":2}}}\0",
                &["duplication|c|minor|src/a.js:1:0-2|d"],
            ),
        ],
    );
}

#[test]
fn gitlab_security_reports_of_every_kind() {
    let scan = r#""scan":{"analyzer":{"id":"a","name":"Analyzer"},"scanner":{"id":"s","name":"Scanner"},"type":"sast","status":"success"}"#;
    let report =
        |vulnerabilities: &str| format!(r#"{{"version":"15.2.1",{scan},"vulnerabilities":[{vulnerabilities}]}}"#);
    for (name, text, expected) in [
        (
            "secret detection",
            r#"{"id":"1","category":"secret_detection","name":"AWS key","description":"d","severity":"Critical",
               "location":{"file":"src/a.js","commit":{"sha":"0000000"},"start_line":4},"identifiers":[{"type":"gitleaks_rule_id","name":"Gitleaks rule ID AWS","value":"AWS"}]}"#,
            "Scanner|AWS|blocker|src/a.js:4:0-4|AWS key",
        ),
        (
            "dependency scanning",
            r#"{"id":"2","name":"ReDoS","severity":"High","location":{"file":"go.mod","dependency":{"package":{"name":"semver"},"version":"v1.2.3"}},
               "identifiers":[{"type":"cve","name":"CVE-2022-1","value":"CVE-2022-1","url":"https://x"},{"type":"cwe","name":"CWE-1","value":"1"}]}"#,
            "Scanner|CVE-2022-1|critical|go.mod:0:0-0|semver v1.2.3: ReDoS",
        ),
        (
            "container scanning",
            r#"{"id":"3","severity":"Medium","location":{"image":"shop:1","operating_system":"debian:12","dependency":{"package":{"name":"zlib"},"version":"1.2"}},
               "identifiers":[{"type":"cve","name":"CVE-2","value":"CVE-2"}],"description":"overflow","solution":"upgrade"}"#,
            "Scanner|CVE-2|major|-|zlib 1.2: overflow",
        ),
        (
            "what nobody knows",
            r#"{"id":"4","severity":"Unknown","identifiers":[],"location":{},"message":"m","category":"sast"}"#,
            "Scanner|sast|minor|-|m",
        ),
        (
            "what is only said",
            r#"{"id":"5","severity":"Info","name":"n","location":{"file":"../x","start_line":1},"identifiers":[{"type":"t","name":"N"}]}"#,
            "Scanner|N|info|-|n",
        ),
        (
            "with the scanner of old reports",
            r#"{"id":"6","severity":"Low","name":"n","scanner":{"id":"eslint","name":"ESLint"},"location":{"file":"src/a.js","start_line":1,"end_line":9,"class":"A","method":"b"},"identifiers":[{"type":"t","name":"N","value":"v"}]}"#,
            "ESLint|v|minor|src/a.js:1:0-9|n",
        ),
    ] {
        assert_eq!(told(Format::GitlabSecurity, report(text).as_bytes()), [expected], "{name}");
    }
    assert_eq!(told(Format::GitlabSecurity, report("").as_bytes()), [""; 0]);
}

#[test]
fn checkstyle_of_other_tools() {
    check(
        Format::Checkstyle,
        &[
            (
                "severities and owners",
                r#"<?xml version="1.0" encoding="UTF-8"?>
                <checkstyle version="8.0">
                  <file name="/builds/shop/src/a.js">
                    <error line="1" column="2" severity="info" message="i" source="detekt.MagicNumber"/>
                    <error line="0" severity="error" message="whole file" source="com.puppycrawl.tools.checkstyle.checks.header.HeaderCheck"/>
                    <error severity="warning" message="no line" source="Squiz.Commenting.Missing"/>
                    <error line="4" severity="ignore" message="no" source="x"/>
                    <error line="5" message="no severity" source="SC2086"/>
                    <error line="6" severity="error" message="no source"/>
                    <exception><![CDATA[java.lang.RuntimeException]]></exception>
                  </file>
                  <file name="../../etc/passwd"><error line="1" severity="error" message="out" source="a.b"/></file>
                  <file name="C:\work\shop\src\b.js"><error line="2" severity="warning" message="drive" source="eslint.rules.no-var"/></file>
                  <file name="empty.c"/>
                </checkstyle>"#,
                &[
                    "detekt|MagicNumber|info|src/a.js:1:2-1|i",
                    "checkstyle|HeaderCheck|major|src/a.js:0:0-0|whole file",
                    "Squiz|Missing|minor|src/a.js:0:0-0|no line",
                    "checkstyle|SC2086|minor|src/a.js:5:0-5|no severity",
                    "checkstyle|unknown|major|src/a.js:6:0-6|no source",
                    "a|b|major|-|out",
                    "eslint|no-var|minor|src/b.js:2:0-2|drive",
                ],
            ),
            ("nothing", "<checkstyle version='4.3'/>", &[]),
        ],
    );
}

#[test]
fn junit_shapes() {
    check(
        Format::Junit,
        &[
            ("no suite", "<testsuites/>", &[]),
            ("an empty suite", "<testsuites><testsuite name='s' tests='0'></testsuite></testsuites>", &[]),
            (
                "suites in suites",
                "<testsuites name='all'><testsuite name='outer'><testsuite name='inner'><testcase name='a'/></testsuite>\
                 <testcase name='b'/><testcase name='c' classname=''/></testsuite><testsuite><testcase name='d'/></testsuite></testsuites>",
                &["inner|a|passed 0", "outer|b|passed 0", "outer|c|passed 0", "|d|passed 0"],
            ),
            (
                "failure, error, both, left out",
                "<testsuite name='s'><testcase name='a'><failure message='m' type='T'/></testcase>\
                 <testcase name='b'><error type='T'/></testcase><testcase name='c'><failure>first\nsecond</failure><error message='e'/></testcase>\
                 <testcase name='d'><skipped/></testcase><testcase name='e'><skipped message='why'/><failure message='late'/></testcase></testsuite>",
                &[
                    "s|a|failed 0|m",
                    "s|b|failed 0|T",
                    "s|c|failed 0|e",
                    "s|d|skipped 0|",
                    "s|e|failed 0|why",
                ],
            ),
            (
                "attempts of Surefire and of nextest",
                "<testsuite name='s'><testcase name='a'><flakyFailure message='m'><stackTrace>t</stackTrace><system-out>o</system-out></flakyFailure></testcase>\
                 <testcase name='b'><flakyError message='m'/><flakyError message='n'/></testcase>\
                 <testcase name='c'><failure message='m'/><rerunFailure message='r'><stackTrace>t</stackTrace></rerunFailure><rerunError/></testcase>\
                 <testcase name='d'><failure message='m'/><flakyFailure/></testcase></testsuite>",
                &["s|a|passed flaky 0|m", "s|b|passed flaky 0|m", "s|c|failed 0|m", "s|d|failed 0|m"],
            ),
            (
                "properties, output, unknown elements",
                "<testsuites><properties><property name='x' value='<'/></properties><testsuite name='s'><properties/><testcase name='a' time='1'>\
                 <properties><property name='failure' value='no'/></properties><system-out>failure</system-out><system-err><![CDATA[<failure/>]]></system-err>\
                 <what><ever/></what></testcase><system-out>end</system-out><system-err/></testsuite></testsuites>"
                    .replace("value='<'", "value='&lt;'")
                    .leak(),
                &["s|a|passed 1000"],
            ),
            (
                "times",
                "<testsuite name='s'><testcase name='a' time='1,234.567'/><testcase name='b' time='1,234'/><testcase name='c' time='0,25'/>\
                 <testcase name='d' time='0,004'/><testcase name='e' time='1e-3'/><testcase name='f' time='NaN'/><testcase name='g' time=''/>\
                 <testcase name='h' time='-4'/><testcase name='i' time='99999999999'/><testcase name='j' time=' 0.5 '/><testcase name='k' time='1,234,567.5'/></testsuite>",
                &[
                    "s|a|passed 1234567",
                    "s|b|passed 1234000",
                    "s|c|passed 250",
                    "s|d|passed 4",
                    "s|e|passed 1",
                    "s|f|passed 0",
                    "s|g|passed 0",
                    "s|h|passed 0",
                    "s|i|passed 86400000",
                    "s|j|passed 500",
                    "s|k|passed 86400000",
                ],
            ),
            (
                "a prefix, a document type, comments, instructions",
                "<?xml version='1.0'?><?pi x?><!-- c --><!DOCTYPE testsuites><j:testsuites xmlns:j='u'><j:testsuite name='s'><!-- <testcase/> --><j:testcase name='a'/></j:testsuite></j:testsuites>",
                &["s|a|passed 0"],
            ),
            (
                "characters that are none",
                "<testsuite name='s'><testcase name='a&#0;&#x1B;[31mb&#xFFFFFFFF;'><failure message='x&#x0;y'>&#0;&#xD800;t</failure></testcase></testsuite>",
                &["s|a\u{fffd}b\u{fffd}|failed 0|x\u{fffd}y"],
            ),
            ("the same name twice", "<testsuite name='s'><testcase name='a'/><testcase name='a'><failure/></testcase></testsuite>", &["s|a|passed 0", "s|a|failed 0|"]),
            (
                "a status alone",
                "<testsuite name='s'><testcase name='a' status='fail'/><testcase name='b' status='disabled'/><testcase name='c' status='notrun'/><testcase name='d' status='run' result='completed'/></testsuite>",
                &["s|a|failed 0|", "s|b|skipped 0|", "s|c|skipped 0|", "s|d|passed 0"],
            ),
        ],
    );
}

/// One sample of each dialect, as the tool's documents and sources show it.
#[test]
fn junit_of_seven_tools() {
    check(
        Format::Junit,
        &[
            (
                "pytest",
                r#"<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" errors="1" failures="1" skipped="2" tests="6" time="0.045" timestamp="2026-11-29T15:00:00.000000+00:00" hostname="h">
                <testcase classname="tests.test_a" name="test_ok" time="0.001"><properties><property name="key" value="v"/></properties></testcase>
                <testcase classname="tests.test_a.TestB" name="test_param[1-x&lt;y]" time="0.000"><failure message="assert 1 == 2">def test_param():
&gt;   assert 1 == 2
E   assert 1 == 2</failure></testcase>
                <testcase classname="tests.test_a" name="test_skip" time="0.000"><skipped type="pytest.skip" message="later">/x/test_a.py:3: later</skipped></testcase>
                <testcase classname="tests.test_a" name="test_xfail" time="0.000"><skipped type="pytest.xfail" message="known"/></testcase>
                <testcase classname="" name="tests.test_broken" time="0.000"><error message="collection failure">ImportError</error></testcase>
                <testcase classname="tests.test_a" name="test_out" time="0.5"><system-out>--------------------------------- Captured Out ---------------------------------
hello</system-out></testcase></testsuite></testsuites>"#,
                &[
                    "tests.test_a|test_ok|passed 1",
                    "tests.test_a.TestB|test_param[1-x<y]|failed 0|assert 1 == 2",
                    "tests.test_a|test_skip|skipped 0|later",
                    "tests.test_a|test_xfail|skipped 0|known",
                    "pytest|tests.test_broken|failed 0|collection failure",
                    "tests.test_a|test_out|passed 500",
                ],
            ),
            (
                "nextest",
                r#"<?xml version="1.0" encoding="UTF-8"?><testsuites name="nextest-run" tests="3" failures="1" errors="0" uuid="45" timestamp="2026-11-29T15:00:00.000+00:00" time="1.1">
                <testsuite name="shop::it" tests="3" disabled="0" errors="0" failures="1">
                <testcase name="pays" classname="shop::it" timestamp="2026-11-29T15:00:00.000+00:00" time="0.010"></testcase>
                <testcase name="wavers" classname="shop::it" time="0.020"><flakyFailure timestamp="x" time="0.015" message="thread 'wavers' panicked at src/lib.rs:3:5" type="test failure"><system-err>panicked</system-err></flakyFailure></testcase>
                <testcase name="falls" classname="shop::it" time="0.015"><failure message="thread 'falls' panicked" type="test failure with exit code 101">panicked</failure><rerunFailure time="0.01" type="test failure"></rerunFailure><system-out>running 1 test</system-out></testcase>
                </testsuite></testsuites>"#,
                &[
                    "shop::it|pays|passed 10",
                    "shop::it|wavers|passed flaky 20|thread 'wavers' panicked at src/lib.rs:3:5",
                    "shop::it|falls|failed 15|thread 'falls' panicked",
                ],
            ),
            (
                "Surefire",
                r#"<?xml version="1.0" encoding="UTF-8"?><testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="https://maven.apache.org/surefire/maven-surefire-plugin/xsd/surefire-test-report-3.0.xsd" version="3.0" name="org.shop.PayTest" time="0.083" tests="4" errors="1" skipped="1" failures="1">
                <properties><property name="java.specification.version" value="17"/></properties>
                <testcase name="pays" classname="org.shop.PayTest" time="0.005"/>
                <testcase name="{int}[1]" classname="org.shop.PayTest" time="0.004"><failure message="expected: &lt;1&gt; but was: &lt;2&gt;" type="org.opentest4j.AssertionFailedError"><![CDATA[org.opentest4j.AssertionFailedError: expected: <1> but was: <2>
	at org.shop.PayTest.pays(PayTest.java:9)
]]></failure><system-out><![CDATA[out]]></system-out></testcase>
                <testcase name="breaks" classname="org.shop.PayTest" time="0.001"><error type="java.lang.NullPointerException">java.lang.NullPointerException</error></testcase>
                <testcase name="waits" classname="org.shop.PayTest" time="0"><skipped/></testcase></testsuite>"#,
                &[
                    "org.shop.PayTest|pays|passed 5",
                    "org.shop.PayTest|{int}[1]|failed 4|expected: <1> but was: <2>",
                    "org.shop.PayTest|breaks|failed 1|java.lang.NullPointerException",
                    "org.shop.PayTest|waits|skipped 0|",
                ],
            ),
            (
                "Jest",
                r#"<?xml version="1.0" encoding="UTF-8"?><testsuites name="jest tests" tests="3" failures="1" errors="0" time="0.8">
                <testsuite name="cart" errors="0" failures="1" skipped="1" timestamp="2026-11-29T15:00:00" time="0.6" tests="3">
                <testcase classname="cart adds" name="cart adds" time="0.002"></testcase>
                <testcase classname="cart removes" name="cart removes" time="0.001"><failure>Error: expect(received).toBe(expected)

Expected: 1</failure></testcase>
                <testcase classname="cart waits" name="cart waits" time="0"><skipped/></testcase></testsuite></testsuites>"#,
                &[
                    "cart adds|cart adds|passed 2",
                    "cart removes|cart removes|failed 1|Error: expect(received).toBe(expected)",
                    "cart waits|cart waits|skipped 0|",
                ],
            ),
            (
                "Go, by go-junit-report and gotestsum",
                r#"<?xml version="1.0" encoding="UTF-8"?><testsuites tests="4" failures="1" errors="1" time="0.1"><testsuite tests="3" failures="1" time="0.050000" name="example.com/shop/pay" timestamp="2026-11-29T15:00:00Z">
                <properties><property name="go.version" value="go1.25"></property></properties>
                <testcase classname="example.com/shop/pay" name="TestPay" time="0.010000"></testcase>
                <testcase classname="example.com/shop/pay" name="TestPay/twice#01" time="0.000000"><failure message="Failed" type="">=== RUN   TestPay/twice#01
    pay_test.go:9: got 1</failure></testcase>
                <testcase classname="example.com/shop/pay" name="TestLater" time="0.000000"><skipped message="pay_test.go:14: short"></skipped></testcase></testsuite>
                <testsuite name="example.com/shop/bad" tests="1" errors="1"><testcase name="[build failed]" classname="example.com/shop/bad" time="0.000"><error message="Build error"><![CDATA[bad.go:3: undefined]]></error></testcase></testsuite></testsuites>"#,
                &[
                    "example.com/shop/pay|TestPay|passed 10",
                    "example.com/shop/pay|TestPay/twice#01|failed 0|Failed",
                    "example.com/shop/pay|TestLater|skipped 0|pay_test.go:14: short",
                    "example.com/shop/bad|[build failed]|failed 0|Build error",
                ],
            ),
            (
                "ctest",
                r#"<?xml version="1.0" encoding="UTF-8"?><testsuite name="Linux-c++" tests="4" failures="2" disabled="1" skipped="1" hostname="" time="1" timestamp="2026-11-29T15:00:00">
                <testcase name="adds" classname="adds" time="0.0016" status="run"><properties/><system-out>ok</system-out></testcase>
                <testcase name="divides" classname="divides" time="1.0" status="fail"><failure message=""/><properties><property name="cmake_labels" value="slow"/></properties><system-out>got 2</system-out></testcase>
                <testcase name="waits" classname="waits" time="0" status="disabled"><skipped message="Disabled"/><properties/><system-out>Disabled</system-out></testcase>
                <testcase name="late" classname="late" time="0.5" status="fail"><failure message="Timeout"/><properties/><system-out></system-out></testcase>
                <testcase name="off" classname="off" time="0" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/><properties/><system-out/></testcase></testsuite>"#,
                &[
                    "adds|adds|passed 2",
                    "divides|divides|failed 1000|got 2",
                    "waits|waits|skipped 0|Disabled",
                    "late|late|failed 500|Timeout",
                    "off|off|skipped 0|SKIP_RETURN_CODE=77",
                ],
            ),
            (
                "GoogleTest",
                r#"<?xml version="1.0" encoding="UTF-8"?><testsuites tests="4" failures="1" disabled="1" errors="0" time="0.01" timestamp="2026-11-29T15:00:00.000" name="AllTests">
                <testsuite name="Pay" tests="3" failures="1" disabled="1" skipped="0" errors="0" time="0." timestamp="x">
                <testcase name="Adds" file="/builds/shop/pay.cc" line="3" status="run" result="completed" time="0.001" timestamp="x" classname="Pay" key="value"/>
                <testcase name="Fails" value_param="5" status="run" result="completed" time="0." classname="Pay"><failure message="pay.cc:9&#x0A;Expected equality of these values:" type=""><![CDATA[pay.cc:9]]></failure><failure message="pay.cc:10&#x0A;Failed" type=""/></testcase>
                <testcase name="DISABLED_Waits" status="notrun" result="suppressed" time="0." classname="Pay"/></testsuite>
                <testsuite name="Typed/0" tests="1"><testcase name="Skips" type_param="int" status="run" result="skipped" time="0." classname="Typed/0"><skipped message="pay.cc:20&#x0A;"><![CDATA[pay.cc:20]]></skipped></testcase></testsuite></testsuites>"#,
                &[
                    "Pay|Adds|passed 1",
                    "Pay|Fails|failed 0|pay.cc:9 Expected equality of these values:",
                    "Pay|DISABLED_Waits|skipped 0|",
                    "Typed/0|Skips|skipped 0|pay.cc:20",
                ],
            ),
        ],
    );
}

#[test]
fn cobertura_shapes() {
    check(
        Format::Cobertura,
        &[
            (
                "several sources: the one that has the file",
                "<coverage line-rate='0.5'><sources><source>/builds/shop/src</source><source>/builds/shop/lib/</source></sources><packages><package><classes>\
                 <class filename='only_here.py'><lines><line number='1' hits='1'/></lines></class><class filename='new.py'><lines><line number='2' hits='0'/></lines></class></classes></package></packages></coverage>",
                &["lib/only_here.py 1+", "src/new.py 2-"],
            ),
            (
                "several classes of one file, branches, lines of methods",
                "<coverage line-rate='1' branch-rate='0' version='1.9'><sources><source>.</source></sources><packages><package><classes>\
                 <class name='A' filename='src/a.js'><methods><method name='m'><lines><line number='3' hits='0'/></lines></method></methods>\
                 <lines><line number='3' hits='0' branch='true' condition-coverage='50% (1/2)'><conditions><condition number='0' type='jump' coverage='50%'/></conditions></line><line number='4' hits='2'/></lines></class>\
                 <class name='A$1' filename='src/a.js'><methods/><lines><line number='3' hits='1'/><line number='9' hits='0'/></lines></class></classes></package></packages></coverage>",
                &["src/a.js 3+ 4+ 9-"],
            ),
            (
                "the root as source, an address with an entity, names of Windows",
                "<coverage line-rate='1'><sources><source>/</source><source>/builds/a&amp;b</source></sources><packages><package><classes>\
                 <class filename='builds/shop/src/a.js'><lines><line number='1' hits='1'/></lines></class>\
                 <class filename='src\\b.js'><lines><line number='1' hits='0'/></lines></class></classes></package></packages></coverage>",
                &["src/a.js 1+", "src/b.js 1-"],
            ),
            (
                "module paths of Go",
                "<coverage line-rate='1'><sources><source>/go/src</source></sources><packages><package><classes>\
                 <class filename='example.com/shop/pkg/pay.go'><lines><line number='1' hits='1'/></lines></class></classes></package></packages></coverage>",
                &["pkg/pay.go 1+"],
            ),
            ("nothing", "<coverage line-rate='1'><packages/></coverage>", &[]),
            (
                "counts that no number holds",
                "<coverage line-rate='1'><packages><package><classes><class filename='src/a.js'><lines><line number='1' hits='-1'/><line number='2' hits='99999999999999999999999'/>\
                 <line number='-3' hits='1'/><line number='0' hits='1'/><line number='99999999999' hits='1'/></lines></class></classes></package></packages></coverage>",
                &["src/a.js 1- 2+"],
            ),
        ],
    );
}

#[test]
fn jacoco_modules_and_kotlin() {
    let file = |name: &str, lines: &str| {
        format!("<sourcefile name='{name}'>{lines}<counter type='LINE' missed='1' covered='1'/></sourcefile>")
    };
    let ran = "<line nr='3' mi='0' ci='2' mb='0' cb='0'/><line nr='4' mi='1' ci='0' mb='1' cb='1'/>";
    let text = format!(
        "<?xml version='1.0'?><!DOCTYPE report PUBLIC '-//JACOCO//DTD Report 1.1//EN' 'report.dtd'><report name='all'><sessioninfo id='x' start='1' dump='2'/>\
         <group name='core'><package name='org/shop'>{}</package></group><group name='web'><package name='org/shop'>{}</package></group>\
         <group name='app'><package name='com/example/cart'>{}</package><package name=''>{}</package><counter type='LINE' missed='9' covered='9'/></group></report>",
        file("Pay.java", ran),
        file("Pay.java", "<line nr='9' mi='0' ci='1' mb='0' cb='0'/>"),
        file("Cart.kt", "<line nr='1' mi='2' ci='0' mb='0' cb='0'/>"),
        file("Default.java", "<line nr='1' mi='2' ci='1' mb='0' cb='0'/>"),
    );
    let expected = [
        "app/src/main/kotlin/cart/Cart.kt 1-",
        "core/src/main/java/org/shop/Pay.java 3+ 4-",
        "src/Default.java 1+",
        "web/src/main/java/org/shop/Pay.java 9+",
    ];
    assert_eq!(told(Format::Jacoco, text.as_bytes()), expected);
}

#[test]
fn lcov_shapes() {
    check(
        Format::Lcov,
        &[
            (
                "every record of geninfo",
                "TN:unit\nVER:abc\nSF:/builds/shop/src/a.js\nVER:1\nFN:1,f\nFN:2,9,g\nFNDA:1,f\nFNF:2\nFNH:1\nFNL:0,1,3\nFNA:0,4,f\nBRDA:3,0,0,-\nBRDA:4,e1,x,7\nBRF:2\nBRH:1\n\
                 MCDC:3,2,t,0,1,cond\nMCF:1\nMCH:0\nDA:1,1\nDA:3,0\nDA:4,7,Q5h+zz==\nLF:3\nLH:2\nend_of_record\n",
                &["src/a.js 1+ 3- 4+"],
            ),
            (
                "several records of one file, without a test's name",
                "SF:src/a.js\nDA:1,0\nDA:2,0\nend_of_record\nTN:\nSF:./src/a.js\nDA:1,3\nDA:5,0\nend_of_record\n\n# the end\n",
                &["src/a.js 1+ 2- 5-"],
            ),
            ("functions alone", "TN:\nSF:src/a.js\nFN:1,f\nFNDA:0,f\nend_of_record\n", &["src/a.js "]),
            (
                "counts below zero and beyond measure, lines that are none",
                "SF:src/a.js\nDA:1,-1\nDA:2,18446744073709551616\nDA:0,1\nDA:99999999999,1\nend_of_record\n",
                &["src/a.js 1- 2+"],
            ),
            (
                "outside",
                "SF:/usr/include/c++/vector\nDA:1,1\nend_of_record\nSF:src/b.js\nDA:1,1\nend_of_record\n",
                &["src/b.js 1+"],
            ),
        ],
    );
}

#[test]
fn clover_shapes() {
    check(
        Format::Clover,
        &[
            (
                "PHPUnit: files without a package, names alone, methods",
                "<?xml version='1.0'?><coverage generated='1700000000'><project timestamp='1700000000'><file name='/builds/shop/src/a.js'><class name='A' namespace='global'><metrics methods='1'/></class>\
                 <line num='3' type='method' name='pay' visibility='public' complexity='1' crap='1' count='2'/><line num='4' type='stmt' count='2'/><line num='5' type='stmt' count='0'/><metrics loc='9' statements='2'/></file>\
                 <metrics files='1'/></project></coverage>",
                &["src/a.js 3+ 4+ 5-"],
            ),
            (
                "OpenClover: packages, conditions, and tests that are not measured",
                "<coverage clover='4.4.1' generated='1'><project name='p' timestamp='1'><metrics elements='1'/><package name='org.shop'><file name='Pay.java' path='/builds/shop/core/src/main/java/org/shop/Pay.java'>\
                 <line num='1' type='method' count='0'/><line num='2' type='cond' truecount='1' falsecount='0'/><line num='3' type='cond' truecount='0' falsecount='0'/></file></package></project>\
                 <testproject name='t'><package name='org.shop'><file name='PayTest.java' path='/builds/shop/PayTest.java'><line num='1' type='stmt' count='1'/></file></package></testproject></coverage>",
                &["core/src/main/java/org/shop/Pay.java 1- 2+ 3-"],
            ),
        ],
    );
}
