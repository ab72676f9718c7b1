//! A storage of vectors that double when they are full, up to a ceiling each.

use pmbridge_core::store::{Full, Lent, Metric, Parts, Past, Region, Series, Source, Storage, Word};

#[derive(Debug, Default)]
pub(crate) struct Growing {
    sources: Vec<Source>,
    metrics: Vec<Metric>,
    series: Vec<Series>,
    past: Vec<Past>,
    index: Vec<Word>,
    text: Vec<u8>,
}

fn doubled<T: Clone>(region: Region, vec: &mut Vec<T>, empty: &T) -> Result<(), Full> {
    const CEILING: usize = 1 << 28;
    if vec.len() >= CEILING {
        return Err(Full(region));
    }
    vec.resize(vec.len().max(1).saturating_mul(2), empty.clone());
    Ok(())
}

impl Storage for Growing {
    fn parts(&mut self) -> Parts<'_> {
        let Self { sources, metrics, series, past, index, text } = self;
        Parts { sources, metrics, series, past, index, text }
    }

    fn lent(&self) -> Lent<'_> {
        let Self { sources, metrics, series, past, index, text } = self;
        Lent { sources, metrics, series, past, index, text }
    }

    fn grow(&mut self, region: Region) -> Result<(), Full> {
        match region {
            Region::Sources => doubled(region, &mut self.sources, &Source::EMPTY),
            Region::Metrics => doubled(region, &mut self.metrics, &Metric::EMPTY),
            Region::Series => doubled(region, &mut self.series, &Series::EMPTY),
            Region::Past => doubled(region, &mut self.past, &Past::EMPTY),
            Region::Index => doubled(region, &mut self.index, &0),
            Region::Text => doubled(region, &mut self.text, &0),
        }
    }
}
