//! Bytes to documents: size, encoding, YAML, the `spec` header.

use std::sync::Arc;

use serin_model::limit::CONFIG_BYTES_MAX;

use crate::SourceFile;
use crate::diagnostic::Sink;
use crate::inputs::mask;
use crate::syntax::{FileId, Map, Node, Span, Value, compose};

/// A file as it is kept: of one that is too large only as much as shows that.
pub(crate) fn bounded(path: &str, bytes: &[u8]) -> SourceFile {
    SourceFile::new(path, &bytes[..bytes.len().min(CONFIG_BYTES_MAX + 1)])
}

/// An entry file as a tree: it can be made by another thread while the context is gathered, and serves every round of
/// questions.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub(crate) sink: Sink,
    pub(crate) loaded: Option<Loaded>,
}

impl Parsed {
    /// Reads the file; what is wrong with it is told by the compilation.
    #[must_use]
    pub fn new(entry: &SourceFile) -> Self {
        let mut sink = Sink::default();
        let loaded = load(bounded(&entry.path, &entry.bytes), None, &mut sink);
        Self { sink, loaded }
    }
}

/// A file that was read.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// Its number.
    pub file: FileId,
    /// The value of `spec` in the header.
    pub header: Option<Node>,
    /// The configuration.
    pub root: Arc<Map>,
    /// `$[[ … ]]` blocks of a file with a header, in order.
    pub blocks: mask::Blocks,
}

/// Reads a file and takes it into the sink; `None` where it cannot be read, which has been reported.
pub(crate) fn load(source: SourceFile, included_from: Option<Span>, sink: &mut Sink) -> Option<Loaded> {
    let too_large = source.bytes.len() > CONFIG_BYTES_MAX;
    let decoded =
        std::str::from_utf8(source.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&source.bytes)).map(Arc::<str>::from);
    let (text, broken_at) = match decoded {
        Ok(text) => (text, None),
        Err(error) => (Arc::from(source.text()), Some(error.valid_up_to())),
    };
    let file = sink.add_file(source, text.clone(), included_from);
    let start = Span { file, start: 0, end: 0 };
    if too_large {
        sink.error(start, format!("the file has more than {CONFIG_BYTES_MAX} bytes"))
            .hint("split it and use `include`");
        return None;
    }
    if let Some(at) = broken_at {
        let start = u32::try_from(at).unwrap_or(u32::MAX);
        sink.error(Span { file, start, end: start + 1 }, "the file is not UTF-8").hint("save it as UTF-8");
        return None;
    }
    let (masked, blocks) = if has_header(&text) { mask::mask(&text) } else { (None, mask::Blocks::default()) };
    let documents = compose(masked.as_deref().unwrap_or(&text), file, sink)?;
    let mut documents = documents.into_iter().map(|document| document.root);
    let first = documents.next();
    let second = documents.next();
    match (first, second) {
        (None, _) => {
            sink.error(start, "the file is empty").hint("write at least one job");
            None
        }
        (Some(root), None) => body(root, None, file, blocks, sink),
        (Some(header), Some(root)) => {
            let spec = header.as_map().and_then(|map| map.get("spec")).cloned();
            if spec.is_none() {
                sink.error(header.span, "the first of two documents must be the header with `spec`")
                    .hint("take the `---` between them out");
                return None;
            }
            let spec = spec.map(|spec| if blocks.is_empty() { spec } else { blocks.restored(&spec) });
            body(root, spec, file, blocks, sink)
        }
    }
}

fn body(root: Node, header: Option<Node>, file: FileId, blocks: mask::Blocks, sink: &mut Sink) -> Option<Loaded> {
    match root.value {
        Value::Map(map) => Some(Loaded { file, header, root: map, blocks }),
        Value::Null(_) if header.is_some() => Some(Loaded { file, header, root: Arc::default(), blocks }),
        _ => {
            let message = format!("the file must hold a mapping of jobs and keywords, not {}", root.kind());
            sink.error(root.span, message).hint("write `name:` and the job's keywords below it, indented");
            None
        }
    }
}

/// Whether a text starts with a `spec` header that a second document follows.
fn has_header(text: &str) -> bool {
    let mut lines =
        text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#') && !line.starts_with("---"));
    lines.next().is_some_and(|line| line.starts_with("spec:")) && text.contains("\n---")
}
