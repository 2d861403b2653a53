//! The quarantine of the whole cluster, through whichever node is asked: that node asks the others, and names those that
//! don't answer. Each node deals with its own records itself, and writes its own audit.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use futures_util::future::join_all;
use futures_util::stream::{Stream, StreamExt as _};
use prost::Message as _;
use tokio::time::timeout;
use tonic::Status as Answer;

use super::Backend;
use super::limits::{
    MEMBER_ANSWER_BYTES_MAX, MEMBER_PIECE_BYTES, QUARANTINE_CHANGE_TIMEOUT, QUARANTINE_CHANGES_MAX,
    QUARANTINE_LIST_TIMEOUT, QUARANTINE_PAGE_BYTES_MAX, QUARANTINE_PAGE_MAX,
};
use super::quarantine::{self, Changer};
use crate::clock::Clock;
use crate::cluster::{Role, Standing};
use crate::ids::NodeId;
use crate::wire::cluster::v1 as pb;
use crate::wire::v1;
use pb::answer_body::Body;
use pb::member_answer::Word;
use pb::member_ask::Ask;

/// What one member has asked this one.
#[derive(Debug)]
pub struct Asked(Ask);

impl Asked {
    /// Nothing where the first word of a conversation is about something else.
    pub fn decode(word: &[u8]) -> Option<Self> {
        pb::MemberAsk::decode(word).ok()?.ask.map(Self)
    }
}

/// Answers another member, which has checked that its caller may ask.
pub async fn answer(backend: &impl Backend, clock: &Clock, Asked(ask): Asked) -> Vec<Bytes> {
    let body = match ask {
        Ask::List(request) => quarantine::list(backend, request).await.map(Body::List),
        Ask::Change(pb::ChangeAsk { by, request }) => {
            let changer = Changer { backend, clock, by };
            quarantine::change(&changer, request.unwrap_or_default()).await.map(Body::Change)
        }
    };
    let body = body.unwrap_or_else(|refused| Body::Refused(refused.message().to_owned()));
    pieces(&pb::AnswerBody { body: Some(body) }.encode_to_vec())
}

/// Says that nothing can be answered now.
pub fn refusal(why: &str) -> Vec<Bytes> {
    pieces(&pb::AnswerBody { body: Some(Body::Refused(why.to_owned())) }.encode_to_vec())
}

fn pieces(body: &[u8]) -> Vec<Bytes> {
    let word = |word| Bytes::from(pb::MemberAnswer { word: Some(word) }.encode_to_vec());
    let head = std::iter::once(word(Word::Bytes(body.len() as u64)));
    head.chain(body.chunks(MEMBER_PIECE_BYTES).map(|piece| word(Word::Piece(Bytes::copy_from_slice(piece))))).collect()
}

/// Puts an answer together. A conversation that breaks just ends: only the length told first says that it is whole.
pub async fn collect(mut words: impl Stream<Item = Bytes> + Unpin) -> Result<Bytes, String> {
    let (mut expected, mut body) = (None, BytesMut::new());
    while expected.is_none_or(|expected| body.len() < expected) {
        let word = words.next().await.ok_or("it broke off in the middle of its answer: try again")?;
        let word = pb::MemberAnswer::decode(word).ok().and_then(|answer| answer.word);
        match (word, expected) {
            (Some(Word::Bytes(bytes)), None) => {
                let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= MEMBER_ANSWER_BYTES_MAX);
                expected = Some(bytes.ok_or("its answer is too large: narrow the question down")?);
            }
            (Some(Word::Piece(piece)), Some(expected)) if body.len() + piece.len() <= expected => {
                body.extend_from_slice(&piece);
            }
            (Some(_) | None, _) => {
                return Err("its answer can't be read, as if it were of an older version: upgrade it".to_owned());
            }
        }
    }
    Ok(body.freeze())
}

/// A member that may have something in quarantine.
struct Member {
    node: NodeId,
    name: String,
}

/// All that ever read a feed and were not removed, also those that are down; and the node itself, which an old cluster of
/// one does not count among its members.
fn members(backend: &impl Backend) -> Vec<Member> {
    let here = backend.control().view().node;
    backend.control().read(|state| {
        let there = state.members().filter(|(node, _)| state.standing(*node) != Some(Standing::Removed));
        let reads = there.filter(|(node, member)| member.spec.role == Role::Data || *node == here);
        let mut members: Vec<_> = reads.map(|(node, member)| Member { node, name: member.spec.name.clone() }).collect();
        if members.iter().all(|member| member.node != here) {
            members.push(Member { node: here, name: String::new() });
        }
        members
    })
}

