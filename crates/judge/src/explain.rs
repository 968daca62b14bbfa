//! The verdict in a sentence.

use crate::answer::{Answer, MetricReport, Reason, Unit, Verdict};
use crate::plan::{Feasibility, Lack, Shortfall};

/// Language of a sentence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Simplified Chinese.
    Chinese,
}

/// Says what was decided and why, with effect, interval and samples.
pub fn explain(answer: &Answer, language: Language) -> String {
    let words = Words { language };
    match answer.verdict {
        Verdict::Fail => words.fail(answer),
        Verdict::Pass => words.pass(answer),
        Verdict::Inconclusive => {
            words.open(answer, words.pick("the time is over and nothing is shown", "时间已到，仍无定论"))
        }
        Verdict::Continue => words.open(answer, words.pick("still looking", "仍在观察")),
    }
}

/// Says what keeps a canary from passing by proof in its time, and what it would need; `None` if nothing does.
pub fn explain_plan(plan: &Feasibility, language: Language) -> Option<String> {
    let words = Words { language };
    let told = plan.short.iter().filter_map(|s| words.lack(s, plan.seconds));
    let parts: Vec<String> =
        [Lack::Traffic, Lack::History].into_iter().filter_map(|lack| words.without(lack, plan)).chain(told).collect();
    let start =
        words.pick("this canary cannot prove everything in its time: ", "本次灰度在限定时间内无法证明全部指标：");
    (!parts.is_empty()).then(|| format!("{start}{}", words.join(parts)))
}

struct Words {
    language: Language,
}

