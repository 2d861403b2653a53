//! Values of ECS about files: whole paths, and what is told of one at several places.

use crate::encode::json::Json;
use crate::encode::tree::Scratch;
use crate::event::text::join_path;
use crate::event::{Class, Event, Field, Text};

fn joined(event: &Event<'_>, folder: Field, name: Field, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let text = |field| event.fields.text(field).unwrap_or(Text::plain(""));
    join_path(text(folder), text(name), &mut scratch.letters);
    scratch.shown.add(folder);
    json.string(&scratch.letters);
    !scratch.letters.is_empty()
}

pub(super) fn process_path(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    joined(event, Field::ProcessFolder, Field::ProcessName, scratch, json)
}

pub(super) fn parent_path(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    joined(event, Field::ParentFolder, Field::ParentName, scratch, json)
}

pub(super) fn file_path(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    joined(event, Field::FileFolder, Field::FileName, scratch, json)
}

/// What stands before the last separator of a path.
pub(super) fn file_directory(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let path = event.fields.text(Field::FilePath).map(|path| path.read(&mut scratch.letters)).unwrap_or_default();
    let end = path.rfind(['\\', '/']).unwrap_or_default();
    json.string(&path[..end]);
    end > 0
}

/// What stands after the last dot of a name.
pub(super) fn file_extension(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let name = event.fields.text(Field::FileName).map(|name| name.read(&mut scratch.letters)).unwrap_or_default();
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    json.string(extension);
    !stem.is_empty() && !extension.is_empty() && !extension.contains(' ')
}

/// A file in a cloud application is the object of the activity, by its address or its name.
pub(super) fn hosted_path(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let name = event.fields.text(Field::ObjectName).filter(|_| event.class == Class::CloudFile);
    let Some(name) = name.filter(|name| name.as_written().contains(['/', '\\'])) else { return false };
    scratch.shown.add(Field::ObjectName);
    json.text(name);
    true
}

pub(super) fn hosted_name(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let name = event.fields.text(Field::ObjectName).filter(|_| event.class == Class::CloudFile);
    let name = name.map(|name| name.read(&mut scratch.letters)).unwrap_or_default();
    let last = name.rsplit(['/', '\\']).next().filter(|last| !last.is_empty());
    let is_written = last.map(|last| json.string(last)).is_some();
    if is_written && last == Some(name) {
        scratch.shown.add(Field::ObjectName);
    }
    is_written
}

/// A file that came by mail stands at both places, as ECS wants it.
pub(super) fn attachments(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    if event.class != Class::Email {
        return false;
    }
    json.written_key("[{\"file\":{");
    let texts = [("\"name\":", Field::FileName), ("\"extension\":", Field::FileExtension)];
    for (key, text) in texts.into_iter().filter_map(|(key, field)| Some((key, event.fields.text(field)?))) {
        json.written_key(key);
        json.text(text);
    }
    if let Some(size) = event.fields.integer(Field::FileSize) {
        json.written_key("\"size\":");
        json.integer(size);
    }
    if let Some(hash) = event.fields.text(Field::FileSha256) {
        json.written_key("\"hash\":{\"sha256\":");
        json.lower(hash);
        json.close_object();
    }
    json.close_object();
    json.close_object();
    json.close_array();
    true
}
