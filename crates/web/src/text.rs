//! Every string of the pages, in both languages side by side: a missing one does not compile.

/// A language of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// English.
    English,
    /// Simplified Chinese.
    Chinese,
}

impl Language {
    /// The tag of the `lang` attribute and cookie.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// The language of a tag, if the pages have it.
    pub(crate) fn parse(tag: &str) -> Option<Self> {
        let tag = tag.trim().to_ascii_lowercase();
        match tag.split(['-', ';']).next() {
            Some("en") => Some(Self::English),
            Some("zh") => Some(Self::Chinese),
            _ => None,
        }
    }

    /// The first language of an `Accept-Language` header that the pages have.
    pub(crate) fn accepted(header: &str) -> Self {
        header.split(',').find_map(Self::parse).unwrap_or(Self::English)
    }

    /// Its strings.
    pub(crate) fn text(self) -> &'static Text {
        match self {
            Self::English => &ENGLISH,
            Self::Chinese => &CHINESE,
        }
    }

    /// What stands between names in a list.
    pub(crate) fn comma(self) -> &'static str {
        match self {
            Self::English => ", ",
            Self::Chinese => "、",
        }
    }

    /// A number of things, such as `3 nodes`.
    pub(crate) fn count(self, number: usize, (one, many, zh): (&str, &str, &str)) -> String {
        match self {
            Self::English if number == 1 => format!("1 {one}"),
            Self::English => format!("{number} {many}"),
            Self::Chinese => format!("{number} {zh}"),
        }
    }
}