impl Words {
    fn pick(&self, english: &'static str, chinese: &'static str) -> &'static str {
        match self.language {
            Language::English => english,
            Language::Chinese => chinese,
        }
    }

    fn join(&self, parts: Vec<String>) -> String {
        parts.join(self.pick("; ", "；"))
    }

    /// Says which metrics have nothing at all to be judged by.
    fn without(&self, lack: Lack, plan: &Feasibility) -> Option<String> {
        let names: Vec<String> =
            plan.short.iter().filter(|s| s.lacks == lack).map(|s| self.aspect(&s.metric)).collect();
        let (english, chinese) = match lack {
            Lack::History => {
                ("history to tell how much nodes differ by themselves", "没有历史数据，节点间固有差异未知")
            }
            _ => ("traffic to be judged by", "没有流量可供判断"),
        };
        let list = names.join(self.pick(", ", "、"));
        Some(match (self.language, names.len()) {
            (_, 0) => return None,
            (Language::English, 1) => format!("{list} has no {english}"),
            (Language::English, _) => format!("{list} have no {english}"),
            (Language::Chinese, _) => format!("{list}{chinese}"),
        })
    }

    /// Says what a metric lacks that has something to be judged by.
    fn lack(&self, short: &Shortfall, given: f64) -> Option<String> {
        let name = self.aspect(&short.metric);
        Some(match (short.lacks, self.language) {
            (Lack::Traffic | Lack::History, _) => return None,
            (Lack::Time { seconds, per_second }, Language::English) => format!(
                "{name} needs about {} with this traffic, or {} requests a second on the canary in the {} given",
                self.time(seconds),
                rate(per_second),
                self.time(given)
            ),
            (Lack::Time { seconds, per_second }, Language::Chinese) => format!(
                "{name}按现有流量约需 {}，或在限定的 {}内灰度流量达到每秒 {} 个请求",
                self.time(seconds),
                self.time(given),
                rate(per_second)
            ),
            (Lack::Duration { seconds }, Language::English) => {
                format!("{name} fluctuates so much that {} would be needed", self.time(seconds))
            }
            (Lack::Duration { seconds }, Language::Chinese) => format!("{name}波动较大，约需 {}", self.time(seconds)),
            (Lack::Tolerance { at_least }, Language::English) => format!(
                "{name} differs by about {} between nodes and restarts alone; no time is enough, tolerate more",
                percent(at_least)
            ),
            (Lack::Tolerance { at_least }, Language::Chinese) => {
                format!("{name}仅因节点差异与重启就可相差约 {}，时间再长也不够，请放宽容许范围", percent(at_least))
            }
        })
    }

    fn times(&self, ratio: f64) -> String {
        match (ratio, self.language) {
            (small, Language::English) if small < 0.01 => "under 0.01×".to_owned(),
            (small, Language::Chinese) if small < 0.01 => "不到 0.01×".to_owned(),
            (large, Language::English) if large >= RATIO_MAX => format!("over {RATIO_MAX:.0}×"),
            (large, Language::Chinese) if large >= RATIO_MAX => format!("{RATIO_MAX:.0}× 以上"),
            (large, _) if large >= 100.0 => format!("{large:.0}×"),
            (usual, _) => format!("{usual:.2}×"),
        }
    }

    fn time(&self, seconds: f64) -> String {
        match seconds {
            s if s < 120.0 => format!("{:.0} {}", s.ceil(), self.pick("s", "秒")),
            s if s < 7_200.0 => format!("{:.0} {}", (s / 60.0).ceil(), self.pick("min", "分钟")),
            s if s < 172_800.0 => format!("{:.0} {}", (s / 3_600.0).ceil(), self.pick("h", "小时")),
            s => format!("{:.0} {}", (s / 86_400.0).ceil().min(1e6), self.pick("days", "天")),
        }
    }

    fn fail(&self, answer: &Answer) -> String {
        self.join(answer.why.iter().map(|r| self.blame(answer, r)).collect())
    }

    fn blame(&self, answer: &Answer, reason: &Reason) -> String {
        match reason {
            Reason::Missing(node) => match self.language {
                Language::English => format!("canary node `{node}` has gone silent while the old nodes report"),
                Language::Chinese => format!("灰度节点 `{node}` 已无上报，而旧节点仍在上报"),
            },
            Reason::Worse(name) => match answer.metrics.iter().find(|m| m.name == *name) {
                Some(metric) => self.worse(metric),
                None => name.clone(),
            },
            Reason::Unproven(name) | Reason::NoData(name) => name.clone(),
        }
    }

    fn worse(&self, m: &MetricReport) -> String {
        let name = self.name(&m.name);
        let chance = self.chance(m.evidence);
        match (self.language, m.unit) {
            (Language::English, Unit::Ratio) => format!(
                "{name} on the canary is {} the old version's ({}, {} allowed, {} samples); {chance}",
                self.times(m.estimate),
                self.interval(m),
                percent(m.ok - 1.0),
                m.samples
            ),
            (Language::Chinese, Unit::Ratio) => format!(
                "灰度节点的{name}是旧版本的 {}（{}，容许 {}，样本 {}）；{chance}",
                self.times(m.estimate),
                self.interval(m),
                percent(m.ok - 1.0),
                m.samples
            ),
            (Language::English, Unit::SlowShare) => format!(
                "{name} on the canary has grown by more than tolerated: requests beyond that are {} as frequent as \
                 the old version lets one expect ({}, {} such requests); {chance}",
                self.times(m.estimate),
                self.interval(m),
                m.samples
            ),
            (Language::Chinese, Unit::SlowShare) => format!(
                "灰度节点的{name}增长超过容许范围：超出该界限的请求是按旧版本应有数量的 {}（{}，此类请求 {} 个）；{chance}",
                self.times(m.estimate),
                self.interval(m),
                m.samples
            ),
            (Language::English, Unit::PerMinute) => format!(
                "{name} on the canary grows by {} a minute more than on the others ({}, {} allowed, {} samples); {chance}",
                percent(m.estimate),
                self.interval(m),
                percent(m.ok),
                m.samples
            ),
            (Language::Chinese, Unit::PerMinute) => format!(
                "灰度节点的{name}每分钟比其他节点多增长 {}（{}，容许 {}，样本 {}）；{chance}",
                percent(m.estimate),
                self.interval(m),
                percent(m.ok),
                m.samples
            ),
        }
    }

    fn interval(&self, m: &MetricReport) -> String {
        let show = |v: f64| match m.unit {
            Unit::Ratio | Unit::SlowShare => self.times(v),
            Unit::PerMinute => percent(v),
        };
        let (low, high) = (show(m.low), show(m.high));
        match (self.language, m.low.is_finite(), m.high.is_finite()) {
            (Language::English, true, true) => format!("between {low} and {high}"),
            (Language::Chinese, true, true) => format!("介于 {low} 与 {high} 之间"),
            (Language::English, true, false) => format!("at least {low}"),
            (Language::Chinese, true, false) => format!("至少 {low}"),
            (Language::English, false, _) => format!("at most {high}"),
            (Language::Chinese, false, _) => format!("至多 {high}"),
        }
    }

    fn chance(&self, evidence: f64) -> String {
        let one_in = evidence.min(13.8).exp();
        let rounded = 10_f64.powf(one_in.log10().floor().max(0.0)) as u64;
        match self.language {
            Language::English => format!("the chance that this is noise is under 1 in {rounded}"),
            Language::Chinese => format!("这是偶然波动的可能性不到 {rounded} 分之一"),
        }
    }

    fn pass(&self, answer: &Answer) -> String {
        let shown: Vec<String> = answer.metrics.iter().map(|m| self.within(m)).collect();
        format!("{}{}", self.pick("within tolerance on every metric: ", "所有指标均在容许范围内："), self.join(shown))
    }

    fn within(&self, m: &MetricReport) -> String {
        let size = match m.unit {
            Unit::Ratio => self.times(m.estimate),
            Unit::SlowShare => {
                format!("{}{}", self.times(m.estimate), self.pick(" as many slow requests", "（慢请求数）"))
            }
            Unit::PerMinute => format!("{}{}", percent(m.estimate), self.pick(" a minute", "／分钟")),
        };
        format!("{} {size}", self.aspect(&m.name))
    }

    fn open(&self, answer: &Answer, start: &str) -> String {
        let mut parts = vec![start.to_owned()];
        let mut tell = |english: &'static str, chinese: &'static str, named: Vec<String>| {
            if !named.is_empty() {
                let list = named.join(self.pick(", ", "、"));
                parts.push(format!("{}{list}", self.pick(english, chinese)));
            }
        };
        let unproven = |r: &Reason| if let Reason::Unproven(m) = r { Some(self.aspect(m)) } else { None };
        let no_data = |r: &Reason| if let Reason::NoData(m) = r { Some(self.aspect(m)) } else { None };
        tell("not enough data on ", "数据不足：", answer.why.iter().filter_map(no_data).collect());
        tell(
            "not yet shown to be within tolerance: ",
            "尚未证明在容许范围内：",
            answer.why.iter().filter_map(unproven).collect(),
        );
        self.join(parts)
    }

    /// What is judged of a metric: its growth has a name of its own.
    fn aspect(&self, metric: &str) -> String {
        match (metric.strip_suffix(":slope"), self.language) {
            (None, _) => self.name(metric),
            (Some(base), Language::English) => format!("the growth of {}", self.name(base)),
            (Some(base), Language::Chinese) => format!("{}的增长", self.name(base)),
        }
    }

    fn name(&self, metric: &str) -> String {
        let (base, detail) = metric.split_once(':').unwrap_or((metric, ""));
        let word = match base {
            "http_errors" => self.pick("the HTTP error ratio", "HTTP 错误率"),
            "latency_ms" => self.pick("latency", "延迟"),
            "log_warn" => self.pick("the rate of WARN lines", "WARN 日志量"),
            "log_error" => self.pick("the rate of ERROR lines", "ERROR 日志量"),
            "cpu_pct" => self.pick("CPU use", "CPU 用量"),
            "mem_bytes" | "mem_mb" => self.pick("memory", "内存"),
            "disk_bytes" => self.pick("disk I/O", "磁盘 I/O"),
            "net_bytes" => self.pick("network I/O", "网络 I/O"),
            other => return format!("`{other}`"),
        };
        match detail {
            "" | "slope" => word.to_owned(),
            quantile => format!("{word} {quantile}"),
        }
    }
}

