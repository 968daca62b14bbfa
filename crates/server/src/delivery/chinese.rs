//! What happens to a rollout, for readers of Chinese; English stands beside the machine's own words.

use serin_model::NodeName;
use serin_rollout::{Cause, Entry, Outcome, Phase, Verdict};

/// Parts per million of a percent.
const PERCENT: f64 = 10_000.0;

/// One thing that happened.
pub(super) fn entry(entry: &Entry) -> String {
    match entry {
        Entry::Started => "开始".to_owned(),
        Entry::Draining(node) => format!("{node} 不再接收新请求"),
        Entry::Replaced { node, digest: Some(digest) } => format!("{node} 更换为 {}", digest.short()),
        Entry::Replaced { node, digest: None } => format!("{node} 停止"),
        Entry::Serving(node) => format!("{node} 健康并开始服务"),
        Entry::NodeFailed { node, reason } => format!("{node} 失败：{reason}"),
        Entry::NodeLost(node) => format!("{node} 失去响应"),
        Entry::NodeBack(node) => format!("{node} 恢复响应"),
        Entry::Detached(nodes) => format!("{} 可以开始测试", names(nodes)),
        Entry::Step { step, share_ppm } => format!("第 {step} 步：{} % 流量", f64::from(*share_ppm) / PERCENT),
        Entry::Verdict { verdict, .. } => format!("判定：{}", verdict_word(*verdict)),
        Entry::PoolBegun { pool, by: Some(by) } => format!("{by} 发布服务池 {pool}"),
        Entry::PoolBegun { pool, by: None } => format!("开始发布服务池 {pool}"),
        Entry::PoolReleased(pool) => format!("服务池 {pool} 已运行新版本"),
        Entry::Undecided(_) => "无法得出结论，等待人工决定".to_owned(),
        Entry::Accepted { by } => format!("{by} 接受"),
        Entry::Passed => "灰度通过".to_owned(),
        Entry::Paused { by } => format!("{by} 暂停"),
        Entry::Resumed { by } => format!("{by} 恢复"),
        Entry::GoesBack { by } => format!("{by} 要求回到之前的版本"),
        Entry::NeedsApprovals { missing } => format!("等待 {missing} 个审批"),
        Entry::Approved { by, missing: 0 } => format!("{by} 批准：审批已足够"),
        Entry::Approved { by, missing } => format!("{by} 批准：还需 {missing} 个"),
        Entry::Overridden { by, reason } => format!("{by} 越权放行：{reason}"),
        Entry::Frozen { window, ends } => format!("封网至 {ends}（{window}）"),
        Entry::Thawed => "封网结束".to_owned(),
        Entry::Turned(cause) => self::cause(cause),
        Entry::Stuck(why) => format!("无法继续：{why}"),
        Entry::Over(outcome) => self::outcome(outcome),
    }
}

/// Where a rollout stands.
pub(super) fn phase(phase: &Phase) -> String {
    match phase {
        Phase::Created => "尚未开始".to_owned(),
        Phase::Detaching => "正在摘下节点".to_owned(),
        Phase::Verifying => "正在测试".to_owned(),
        Phase::Stepping { step, .. } => format!("灰度第 {} 步", step + 1),
        Phase::Deciding => "无法得出结论，等待人工决定".to_owned(),
        Phase::Held => "灰度通过，保持中".to_owned(),
        Phase::AwaitingPool { pool } => format!("等待发布服务池 {pool}"),
        Phase::Rolling { pool: Some(pool) } => format!("正在发布服务池 {pool}"),
        Phase::Rolling { pool: None } => "正在部署".to_owned(),
        Phase::Watching { pool, .. } => format!("正在观察服务池 {pool}"),
        Phase::Restoring(_) => "正在恢复之前的版本".to_owned(),
        Phase::Stopping(_) => "正在停止".to_owned(),
        Phase::Over(outcome) => format!("已结束：{}", self::outcome(outcome)),
    }
}

/// How a rollout ended.
pub(super) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded => "成功".to_owned(),
        Outcome::NothingToDo => "无需更改：所有节点已运行此版本".to_owned(),
        Outcome::Stopped(cause) => self::cause(cause),
        Outcome::Superseded { by } => format!("被发布流程 {by} 取代"),
    }
}

fn cause(cause: &Cause) -> String {
    match cause {
        Cause::Failed { reason } => format!("失败：{reason}"),
        Cause::Aborted { by, reason } if reason.is_empty() => format!("{by} 中止"),
        Cause::Aborted { by, reason } => format!("{by} 中止：{reason}"),
        Cause::RolledBack { by } => format!("{by} 回滚"),
    }
}

fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Continue => "继续观察",
        Verdict::Pass => "通过",
        Verdict::Fail => "失败",
        Verdict::Inconclusive => "无结论",
    }
}

fn names(nodes: &[NodeName]) -> String {
    nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join("、")
}

#[cfg(test)]
mod tests {
    use super::{entry, outcome, phase};
    use serin_rollout::{Cause, Entry, Outcome, Phase};

    #[test]
    fn words_of_people_and_machines_stay_as_they_are() {
        let cause = Cause::Aborted { by: "ada".into(), reason: "not today".into() };
        assert_eq!(entry(&Entry::Turned(cause.clone())), "ada 中止：not today");
        assert_eq!(outcome(&Outcome::Stopped(cause)), "ada 中止：not today");
        assert_eq!(entry(&Entry::Step { step: 2, share_ppm: 205_000 }), "第 2 步：20.5 % 流量");
        assert_eq!(entry(&Entry::Detached(vec!["a-1".into(), "b-2".into()])), "a-1、b-2 可以开始测试");
        assert_eq!(phase(&Phase::AwaitingPool { pool: "a".into() }), "等待发布服务池 a");
    }
}