/// What one node or all have, the oldest first.
pub(super) async fn list(
    backend: &impl Backend,
    request: v1::QuarantineRequest,
) -> Result<v1::QuarantineResponse, Answer> {
    let here = backend.control().view().node;
    let asked = NodeId(request.node);
    if request.everywhere && (asked != NodeId(0) || !request.after.is_empty()) {
        return Err(Answer::invalid_argument("go through all nodes one by one: give `node`, not `everywhere`"));
    }
    let of_one = v1::QuarantineRequest { everywhere: false, node: 0, ..request.clone() };
    if !request.everywhere {
        return match asked {
            NodeId(0) => quarantine::list(backend, of_one).await,
            node if node == here => quarantine::list(backend, of_one).await,
            node => list_of(backend, node, of_one).await.map_err(Answer::unavailable),
        };
    }
    let members = members(backend);
    let answers = join_all(members.iter().map(async |member| match member.node == here {
        true => quarantine::list(backend, of_one.clone()).await.map_err(|error| error.message().to_owned()),
        false => list_of(backend, member.node, of_one.clone()).await,
    }));
    let answers = answers.await;
    Ok(merged(members, answers, request.limit))
}

async fn list_of(
    backend: &impl Backend,
    node: NodeId,
    request: v1::QuarantineRequest,
) -> Result<v1::QuarantineResponse, String> {
    let ask = pb::MemberAsk { ask: Some(Ask::List(request)) };
    match timeout(QUARANTINE_LIST_TIMEOUT, ask_member(backend, node, &ask)).await {
        Ok(answered) => match answered? {
            Body::List(list) => Ok(list),
            Body::Refused(why) => Err(why),
            Body::Change(_) => Err("its answer is to another question".to_owned()),
        },
        Err(_) => Err(format!("it has not answered within {} s", QUARANTINE_LIST_TIMEOUT.as_secs())),
    }
}

async fn ask_member(backend: &impl Backend, node: NodeId, ask: &pb::MemberAsk) -> Result<Body, String> {
    let answer = backend.ask_member(node, ask.encode_to_vec().into()).await?;
    let body = pb::AnswerBody::decode(answer).ok().and_then(|answer| answer.body);
    body.ok_or_else(|| "its answer can't be read, as if it were of another version".to_owned())
}

/// One answer of those of all members. What does not fit is counted all the same.
fn merged(
    members: Vec<Member>,
    answers: Vec<Result<v1::QuarantineResponse, String>>,
    limit: u32,
) -> v1::QuarantineResponse {
    let mut all = v1::QuarantineResponse::default();
    for (member, answer) in members.into_iter().zip(answers) {
        let Member { node, name } = member;
        let mut of_node = v1::QuarantineNode { node: node.0, name, ..v1::QuarantineNode::default() };
        match answer {
            Err(problem) => of_node.problem = problem,
            Ok(answer) => {
                let v1::QuarantineResponse { records, matching, total, bytes, bytes_max, closed, .. } = answer;
                (of_node.matching, of_node.total, of_node.closed) = (matching, total, closed);
                (of_node.bytes, of_node.bytes_max) = (bytes, bytes_max);
                (all.matching, all.total, all.closed) =
                    (all.matching + matching, all.total + total, all.closed + closed);
                (all.bytes, all.bytes_max) = (all.bytes + bytes, all.bytes_max + bytes_max);
                all.records.extend(records);
            }
        }
        all.nodes.push(of_node);
    }
    let age = |record: &v1::QuarantinedRecord| record.at.map(|at| (at.seconds, at.nanos));
    all.records.sort_by_key(age);
    let most = if limit == 0 { QUARANTINE_PAGE_MAX } else { QUARANTINE_PAGE_MAX.min(limit as usize) };
    all.records.truncate(most);
    let mut bytes = 0;
    all.records.retain(|record| {
        bytes += record.line.len();
        bytes <= QUARANTINE_PAGE_BYTES_MAX || bytes == record.line.len()
    });
    all
}

