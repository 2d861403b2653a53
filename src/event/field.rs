//! What a dictionary is made of. Sources map their columns to its fields, formats map these to their keys: sources plus
//! formats, never sources times formats.

/// What a field holds. A column whose value doesn't fit is kept as unmapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// An identifier that upstream writes as a string here and as a number there; its digits are kept as they are.
    Id,
    Integer,
    Bool,
    Time,
    Ip,
    Mac,
    List,
    Json,
}

macro_rules! dictionary {
    ($($field:ident $name:literal $kind:ident,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Field { $(#[doc = $name] $field,)* }

        impl Field {
            pub const ALL: &'static [Self] = &[$(Self::$field,)*];
            pub const COUNT: usize = Self::ALL.len();

            pub const fn name(self) -> &'static str {
                match self { $(Self::$field => $name,)* }
            }
            pub const fn kind(self) -> Kind {
                KINDS[self as usize]
            }
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|field| field.name() == name)
            }
        }

        const KINDS: [Kind; Field::COUNT] = [$(Kind::$kind,)*];
    };
}

pub(super) use dictionary;

#[cfg(test)]
mod tests {
    use crate::event::Field;

    #[test]
    fn every_name_is_dotted_and_belongs_to_one_field() {
        let mut names: Vec<_> = Field::ALL.iter().map(|field| field.name()).collect();
        assert!(names.iter().all(|name| name.contains('.')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Field::COUNT);
        for field in Field::ALL {
            assert_eq!(Field::parse(field.name()), Some(*field));
        }
        assert_eq!(Field::parse("no.such"), None);
    }
}
