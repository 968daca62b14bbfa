//! Pulls elements and text out of an XML stream. Document types are passed over, entities beyond XML's five refused.

use std::io::Read;

use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::input::{Input, limit_of};
use super::{Format, ReadError};

/// Levels of nesting.
const DEPTH_MAX: usize = 64;
/// Attributes of one element.
const ATTRIBUTES_MAX: usize = 1_024;
/// Capacity that the buffer keeps from token to token, in bytes.
const BUFFER_KEPT_BYTES: usize = 256 << 10;

const REPLACEMENT: &str = "\u{fffd}";

/// What comes next.
pub(super) enum Token {
    /// An element begins.
    Open(Element),
    /// The innermost element ends.
    Close(String),
    /// Text, character data or a character by its number.
    Text(String),
}

/// The beginning of an element.
pub(super) struct Element {
    /// Its name without a prefix.
    pub(super) name: String,
    attributes: Vec<(String, String)>,
}

impl Element {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.trim().parse().ok()
    }
}

/// A stream of XML.
pub(super) struct Xml<R: Read> {
    format: Format,
    reader: Reader<Input<R>>,
    buffer: Vec<u8>,
    depth: usize,
    is_begun: bool,
    text_bytes_max: usize,
}

type Result<T> = std::result::Result<T, ReadError>;

impl<R: Read> Xml<R> {
    /// Begins to read; of one text at most `text_bytes_max` bytes are handed on.
    pub(super) fn new(format: Format, input: Input<R>, text_bytes_max: usize) -> Self {
        let mut reader = Reader::from_reader(input);
        reader.config_mut().expand_empty_elements = true;
        Self { format, reader, buffer: Vec::new(), depth: 0, is_begun: false, text_bytes_max }
    }

    /// The next token; `None` at the end of a whole document.
    pub(super) fn next(&mut self) -> Result<Option<Token>> {
        loop {
            if self.buffer.capacity() > BUFFER_KEPT_BYTES {
                self.buffer = Vec::new();
            }
            self.buffer.clear();
            self.reader.get_mut().next_token();
            let event = match self.reader.read_event_into(&mut self.buffer) {
                Ok(event) => event,
                Err(error) => return Err(told(self.format, self.reader.get_mut().line(), &error)),
            };
            let line = |reader: &mut Reader<Input<R>>| reader.get_mut().line();
            let wrong = |line, problem: String| malformed(self.format, line, &problem);
            return Ok(Some(match event {
                Event::Start(start) => {
                    self.depth += 1;
                    self.is_begun = true;
                    let element = element(&start);
                    let line = line(&mut self.reader);
                    if self.depth > DEPTH_MAX {
                        return Err(wrong(line, format!("nested deeper than {DEPTH_MAX} levels")));
                    }
                    Token::Open(element.map_err(|problem| wrong(line, problem))?)
                }
                Event::End(end) => {
                    self.depth = self.depth.saturating_sub(1);
                    Token::Close(local(end.name().as_ref()).to_owned())
                }
                Event::Text(text) => Token::Text(clipped(&text, self.text_bytes_max)),
                Event::CData(text) => Token::Text(clipped(&text, self.text_bytes_max)),
                Event::GeneralRef(reference) => match resolved(&reference) {
                    Some(character) => Token::Text(character.to_string()),
                    None => {
                        let problem = format!("the entity `&{};` is not one of XML's five", clipped(&reference, 64));
                        return Err(wrong(line(&mut self.reader), problem));
                    }
                },
                Event::Eof if self.depth > 0 => {
                    return Err(wrong(line(&mut self.reader), "it ends in the middle".to_owned()));
                }
                Event::Eof if !self.is_begun => {
                    return Err(wrong(line(&mut self.reader), "it holds no element".to_owned()));
                }
                Event::Eof => return Ok(None),
                _ => continue,
            }));
        }
    }

    /// An error of this report at the present line.
    pub(super) fn wrong(&mut self, problem: &str) -> ReadError {
        malformed(self.format, self.reader.get_mut().line(), problem)
    }
}

fn clipped(text: &str, bytes_max: usize) -> String {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

fn element(start: &BytesStart<'_>) -> std::result::Result<Element, String> {
    let mut attributes = Vec::new();
    // A name that stands twice harms nothing; to look for it would take time that grows with the square.
    for attribute in start.attributes().with_checks(false) {
        let attribute = attribute.map_err(|error| error.to_string())?;
        if attributes.len() == ATTRIBUTES_MAX {
            return Err(format!("an element with more than {ATTRIBUTES_MAX} attributes"));
        }
        let name = local(attribute.key.as_ref()).to_owned();
        attributes.push((name, value_of(attribute).map_err(|error| error.to_string())?));
    }
    Ok(Element { name: local(start.name().as_ref()).to_owned(), attributes })
}

/// A number that stands for no character is shown as one that could not be read: tests print such things.
fn value_of(mut attribute: Attribute<'_>) -> quick_xml::Result<String> {
    if let Ok(value) = attribute.normalized_value(XmlVersion::Implicit1_0) {
        return Ok(value.into_owned());
    }
    let mut parts = attribute.value.split("&#");
    let mut value = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let known = part.split_once(';').filter(|(number, _)| number_of(number).is_some());
        match (known, part.split_once(';')) {
            (None, Some((number, rest))) if is_number(number) => value.extend([REPLACEMENT, rest]),
            _ => value.extend(["&#", part]),
        }
    }
    attribute.value = value.into();
    Ok(attribute.normalized_value(XmlVersion::Implicit1_0)?.into_owned())
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('x');
    !text.is_empty()
        && digits.map_or_else(
            || text.bytes().all(|byte| byte.is_ascii_digit()),
            |digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        )
}

/// The character of a number such as `27` or `x1b`.
fn number_of(text: &str) -> Option<char> {
    let number = match text.strip_prefix('x') {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    char::from_u32(number.ok()?).filter(|character| *character != '\0')
}

fn resolved(reference: &BytesRef<'_>) -> Option<char> {
    if let Some(number) = reference.strip_prefix('#') {
        return is_number(number).then(|| number_of(number).unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    Some(match &**reference {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => return None,
    })
}

fn told(format: Format, line: u64, error: &quick_xml::Error) -> ReadError {
    if let quick_xml::Error::Io(error) = error {
        if let Some(limit) = limit_of(error) {
            return ReadError::TooLarge { format: format.as_str(), max: limit.max, unit: limit.unit };
        }
        if error.kind() != std::io::ErrorKind::InvalidData {
            return ReadError::Io(std::io::Error::new(error.kind(), error.to_string()));
        }
    }
    malformed(format, line, &error.to_string())
}

fn malformed(format: Format, line: u64, problem: &str) -> ReadError {
    ReadError::Malformed {
        format: format.as_str(),
        place: format!("line {line}"),
        problem: crate::text::line(problem, crate::text::NAME_BYTES_MAX),
        hint: match format {
            Format::Junit => "`<testsuites>` or `<testsuite>` in well-formed UTF-8 XML is expected",
            Format::Checkstyle => "`<checkstyle>` in well-formed UTF-8 XML is expected",
            Format::Jacoco => "`<report>` in well-formed UTF-8 XML is expected",
            _ => "`<coverage>` in well-formed UTF-8 XML is expected",
        },
    }
}
