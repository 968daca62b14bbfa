use bytes::Bytes;
use serin_model::JobId;
use serin_objects::{AttemptKey, Error, TRACE_READ_BYTES_MAX, Traces};

const KEY: AttemptKey = AttemptKey { job_id: JobId(1_234), attempt: 1 };

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

#[tokio::test]
async fn the_same_part_twice_is_written_once_and_a_gap_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let traces = Traces::open(folder.path()).unwrap();
    assert_eq!(traces.state(KEY).await.unwrap().size, 0);
    traces.append(KEY, 0, bytes("one\ntwo")).await.unwrap();
    traces.append(KEY, 0, bytes("one\ntwo")).await.unwrap();
    traces.append(KEY, 4, bytes("two\nthree")).await.unwrap();
    let gap = traces.append(KEY, 99, bytes("x")).await;
    assert!(matches!(gap, Err(Error::Gap { size: 13, offset: 99 })), "{gap:?}");
    assert_eq!(traces.read(KEY, 0..100).await.unwrap(), bytes("one\ntwo\nthree"));
    assert_eq!(traces.read(KEY, 4..7).await.unwrap(), bytes("two"));
    assert_eq!(traces.state(KEY).await.unwrap().lines, 2);
    let other = AttemptKey { attempt: 2, ..KEY };
    assert_eq!(traces.read(other, 0..100).await.unwrap(), bytes(""));
}

#[tokio::test]
async fn a_full_trace_says_so_and_takes_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let traces = Traces::open_with_limit(folder.path(), 10).unwrap();
    assert!(!traces.append_end(KEY, bytes("12345678")).await.unwrap().cut);
    let cut = traces.append(KEY, 8, bytes("9abcd")).await.unwrap();
    assert!(cut.cut);
    let text = String::from_utf8(traces.read(KEY, 0..1_000).await.unwrap().to_vec()).unwrap();
    assert!(text.starts_with("123456789a\n") && text.contains("cut here") && !text.contains("abcd"), "{text}");
    let again = Traces::open_with_limit(folder.path(), 10).unwrap();
    assert_eq!(again.append(KEY, 13, bytes("more")).await.unwrap(), cut);
}

#[tokio::test]
async fn any_line_is_found_also_after_a_restart_and_with_a_lost_index() {
    let folder = tempfile::tempdir().unwrap();
    let traces = Traces::open(folder.path()).unwrap();
    let text: String = (0..25_000).map(|number| format!("line {number}\n")).collect();
    for chunk in text.as_bytes().chunks(7_777) {
        traces.append_end(KEY, Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    // A line of a megabyte, and lines behind it.
    let long = "x".repeat(1 << 20);
    traces.append_end(KEY, bytes(&format!("{long}\nafter\nopen end"))).await.unwrap();
    let check = async |traces: &Traces| {
        assert_eq!(traces.state(KEY).await.unwrap().lines, 25_002);
        for line in [0, 1, 999, 1_000, 1_001, 12_345, 24_999] {
            let found = traces.read_lines(KEY, line, 2).await.unwrap();
            assert!(found.bytes.starts_with(format!("line {line}\n").as_bytes()), "line {line}: {:?}", found.bytes);
        }
        assert_eq!(traces.read_lines(KEY, 25_000, 1).await.unwrap().bytes.len(), long.len() + 1);
        assert_eq!(traces.read_lines(KEY, 25_001, 9).await.unwrap().bytes, bytes("after\nopen end"));
        assert_eq!(traces.read_lines(KEY, 99_999, 9).await.unwrap().bytes, bytes(""));
    };
    check(&traces).await;
    check(&Traces::open(folder.path()).unwrap()).await;
    let index = folder.path().join("1/1234-1.index");
    assert!(index.metadata().unwrap().len() >= 25 * 16);
    std::fs::write(&index, b"").unwrap();
    check(&Traces::open(folder.path()).unwrap()).await;
}

#[tokio::test]
async fn a_read_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let traces = Traces::open(folder.path()).unwrap();
    for _ in 0..6 {
        traces.append_end(KEY, Bytes::from(vec![b'x'; 1 << 20])).await.unwrap();
    }
    assert_eq!(traces.read(KEY, 0..u64::MAX).await.unwrap().len(), TRACE_READ_BYTES_MAX);
    assert_eq!(traces.read_lines(KEY, 0, u64::MAX).await.unwrap().bytes.len(), TRACE_READ_BYTES_MAX);
}

#[tokio::test]
async fn a_follower_is_woken_and_told_of_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let traces = Traces::open(folder.path()).unwrap();
    let mut follower = traces.follow(KEY).await.unwrap();
    let writer = traces.clone();
    let writing = tokio::spawn(async move {
        for _ in 0..100 {
            writer.append_end(KEY, bytes("tick\n")).await.unwrap();
        }
        writer.complete(KEY).await.unwrap();
    });
    let last = *follower.wait_for(|state| state.complete).await.unwrap();
    assert_eq!((last.size, last.lines), (500, 100));
    writing.await.unwrap();
}

#[tokio::test]
async fn many_traces_do_not_keep_many_files_open() {
    let folder = tempfile::tempdir().unwrap();
    let traces = Traces::open(folder.path()).unwrap();
    for number in 0..400 {
        let key = AttemptKey { job_id: JobId(number), attempt: 1 };
        traces.append_end(key, bytes("x\n")).await.unwrap();
    }
    let mine = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    assert!(mine.filter(|path| path.starts_with(folder.path())).count() <= 260);
    let key = AttemptKey { job_id: JobId(3), attempt: 1 };
    assert_eq!(traces.read(key, 0..9).await.unwrap(), bytes("x\n"));
    traces.delete(key).await.unwrap();
    assert_eq!(traces.state(key).await.unwrap().size, 0);
}