/// Deals with records wherever they are: each node is told of all, and answers for those that it has.
pub(super) async fn change<B: Backend>(
    changer: &Changer<'_, B>,
    request: v1::ChangeQuarantineRequest,
) -> Result<v1::ChangeQuarantineResponse, Answer> {
    if !request.everywhere {
        return quarantine::change(changer, request).await;
    }
    if request.ids.len() > QUARANTINE_CHANGES_MAX {
        let told = format!("{} records at once are more than {QUARANTINE_CHANGES_MAX}: split them", request.ids.len());
        return Err(Answer::invalid_argument(told));
    }
    if request.change.is_none() {
        return Err(Answer::invalid_argument("say whether to retry or to drop"));
    }
    let (here, members) = (changer.backend.control().view().node, members(changer.backend));
    let of_one = v1::ChangeQuarantineRequest { everywhere: false, only_known: true, ..request.clone() };
    let answers = join_all(members.iter().map(async |member| match member.node == here {
        true => quarantine::change(changer, of_one.clone()).await.map_err(|error| error.message().to_owned()),
        false => change_on(changer, member.node, of_one.clone()).await,
    }));
    let mut all = v1::ChangeQuarantineResponse::default();
    for (Member { node, name }, answer) in members.iter().zip(answers.await) {
        let problem = answer.map(|answer| all.outcomes.extend(answer.outcomes)).err().unwrap_or_default();
        all.nodes.push(v1::QuarantineNode { node: node.0, name: name.clone(), problem, ..Default::default() });
    }
    let found: BTreeSet<&str> = all.outcomes.iter().map(|outcome| outcome.id.as_str()).collect();
    let lost: Vec<_> = request.ids.iter().filter(|id| !found.contains(id.as_str())).cloned().collect();
    let silent = all.nodes.iter().any(|node| !node.problem.is_empty());
    let what = if silent { "it is on no node that has answered" } else { "it is in quarantine on no node" };
    let nowhere = |id| v1::QuarantineOutcome { id, what: what.to_owned(), ..v1::QuarantineOutcome::default() };
    all.outcomes.extend(lost.into_iter().map(nowhere));
    Ok(all)
}

/// One that does not answer in time may do it yet.
async fn change_on<B: Backend>(
    changer: &Changer<'_, B>,
    node: NodeId,
    request: v1::ChangeQuarantineRequest,
) -> Result<v1::ChangeQuarantineResponse, String> {
    let ask = Ask::Change(pb::ChangeAsk { by: changer.by.clone(), request: Some(request) });
    let ask = pb::MemberAsk { ask: Some(ask) };
    match timeout(QUARANTINE_CHANGE_TIMEOUT, ask_member(changer.backend, node, &ask)).await {
        Ok(answered) => match answered? {
            Body::Change(change) => Ok(change),
            Body::Refused(why) => Err(why),
            Body::List(_) => Err("its answer is to another question".to_owned()),
        },
        Err(_) => Err(format!("it has not answered within {} s", QUARANTINE_CHANGE_TIMEOUT.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    async fn put_together(words: &[Bytes]) -> Result<Bytes, String> {
        collect(stream::iter(words.to_vec())).await
    }

    #[tokio::test]
    async fn an_answer_is_whole_or_none() {
        let body: Vec<u8> = (0..MEMBER_PIECE_BYTES * 2 + 7).map(|n| n as u8).collect();
        let words = pieces(&body);
        assert_eq!((words.len(), put_together(&words).await.unwrap()), (4, body.clone().into()));
        assert_eq!(put_together(&pieces(b"")).await.unwrap(), Bytes::new());
        for torn in [&words[..0], &words[..1], &words[..3]] {
            assert!(put_together(torn).await.unwrap_err().contains("broke off"));
        }
        assert!(put_together(&words[1..]).await.is_err(), "without its head nobody knows whether it is whole");
        let head = pb::MemberAnswer { word: Some(Word::Bytes(MEMBER_ANSWER_BYTES_MAX as u64 + 1)) };
        let endless = [Bytes::from(head.encode_to_vec())];
        assert!(put_together(&endless).await.unwrap_err().contains("too large"));
    }

    #[tokio::test]
    async fn a_visit_and_a_question_are_never_taken_for_each_other() {
        let visit = pb::Visit { subscription: "soc".into(), member: "a".into(), epoch: 1 };
        let visit = pb::ToOwner { word: Some(pb::to_owner::Word::Visit(visit)) }.encode_to_vec();
        assert!(Asked::decode(&visit).is_none());
        let ask = pb::MemberAsk { ask: Some(Ask::List(v1::QuarantineRequest::default())) }.encode_to_vec();
        assert!(Asked::decode(&ask).is_some());
        assert_eq!(pb::ToOwner::decode(&*ask).unwrap().word, None);
        // What an older version answers to a question.
        let over = pb::FromOwner { word: Some(pb::from_owner::Word::Over(pb::Over { why: "who visits?".into() })) };
        let told = put_together(&[over.encode_to_vec().into()]).await.unwrap_err();
        assert!(told.contains("older version"), "{told}");
    }
}
