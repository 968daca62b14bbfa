//! Pulls bounded values out of a JSON stream.

use std::io::{self, Read};

use struson::reader::{JsonReader, JsonStreamReader, LinePosition, ReaderError, ReaderSettings, ValueType};

use super::input::{Input, limit_of};
use super::{Format, ReadError};

/// Levels of nesting.
const DEPTH_MAX: u32 = 64;
/// Bytes kept of one text.
const TEXT_BYTES_MAX: usize = 32 << 10;
/// Values of one element, such as one finding.
const VALUES_MAX: usize = 20_000;

/// One element of a report, with long texts cut.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Nothing,
    Truth(bool),
    Number(f64),
    Text(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

impl Value {
    /// The value below a chain of keys.
    pub(super) fn at(&self, keys: &[&str]) -> Option<&Self> {
        keys.iter().try_fold(self, |value, key| match value {
            Self::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        })
    }

    pub(super) fn text(&self, keys: &[&str]) -> Option<&str> {
        match self.at(keys)? {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number, also where it is written as text.
    pub(super) fn number(&self, keys: &[&str]) -> Option<i64> {
        match self.at(keys)? {
            Self::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => Some(*number as i64),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// A number from 0 on that counts items of a list.
    pub(super) fn index(&self, keys: &[&str]) -> Option<usize> {
        self.number(keys).and_then(|number| usize::try_from(number).ok())
    }

    /// A number with its fraction, also where it is written as text.
    pub(super) fn fraction(&self, keys: &[&str]) -> Option<f64> {
        match self.at(keys)? {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    pub(super) fn list(&self, keys: &[&str]) -> &[Self] {
        match self.at(keys) {
            Some(Self::List(items)) => items,
            _ => &[],
        }
    }
}

/// A stream of JSON.
pub(super) struct Json<R: Read> {
    format: Format,
    reader: JsonStreamReader<Input<R>>,
    values_left: usize,
    is_begun: bool,
}

type Result<T> = std::result::Result<T, ReadError>;

impl<R: Read> Json<R> {
    /// Begins to read; several values may follow each other.
    pub(super) fn new(format: Format, input: Input<R>) -> Self {
        let settings = ReaderSettings {
            allow_multiple_top_level: true,
            max_nesting_depth: Some(DEPTH_MAX),
            track_path: false,
            ..ReaderSettings::default()
        };
        Self { format, reader: JsonStreamReader::new_custom(input, settings), values_left: 0, is_begun: false }
    }

    /// Calls `each` with every key of the object that comes; it must read or skip the value.
    pub(super) fn object(&mut self, mut each: impl FnMut(&mut Self, &str) -> Result<()>) -> Result<()> {
        self.expect(ValueType::Object)?;
        self.reader.begin_object().map_err(|error| self.told(error))?;
        while self.has_next()? {
            let key = self.reader.next_name_owned().map_err(|error| self.told(error))?;
            each(self, &key)?;
        }
        self.reader.end_object().map_err(|error| self.told(error))
    }

    /// Calls `each` before every item of the array that comes; it must read or skip the item. `null` is an empty one.
    pub(super) fn array(&mut self, mut each: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        if self.peek()? == ValueType::Null {
            return self.skip();
        }
        self.expect(ValueType::Array)?;
        self.reader.begin_array().map_err(|error| self.told(error))?;
        while self.has_next()? {
            each(self)?;
        }
        self.reader.end_array().map_err(|error| self.told(error))
    }

    /// Whether another document follows; there must be one at least.
    pub(super) fn has_document(&mut self) -> Result<bool> {
        if !std::mem::replace(&mut self.is_begun, true) {
            return self.peek().map(|_| true);
        }
        self.has_next()
    }

    fn has_next(&mut self) -> Result<bool> {
        self.reader.has_next().map_err(|error| self.told(error))
    }

    pub(super) fn peek(&mut self) -> Result<ValueType> {
        self.reader.peek().map_err(|error| self.told(error))
    }

    pub(super) fn skip(&mut self) -> Result<()> {
        self.reader.skip_value().map_err(|error| self.told(error))
    }

    /// Reads the value that comes, whole, without the members that `unwanted` names.
    pub(super) fn value(&mut self, unwanted: &[&str]) -> Result<Value> {
        self.values_left = VALUES_MAX;
        self.nested(unwanted)
    }

    fn nested(&mut self, unwanted: &[&str]) -> Result<Value> {
        self.values_left = self.values_left.checked_sub(1).ok_or(ReadError::TooLarge {
            format: self.format.as_str(),
            max: VALUES_MAX as u64,
            unit: "values in one finding",
        })?;
        Ok(match self.peek()? {
            ValueType::String => Value::Text(self.text()?),
            ValueType::Number => Value::Number(self.number()?),
            ValueType::Boolean => Value::Truth(self.reader.next_bool().map_err(|error| self.told(error))?),
            ValueType::Null => {
                self.skip()?;
                Value::Nothing
            }
            ValueType::Array => {
                let mut items = Vec::new();
                self.array(|json| {
                    items.push(json.nested(unwanted)?);
                    Ok(())
                })?;
                Value::List(items)
            }
            ValueType::Object => {
                let mut entries = Vec::new();
                self.object(|json, key| {
                    if unwanted.contains(&key) {
                        return json.skip();
                    }
                    entries.push((key.to_owned(), json.nested(unwanted)?));
                    Ok(())
                })?;
                Value::Map(entries)
            }
        })
    }

    fn text(&mut self) -> Result<String> {
        let mut kept = Vec::new();
        let read =
            self.reader.next_string_reader().map_err(|error| place_of(self.format, error, None)).map(|mut text| {
                text.by_ref().take(TEXT_BYTES_MAX as u64).read_to_end(&mut kept)?;
                io::copy(&mut text, &mut io::sink())
            });
        match read? {
            Ok(_) => Ok(String::from_utf8_lossy(&kept).into_owned()),
            Err(error) => Err(self.told(ReaderError::IoError { error, location: self.reader.current_position(false) })),
        }
    }

    /// A number that JSON allows and nobody can hold is taken as not known.
    fn number(&mut self) -> Result<f64> {
        let text = self.reader.next_number_as_string().map_err(|error| self.told(error))?;
        Ok(text.parse().unwrap_or(f64::NAN))
    }

    fn expect(&mut self, wanted: ValueType) -> Result<()> {
        let found = self.peek()?;
        if found == wanted {
            return Ok(());
        }
        let position = self.reader.current_position(false).line_pos;
        Err(malformed(self.format, position, format!("{wanted} is expected here, not {found}").to_lowercase()))
    }

    /// An error of this report at the place where the reader is.
    pub(super) fn wrong(&self, problem: &str) -> ReadError {
        malformed(self.format, self.reader.current_position(false).line_pos, problem.to_owned())
    }

    fn told(&self, error: ReaderError) -> ReadError {
        place_of(self.format, error, self.reader.current_position(false).line_pos)
    }
}

fn place_of(format: Format, error: ReaderError, near: Option<LinePosition>) -> ReadError {
    match error {
        ReaderError::SyntaxError(error) => {
            malformed(format, error.location.line_pos, format!("no valid JSON ({:?})", error.kind))
        }
        ReaderError::MaxNestingDepthExceeded { location, .. } => {
            malformed(format, location.line_pos, format!("nested deeper than {DEPTH_MAX} levels"))
        }
        ReaderError::UnsupportedNumberValue { location, .. } => {
            malformed(format, location.line_pos, "a number beyond every measure".to_owned())
        }
        ReaderError::IoError { error, location } => match limit_of(&error) {
            Some(limit) => ReadError::TooLarge { format: format.as_str(), max: limit.max, unit: limit.unit },
            None if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::Other) => {
                malformed(format, location.line_pos, error.to_string())
            }
            None => ReadError::Io(error),
        },
        other => malformed(format, near, other.to_string()),
    }
}

fn malformed(format: Format, position: Option<LinePosition>, problem: String) -> ReadError {
    ReadError::Malformed {
        format: format.as_str(),
        place: position
            .map_or_else(|| "somewhere".to_owned(), |at| format!("line {}, column {}", at.line + 1, at.column + 1)),
        problem: crate::text::line(&problem, crate::text::NAME_BYTES_MAX),
        hint: match format {
            Format::Sarif => "a SARIF 2.1.0 log is an object with `version` and `runs`",
            Format::CodeClimate => "an array of issues is expected, or one issue after another",
            Format::GitlabSecurity => "an object with `version` and `vulnerabilities` is expected",
            _ => "the output of `cargo clippy --message-format=json` is expected",
        },
    }
}
