//! The table of fields that a list publishes.

/// One field that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field {
    /// Its name in queries: `qds`, `asset.tag`.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// One line for completion and the documentation.
    pub doc: &'static str,
}

/// What a field holds. A row may have no value, one, or (tags, CVEs) several: then any of them may match.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Prose: `title:overflow` asks for what contains it.
    Text,
    /// An identifier: `cve:CVE-2021-44228` asks for exactly that, without case.
    Name,
    /// A user's name; `me` and `none` are understood.
    Person,
    /// A whole number.
    Number,
    /// A number with decimals.
    Decimal,
    /// An instant; dates and `now-30d` are understood.
    Instant,
    /// True or false; `is:name` is short for `name:true`.
    Truth,
    /// One of these words.
    Words(&'static [&'static str]),
}

impl Kind {
    /// In words, for messages and the documentation.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Name => "a name",
            Kind::Person => "a user's name, me or none",
            Kind::Number => "a whole number",
            Kind::Decimal => "a number",
            Kind::Instant => "a date, an instant or now-30d",
            Kind::Truth => "true or false",
            Kind::Words(_) => "one of a list of words",
        }
    }

    /// Whether `<` and `>` make sense.
    pub(super) fn ordered(self) -> bool {
        matches!(self, Kind::Number | Kind::Decimal | Kind::Instant)
    }
}

/// A short word for a condition: `is:mitigated` for `mitigation:mitigated`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flag {
    /// What stands after `is:`.
    pub name: &'static str,
    /// The field of kind [`Kind::Words`] it is about.
    pub field: &'static str,
    /// The words that count.
    pub words: &'static [&'static str],
    /// One line for completion and the documentation.
    pub doc: &'static str,
}

/// Everything a list can be asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fields {
    /// The fields, in the order of the documentation.
    pub fields: &'static [Field],
    /// Short words.
    pub flags: &'static [Flag],
    /// The fields (text, names) that words without a field are looked for in.
    pub free: &'static [&'static str],
}

impl Fields {
    /// The field of this name, without regard to case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))
    }

    pub(super) fn kind(&self, name: &str) -> Option<Kind> {
        self.get(name).map(|field| field.kind)
    }

    /// What may stand after `is:`.
    pub(super) fn is_words(&self) -> impl Iterator<Item = &'static str> {
        let truths = self.fields.iter().filter(|field| field.kind == Kind::Truth).map(|field| field.name);
        truths.chain(self.flags.iter().map(|flag| flag.name))
    }

    /// Mistakes in the table itself, for a test of each list: words that no field has, fields twice.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        for (at, field) in self.fields.iter().enumerate() {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.';
            if !field.name.starts_with(|c: char| c.is_ascii_lowercase()) || !field.name.chars().all(fits) {
                mistakes.push(format!("the field {} is not a lower case name", field.name));
            }
            if ["is", "has", "and", "or", "not"].contains(&field.name) {
                mistakes.push(format!("the field {} has a name of the language", field.name));
            }
            if self.fields.iter().skip(at + 1).any(|other| other.name == field.name) {
                mistakes.push(format!("the field {} is there twice", field.name));
            }
        }
        for name in self.free {
            if !matches!(self.kind(name), Some(Kind::Text | Kind::Name | Kind::Person)) {
                mistakes.push(format!("free text cannot be looked for in {name}"));
            }
        }
        for flag in self.flags {
            let known = match self.kind(flag.field) {
                Some(Kind::Words(words)) => flag.words.iter().all(|word| words.contains(word)),
                _ => false,
            };
            if !known || flag.words.is_empty() {
                mistakes.push(format!("is:{} names words that {} does not have", flag.name, flag.field));
            }
        }
        mistakes
    }
}

/// The candidate nearest to what was written, where it is near enough to be meant.
pub(super) fn nearest(written: &str, candidates: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let written = written.to_ascii_lowercase();
    candidates
        .map(|candidate| (distance(&written, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 5)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters have to be changed, added or removed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().take(64).enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        if let Some(first) = row.first_mut() {
            *first = before;
        }
        for (cell, right) in row.iter_mut().skip(1).zip(&b) {
            let changed = diagonal + usize::from(left != *right);
            diagonal = *cell;
            before = changed.min(diagonal + 1).min(before + 1);
            *cell = before;
        }
    }
    row.last().copied().unwrap_or(0)
}