macro_rules! texts {
    ($($name:ident: $english:literal, $chinese:literal;)*) => {
        /// The strings of one language.
        pub(crate) struct Text {
            $(pub(crate) $name: &'static str,)*
        }

        static ENGLISH: Text = Text { $($name: $english,)* };
        static CHINESE: Text = Text { $($name: $chinese,)* };

        #[cfg(test)]
        const PAIRS: &[(&str, &str, &str)] = &[$((stringify!($name), $english, $chinese),)*];
    };
}

texts! {
    abort: "Abort", "中止";
    abort_ask: "Abort this rollout?", "中止本次发布流程？";
    abort_then: "Traffic leaves the new version at once, and the version before is restored on its nodes.",
        "流量立即离开新版本，其节点恢复为之前的版本。";
    accept: "Accept", "接受";
    accept_ask: "Accept what the judge could not decide?", "接受判定系统无法得出结论的灰度？";
    accept_then: "The canary counts as passed on your word, and the delivery goes on.", "由您确认灰度通过，交付继续进行。";
    all: "All", "全部";
    approve: "Approve", "批准";
    approve_ask: "Approve this release?", "批准此次发布？";
    approve_then: "Your name is kept with this version. A new version needs new approvals.", "将记录您的姓名与此版本；新版本需要重新审批。";
    artifacts: "Artifacts", "产物";
    attempt: "attempt", "第几次尝试";
    baseline: "baseline", "基线";
    baseline_band: "baseline: mean, and band from its lowest to its highest node", "基线：均值，以及从最低节点到最高节点的区间";
    binary: "Not text.", "非文本文件。";
    branch: "Branch", "分支";
    branches: "Branches", "分支";
    breadcrumbs: "Where you are", "当前位置";
    canary: "canary", "灰度";
    canary_mean: "canary: mean of its nodes", "灰度：节点均值";
    canary_nodes: "canary nodes", "灰度节点";
    cancel: "Cancel", "取消";
    cancel_job: "Cancel job", "取消作业";
    cancel_pipeline: "Cancel pipeline", "取消流水线";
    changes: "Changes", "变更";
    changes_added: "added", "新增";
    changes_deleted: "deleted", "删除";
    changes_modified: "modified", "修改";
    changes_renamed: "renamed", "重命名";
    changes_type: "type changed", "类型变更";
    chart_cpu_pct: "CPU, % of one core", "CPU（单核百分比）";
    chart_http_errors: "HTTP errors", "HTTP 错误率";
    chart_latency_ms: "Latency, p99", "延迟 p99";
    chart_log_error: "ERROR lines", "ERROR 日志行";
    chart_log_warn: "WARN lines", "WARN 日志行";
    chart_mem_bytes: "Memory", "内存";
    chart_requests: "Requests", "请求数";
    check_conflicts: "Conflicts", "有冲突";
    check_making: "Checking", "检查中";
    check_mergeable: "Mergeable", "可合并";
    check_no_pipeline: "No pipeline", "无流水线";
    check_blocked: "Blocked", "被阻止";
    check_ready: "Ready to merge", "可以合并";
    clone: "Clone", "克隆";
    clone_hint: "With your login name, and your password or a token.", "使用登录名以及密码或令牌。";
    close: "Close", "关闭";
    component: "Component", "组件";
    component_version: "Version", "版本";
    components: "What is in it", "内含组件";
    components_cut: "More components are in the file.", "更多组件见文件。";
    components_none: "No list of packages was found in it.", "其中未找到软件包清单。";
    commit: "Commit", "提交";
    commits: "Commits", "提交";
    comparison: "Canary against baseline", "灰度与基线对比";
    conflict_clean: "Merges into the target branch without conflicts.", "可以无冲突地合并到目标分支。";
    conflict_making: "The merged result is still being made.", "正在生成合并结果。";
    conflict_paths: "Conflicts in", "以下文件有冲突：";
    copied: "Copied", "已复制";
    copy: "Copy", "复制";
    coverage: "coverage", "覆盖率";
    create_project: "Create project", "创建项目";
    create_request: "Open merge request", "创建合并请求";
    default_branch: "Default branch", "默认分支";
    description: "Description", "描述";
    diff_cut_files: "There are more files than are shown here. Fetch the branch to see them all.", "文件过多，此处未全部显示。请拉取分支查看全部变更。";
    diff_cut_lines: "This file's changes are cut here: they are too large for a page.", "该文件的变更过大，此处已截断。";
    environments: "Environments", "环境";
    errors: "Errors", "错误";
    exit_code: "exit code", "退出码";
    failures: "What failed", "失败原因";
    filter: "Filter", "筛选";
    found_in: "Found in", "来源";
    host: "Host", "主机";
    image: "Image", "镜像";
    licence: "Licence", "许可证";
    first_clone: "Clone the repository.", "克隆仓库。";
    first_file: "Say what to build in .gitlab-ci.yml. With a serin.yml alone, the built-in template brings build, canary and release.",
        "在 .gitlab-ci.yml 中说明如何构建。如果只有 serin.yml，则使用内置模板完成构建、灰度与发布。";
    first_push: "Commit and push. The pipeline starts by itself.", "提交并推送，流水线会自动启动。";
    first_steps: "First steps", "开始使用";
    follow: "Follow", "跟随";
    for_merged_result: "for the merged result", "针对合并结果";
    forbidden: "You may not do that", "您没有权限";
    in_flight: "In flight", "处理中";
    jobs: "Jobs", "作业";
    key_close: "Close what is open", "关闭弹窗";
    key_follow: "Follow the log", "跟随日志";
    key_help: "Show these keys", "显示快捷键";
    keys: "Keys", "快捷键";
    kind_canary: "Canary", "灰度";
    kind_deploy: "Deployment", "部署";
    kind_release: "Release", "发布";
    language: "Language", "语言";
    live_off: "Connection lost, trying again", "连接已断开，正在重试";
    live_on: "Live", "实时";
    log: "Log", "日志";
    log_needs_script: "This view needs JavaScript.", "此视图需要 JavaScript。";
    login: "Log in", "登录";
    login_failed: "Login name or password is wrong.", "登录名或密码错误。";
    login_link_hint: "The first start of the server prints a link that logs in once.", "服务器首次启动时会打印一个一次性登录链接。";
    login_link_used: "This login link is used up or too old. Log in with your name and password or token.", "该登录链接已使用或已过期。请使用登录名和密码（或令牌）登录。";
    login_title: "Log in to Serin", "登录 Serin";
    logout: "Log out", "退出";
    mark_refused: "refused", "未通过";
    mark_verified: "verified", "已验证";
    memory: "Memory", "内存";
    merge: "Merge", "合并";
    merge_blocked: "Something blocks the merge; the list above says what.", "合并被阻止，原因见上方列表。";
    merge_now: "Merge", "合并";
    merge_request: "Merge request", "合并请求";
    merge_requests: "Merge requests", "合并请求";
    merge_when_green: "Merge when the pipeline succeeds", "流水线成功后合并";
    merged_as: "Merged as", "合并提交";
    merges_when_green: "Merges when the pipeline succeeds", "将在流水线成功后合并";
    missing: "Nothing is here", "页面不存在";
    missing_text: "This address leads nowhere, or to something that is gone.", "该地址不存在，或内容已被删除。";
    more_jobs: "more jobs", "个更多作业";
    name: "Name", "名称";
    need_two_branches: "A merge request needs two branches", "合并请求需要两个分支";
    new_project: "New project", "新建项目";
    new_project_text: "A repository with its merge requests, pipelines and environments.", "一个仓库及其合并请求、流水线和环境。";
    new_request: "New merge request", "新建合并请求";
    new_version: "new version", "新版本";
    no_branches: "No branch yet", "暂无分支";
    no_changes: "No changes", "没有变更";
    no_commits: "No commits of its own", "没有独立的提交";
    no_description: "No description.", "暂无描述。";
    no_environments: "No environment yet", "暂无环境";
    no_environments_hint: "An environment appears with its first deployment; serin.yml names them.", "首次部署后会出现环境；环境在 serin.yml 中定义。";
    no_jobs: "No jobs", "没有作业";
    no_nodes: "No node yet", "暂无节点";
    no_notices: "Nothing to tell", "暂无通知";
    no_open_requests: "No open merge request", "没有待处理的合并请求";
    no_pipeline_here: "No pipeline ran for this merge request.", "此合并请求没有流水线。";
    no_pipelines: "No pipeline yet", "暂无流水线";
    no_pipelines_hint: "A push starts one where the repository has a .gitlab-ci.yml or a serin.yml.", "仓库中有 .gitlab-ci.yml 或 serin.yml 时，推送会启动流水线。";
    no_projects: "No project yet", "暂无项目";
    no_projects_hint: "A project is a repository and the way of its changes to production.", "项目包含一个仓库，以及其变更走向生产的全过程。";
    no_requests: "No merge request here", "没有合并请求";
    no_requests_hint: "Push a branch with -o merge_request.create, or open one here.", "使用 -o merge_request.create 推送分支，或在此处创建。";
    no_samples: "No samples yet: the comparison begins with the first traffic.", "暂无样本：有流量后开始对比。";
    node_failed: "failed", "失败";
    node_healthy: "healthy", "健康";
    node_lost: "lost", "失联";
    node_starting: "starting", "启动中";
    node_stopped: "stopped", "已停止";
    node_stopping: "stopping", "停止中";
    node_unhealthy: "unhealthy", "不健康";
    nodes: "Nodes", "节点";
    not_done: "That was not done", "操作未完成";
    notice_failure: "failure", "失败";
    notice_info: "information", "信息";
    notice_success: "success", "成功";
    notice_warning: "warning", "警告";
    notices: "Notices", "通知";
    older: "Older", "更早";
    open_requests: "Open merge requests", "待处理的合并请求";
    overview: "Overview", "概览";
    password: "Password or token", "密码或令牌";
    password_hint: "The server printed a token at its first start.", "服务器首次启动时会打印一个令牌。";
    path: "Path", "路径";
    path_hint: "Such as shop or team/shop. Empty: made of the name.", "例如 shop 或 team/shop。留空则由名称生成。";
    override_ask: "Release without approvals, or in a freeze?", "不经审批或在封网期内发布？";
    override_terms: "Override", "越权放行";
    override_then: "The release need not be approved, and no window holds it. Your name and reason are kept and told to the project.",
        "此次发布无需审批，也不受封网限制。您的姓名与理由将被记录并通知项目成员。";
    pause: "Pause", "暂停";
    pause_ask: "Pause this rollout?", "暂停本次发布流程？";
    pause_then: "Nothing moves any more until somebody resumes. Traffic stays as it is; a failed verdict still turns it back.",
        "在有人恢复之前不再推进。流量保持不变；若判定失败仍会自动回退。";
    phase_awaiting_release: "waiting for a release", "等待发布";
    phase_canary: "canary under traffic", "灰度引流中";
    phase_created: "not started", "未开始";
    phase_deciding: "undecided", "待人工决定";
    phase_detaching: "taking nodes out", "摘除节点中";
    phase_failed: "failed", "失败";
    phase_held: "canary passed", "灰度通过";
    phase_releasing: "replacing nodes", "替换节点中";
    phase_restoring: "restoring", "恢复中";
    phase_stopping: "stopping", "停止中";
    phase_succeeded: "succeeded", "成功";
    phase_superseded: "superseded", "已被取代";
    phase_verifying: "being tested", "测试中";
    phase_watching: "being watched", "观察中";
    base_images: "Base images", "基础镜像";
    bill_of_materials: "Bill of materials", "物料清单";
    built_by: "Built by", "构建者";
    digest: "Digest", "摘要";
    no_releases: "Nothing is packaged yet", "暂无发布包";
    no_releases_hint: "A job with `serin: { action: package }` makes a release of the built tree.", "含 `serin: { action: package }` 的作业会把构建结果打包成发布包。";
    not_read: "Not read", "未读取";
    not_signed: "Neither file is signed: they say what this server did, to those who trust it.", "两份文件均未签名：它们向信任本服务器的人说明其所做的构建。";
    parameters: "Parameters", "参数";
    provenance: "How it was made", "构建来源";
    release: "Release", "发布包";
    releases: "Releases", "发布包";
    tree: "Tree", "目录树";
    pipeline: "Pipeline", "流水线";
    pipelines: "Pipelines", "流水线";
    play: "Run", "运行";
    pool: "Pool", "服务池";
    project: "Project", "项目";
    projects: "Projects", "项目";
    protected: "protected", "受保护";
    quality: "Quality", "质量";
    quality_before: "before", "之前";
    quality_blocks: "The project asks for every condition before a merge.", "本项目要求满足全部条件后才能合并。";
    quality_changed_lines: "changed lines", "变更行";
    quality_coverage: "Coverage", "覆盖率";
    quality_failed: "not passed", "未通过";
    quality_fails: "fails", "不满足";
    quality_findings: "Findings", "问题";
    quality_fixed: "fixed", "已修复";
    quality_flaky: "flaky", "不稳定";
    quality_holds: "holds", "满足";
    quality_informs: "The gate informs; it blocks no merge.", "质量门禁仅供参考，不阻止合并。";
    quality_asks: "The quality gate is not passed: its conditions are below.", "质量门禁未通过：具体条件见下方。";
    quality_attempts: "passed after a failed attempt", "失败后重试通过";
    quality_branch: "Branch", "分支";
    quality_duration: "Duration of the tests", "测试用时";
    quality_failing: "failing", "失败";
    quality_files_noted: "Files with findings or untested lines", "有问题或未测试行的文件";
    quality_further: "Elsewhere in this file", "此文件的其他位置";
    quality_history: "Newest runs", "最近的运行";
    quality_left_out: "more new findings are not shown at their lines", "个新增问题未在代码行处显示";
    quality_let_pass: "let pass", "已放行";
    quality_missing: "missing", "缺失";
    quality_new: "new", "新增";
    quality_new_findings: "New findings", "新增问题";
    quality_newly_failing: "newly failing", "新失败";
    quality_newly_passing: "newly passing", "新通过";
    quality_override: "Let pass", "放行";
    quality_no_trend: "No pipeline of this branch has left reports yet.", "该分支还没有流水线留下报告。";
    quality_no_trend_hint: "Name the reports of code checks, tests and coverage in `artifacts:reports`.",
        "请在 `artifacts:reports` 中声明代码检查、测试和覆盖率报告。";
    quality_of_older: "Findings and coverage belong to an older commit and are not shown here.",
        "检查结果属于较早的提交，此处不显示。";
    quality_output: "Output", "输出";
    quality_page: "Page", "页";
    quality_passed: "passed", "已通过";
    quality_passed_by: "let it pass", "已放行";
    quality_reason: "Why this change may pass", "放行理由";
    quality_remaining: "remaining", "遗留";
    quality_runs: "runs", "次运行";
    quality_still_failing: "still failing", "仍然失败";
    integration_tests: "Integration tests", "集成测试";
    terms: "Terms of the release", "发布条件";
    terms_anybody: "anybody", "任何人";
    terms_approvals: "Approvals", "审批";
    terms_free: "Not frozen", "未封网";
    terms_frozen: "Frozen", "封网中";
    terms_frozen_until: "no pool begins before {1} ({2})", "{1} 之前不发布任何服务池（{2}）";
    terms_given: "{1} of {2} approvals", "{2} 个审批已通过 {1} 个";
    terms_nobody: "nobody: every approver wrote part of the change", "无人可审批：所有审批人都参与了此变更";
    terms_not_authors: "whoever did not write the change; {1} wrote it", "未参与此变更的人；参与者：{1}";
    terms_overridden: "Overridden", "已越权放行";
    terms_overridden_by: "{1} lets it go on against its terms: {2}", "{1} 不顾发布条件放行：{2}";
    terms_who: "May approve", "可审批";
    terms_windows: "no releases in {1}", "以下时段不发布：{1}";
    tests_no_report: "left no report of tests", "没有测试报告";
    quality_removed: "removed", "已移除";
    quality_slower: "much slower", "明显变慢";
    quality_tests: "Tests", "测试";
    quality_tests_failed: "failed", "失败";
    quality_tests_passed: "passed", "通过";
    quality_tests_skipped: "skipped", "跳过";
    quality_tests_failed_chart: "Failing tests", "失败的测试";
    quality_trend: "Quality by pipeline", "质量趋势";
    quality_untested: "no test runs this line", "没有测试运行到此行";
    quality_untested_lines: "untested", "未测试";
    quality_unmeasured: "not measured", "未检测";
    raw: "Raw", "原始日志";
    reason: "Reason", "原因";
    release_ask: "Release this pool?", "发布此服务池？";
    release_pool: "Release pool", "发布服务池";
    release_then: "Its nodes are drained and replaced by the new version one batch after another, and then compared with the nodes that are not yet updated.",
        "其节点将分批摘流并替换为新版本，随后与尚未更新的节点进行对比。";
    request_closed: "closed", "已关闭";
    request_id: "Request", "请求编号";
    request_merged: "merged", "已合并";
    request_opened: "open", "待合并";
    requests: "Requests", "请求";
    restarts: "restarts", "重启次数";
    resume: "Resume", "恢复";
    resume_ask: "Resume this rollout?", "恢复本次发布流程？";
    resume_then: "It goes on from where it was paused.", "从暂停处继续。";
    retry: "Run again", "重新运行";
    retry_failed: "Run failed jobs again", "重新运行失败的作业";
    roll_back: "Roll back", "回滚";
    roll_back_ask: "Roll back to the version before?", "回滚到之前的版本？";
    roll_back_then: "Every node of this rollout gets the version before, one batch after another, with traffic drained first.",
        "本次发布涉及的所有节点将分批摘流并恢复为之前的版本。";
    rollouts: "Rollouts", "发布记录";
    run_pipeline: "Run pipeline", "运行流水线";
    search_log: "Search the log", "搜索日志";
    server_failed: "Serin failed", "服务器内部错误";
    server_failed_text: "This is not your doing. The server's log says more under the request's number.", "这不是您的问题。服务器日志中可按请求编号查询详情。";
    share: "Traffic", "流量";
    skip: "Skip to content", "跳到正文";
    source_branch: "From branch", "源分支";
    source_merge_request: "merge request", "合并请求";
    source_push: "push", "推送";
    source_web: "by hand", "手动";
    source_parent: "child pipeline", "子流水线";
    source_upstream: "another project's pipeline", "其他项目的流水线";
    upstream: "Triggered by", "触发自";
    status_canceled: "canceled", "已取消";
    status_canceling: "canceling", "取消中";
    status_created: "created", "已创建";
    status_failed: "failed", "失败";
    status_manual: "manual", "手动";
    status_pending: "pending", "等待中";
    status_running: "running", "运行中";
    status_scheduled: "scheduled", "已计划";
    status_skipped: "skipped", "已跳过";
    status_success: "passed", "通过";
    status_unknown: "unknown", "未知";
    status_waiting_for_resource: "waiting for resource", "等待资源";
    status_warning: "passed with warning", "通过（有警告）";
    step_active: "under way", "进行中";
    step_done: "done", "完成";
    step_waiting: "waiting", "等待";
    steps: "Steps", "步骤";
    target_branch: "Into branch", "目标分支";
    theme: "Colours", "配色";
    theme_dark: "Dark", "深色";
    theme_light: "Light", "浅色";
    theme_system: "System", "跟随系统";
    timeline: "What happened", "时间线";
    show: "Show", "查看";
    title: "Title", "标题";
    title_hint: "Empty: the title of the branch's last commit.", "留空则使用分支最后一次提交的标题。";
    to_projects: "To the projects", "返回项目列表";
    traffic_canary: "small share", "小流量";
    traffic_draining: "draining", "摘流中";
    traffic_out: "no traffic", "无流量";
    traffic_serving: "serving", "服务中";
    username: "Login name", "登录名";
    verdict_continue: "looking on", "继续观察";
    verdict_fail: "fail", "失败";
    verdict_inconclusive: "inconclusive", "无结论";
    verdict_pass: "pass", "通过";
    version: "version", "版本";
    yaml_problem: "The pipeline could not be made of its file", "无法根据配置文件创建流水线";
    changed_meanwhile: "this page was about another rollout; look at the new one first", "此页面对应的发布流程已变更，请先查看最新状态";
    cross_site: "the request came from another site", "请求来自其他站点";
}

#[cfg(test)]
mod tests {
    use super::{Language, PAIRS};

    #[test]
    fn no_string_is_empty_and_chinese_is_chinese() {
        for (name, english, chinese) in PAIRS {
            assert!(!english.is_empty(), "{name}");
            assert!(chinese.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{name}: {chinese}");
        }
    }

    #[test]
    fn languages_are_negotiated() {
        assert_eq!(Language::accepted("zh-TW,zh;q=0.9,en;q=0.8"), Language::Chinese);
        assert_eq!(Language::accepted("fr, en;q=0.5, zh;q=0.2"), Language::English);
        assert_eq!(Language::accepted(""), Language::English);
        assert_eq!(Language::parse("ZH-cn"), Some(Language::Chinese));
        assert_eq!(Language::parse("x"), None);
    }

    #[test]
    fn counts_have_plurals() {
        let words = ("node", "nodes", "个节点");
        assert_eq!(Language::English.count(1, words), "1 node");
        assert_eq!(Language::English.count(2, words), "2 nodes");
        assert_eq!(Language::Chinese.count(1, words), "1 个节点");
    }
}
