//! Laws of the client role: whatever a server sends, no more is consumed than came, nothing is answered that was not
//! asked, and the sizes of windows change neither what goes out nor what is heard.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pmbridge_core::pcp::{InDom, Pmid};
use pmbridge_core::role::client::{Answer, Ask, Client, Error, Inquirer, OutOfStep, Settings};
use pmbridge_core::time::{Duration, Instant};

fuzz_target!(|input: &[u8]| {
    let Some(([step, features @ ..], server)) = input.split_first_chunk::<3>() else { return };
    // A greeting that would be refused shows nothing.
    let mut stream = vec![0, 0, 0, 20, 0, 0, 0x70, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1];
    stream.extend_from_slice(features);
    stream.extend_from_slice(server);
    let whole = talk(&stream, stream.len(), 1 << 16);
    let step = usize::from(*step).max(1);
    assert_eq!(talk(&stream, step, step), whole);
});

/// Asks every sort of question in turn, and keeps what it hears.
#[derive(Default)]
struct Curious {
    asked: usize,
    answered: usize,
    heard: Vec<String>,
}

const PMIDS: [Pmid; 3] = [Pmid::from_bits(1), Pmid::from_bits(2), Pmid::NULL];

impl Inquirer for Curious {
    fn ask(&mut self) -> Option<Ask<'_>> {
        if self.asked == 100 {
            return None;
        }
        Some(match self.asked % 9 {
            0 => Ask::Traverse { name: "" },
            1 => Ask::Children { name: "a.b" },
            2 => Ask::Ids { names: "a.b\na.c\n" },
            3 => Ask::Descs { pmids: &PMIDS },
            4 => Ask::Oneline { pmid: Pmid::from_bits(1) },
            5 => Ask::Instances { indom: InDom::from_bits(3) },
            6 => Ask::Labels { level: 1, ident: u32::MAX },
            7 => Ask::Fetch { pmids: &[] },
            _ => Ask::Fetch { pmids: &PMIDS },
        })
    }

    fn asked(&mut self) {
        self.asked += 1;
    }

    fn answer(&mut self, answer: Answer<'_>) -> Result<(), OutOfStep> {
        let text = match answer {
            Answer::Results(results) => {
                let mut text = format!("{:?}", results.time());
                for set in results.iter() {
                    for value in set.values() {
                        text += &format!(" {:?} {value:?} {:?}", set.head, results.block(value.word));
                    }
                }
                text
            }
            Answer::Labels(labels) => format!("{:?}", labels.iter().collect::<Vec<_>>()),
            Answer::Names(names) => format!("{:?}", names.iter().collect::<Vec<_>>()),
            Answer::Instances(all) => format!("{:?}", all.iter().collect::<Vec<_>>()),
            other => format!("{other:?}"),
        };
        if !matches!(answer, Answer::State(_)) {
            // Descriptors are three answers to one question.
            self.answered += 1;
            assert!(self.answered <= self.asked * 3);
        }
        self.heard.push(text);
        Ok(())
    }
}

/// Lets a client hear a stream in pieces, and speak in pieces: what it said, what it heard, and how it ended.
fn talk(stream: &[u8], input: usize, output: usize) -> (Vec<u8>, Vec<String>, Option<Error>) {
    let settings = Settings { pid: 1, patience: Duration::from_secs(1), max_answer: 1 << 16 };
    let (mut client, mut curious) = (Client::new(settings), Curious::default());
    let (mut said, mut room) = (Vec::new(), vec![0; output]);
    let (mut from, mut to) = (0, 0);
    loop {
        loop {
            // All that may be said is said before the next PDU is heard: then it is the same for all windows.
            let mut step = |window: &[u8]| {
                let progress = client.step(&mut curious, window, &mut room, Instant::START)?;
                assert!(progress.consumed <= window.len() && progress.produced <= room.len());
                said.extend_from_slice(&room[..progress.produced]);
                Ok(progress)
            };
            let heard = loop {
                match step(b"") {
                    Ok(progress) if progress.produced > 0 => {}
                    Ok(_) => break step(&stream[from..to]),
                    Err(error) => break Err(error),
                }
            };
            match heard {
                Ok(progress) if progress.is_none() => break,
                Ok(progress) => from += progress.consumed,
                Err(error) => return (said, curious.heard, Some(error)),
            }
        }
        if to == stream.len() {
            return (said, curious.heard, None);
        }
        to = stream.len().min(to + input);
    }
}