fn rate(per_second: f64) -> String {
    if per_second < 10.0 { format!("{per_second:.1}") } else { format!("{:.0}", per_second.ceil()) }
}

/// Ratio from which on its size says no more than that the old version shows next to nothing.
const RATIO_MAX: f64 = 400.0;

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_told_once_with_growth_apart() {
        let why = vec![
            Reason::Unproven("mem_bytes".to_owned()),
            Reason::Unproven("mem_bytes:slope".to_owned()),
            Reason::Unproven("latency_ms:p99".to_owned()),
            Reason::NoData("log_warn".to_owned()),
        ];
        let answer = Answer { tick: 9, verdict: Verdict::Continue, why, metrics: Vec::new(), evidence: 0.0 };
        assert_eq!(
            explain(&answer, Language::English),
            "still looking; not enough data on the rate of WARN lines; not yet shown to be within tolerance: memory, the growth \
             of memory, latency p99"
        );
        assert_eq!(
            explain(&answer, Language::Chinese),
            "仍在观察；数据不足：WARN 日志量；尚未证明在容许范围内：内存、内存的增长、延迟 p99"
        );
        let answer = Answer { why: Vec::new(), ..answer };
        assert_eq!(explain(&answer, Language::English), "still looking");
    }

    #[test]
    fn what_is_lacking_is_told_in_one_go() {
        let short = |metric: &str, lacks| Shortfall { metric: metric.to_owned(), lacks };
        let plan = Feasibility {
            short: vec![
                short("http_errors", Lack::Traffic),
                short("cpu_pct", Lack::History),
                short("latency_ms:p99", Lack::Traffic),
                short("mem_bytes:slope", Lack::Duration { seconds: 1_800.0 }),
            ],
            seconds: 600.0,
        };
        assert_eq!(
            explain_plan(&plan, Language::English).unwrap(),
            "this canary cannot prove everything in its time: the HTTP error ratio, latency p99 have no traffic to be judged \
             by; CPU use has no history to tell how much nodes differ by themselves; the growth of memory fluctuates so much \
             that 30 min would be needed"
        );
        assert_eq!(
            explain_plan(&plan, Language::Chinese).unwrap(),
            "本次灰度在限定时间内无法证明全部指标：HTTP 错误率、延迟 p99没有流量可供判断；CPU 用量没有历史数据，\
             节点间固有差异未知；内存的增长波动较大，约需 30 分钟"
        );
        assert_eq!(explain_plan(&Feasibility::default(), Language::English), None);
    }

    #[test]
    fn open_ends_are_told_as_such() {
        let metric = MetricReport {
            name: "log_error".to_owned(),
            unit: Unit::Ratio,
            estimate: 403.4,
            error: 0.5,
            low: 8.14,
            high: f64::INFINITY,
            ok: 1.2,
            bad: 1.728,
            evidence: 7.0,
            evidence_within: -3.0,
            samples: 16,
            state: crate::answer::State::Worse,
        };
        let why = vec![Reason::Worse("log_error".to_owned())];
        let answer = Answer { tick: 9, verdict: Verdict::Fail, why, metrics: vec![metric], evidence: 7.0 };
        assert_eq!(
            explain(&answer, Language::English),
            "the rate of ERROR lines on the canary is over 400× the old version's (at least 8.14×, 20.0 % allowed, 16 \
             samples); the chance that this is noise is under 1 in 1000"
        );
        assert_eq!(
            explain(&answer, Language::Chinese),
            "灰度节点的ERROR 日志量是旧版本的 400× 以上（至少 8.14×，容许 20.0 %，样本 16）；这是偶然波动的可能性不到 1000 分之一"
        );
    }
}
