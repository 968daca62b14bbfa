//! What people should know of a report though it is no error.

use crate::gate::Language;

/// Something that a reader left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// So many findings name places outside the tree.
    FindingsOutside(usize),
    /// So many measured files lie outside the tree.
    FilesOutside(usize),
    /// The outputs of so many tests were too much.
    OutputsLeftOut(usize),
}

impl Note {
    /// Says it in a sentence.
    #[must_use]
    pub fn sentence(self, language: Language) -> String {
        match (self, language) {
            (Self::FindingsOutside(count), Language::English) => {
                format!("{count} findings name places outside the tree; those places are left out")
            }
            (Self::FindingsOutside(count), Language::Chinese) => {
                format!("{count} 个问题的位置在代码树之外，已略去位置")
            }
            (Self::FilesOutside(count), Language::English) => {
                format!("{count} files lie outside the tree and are left out")
            }
            (Self::FilesOutside(count), Language::Chinese) => format!("{count} 个文件在代码树之外，已略去"),
            (Self::OutputsLeftOut(count), Language::English) => {
                format!("the output of {count} tests is left out: the report holds too much of it")
            }
            (Self::OutputsLeftOut(count), Language::Chinese) => {
                format!("报告中的输出过多，已略去 {count} 个测试的输出")
            }
        }
    }
}
