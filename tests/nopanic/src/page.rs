//! Whatever can be written on a page.

use core::hint::black_box;

use pmbridge_core::{
    exposition::{Exemplar, Format, LabelSet, value, writer},
    mapping::{
        export,
        label::{Instance, merge, without},
    },
    pcp::{Desc, InDom, Pmid, Semantics, Type, Units},
    role::page::Page,
    store::{Metric, Storage, Store, Ticket, View},
    time::Timestamp,
    wire::Writer,
};

/// Writes whatever comes as the labels and lines of an exposition.
pub(crate) fn every_line(input: &[u8], output: &mut [u8]) {
    let mut w = Writer::resume(output, black_box(3));
    let mut put = |piece: &[u8]| w.bytes(piece);
    let name = core::str::from_utf8(input).unwrap_or_default();
    merge(&[input, input], Some(Instance { id: black_box(-1), name: input, labels: input }), &mut put);
    without(&[name], input, &mut put);
    let format = Format::negotiate(Some(name));
    let family =
        writer::Family { name, kind: writer::Kind::parse(name), help: writer::Help::Sent(name), unit: name };
    writer::head(format, &family, &mut put);
    let labels = LabelSet::stored(name);
    let exemplar = Some(Exemplar { labels, value: name, timestamp: Some(name) });
    let time = Some(Timestamp { secs: black_box(2), nanos: black_box(3) });
    writer::sample(
        format,
        (name, name),
        labels,
        |put| {
            value::double(f64::from_bits(black_box(1)), put);
            value::single(f32::from_bits(black_box(1)), put);
            value::signed(black_box(1), put);
            value::decimal(black_box(true), black_box(1), black_box(1), put);
            value::double(value::widened(black_box(1.0)), put);
        },
        writer::Rest { time, exemplar },
        &mut put,
    );
    writer::end(format, &mut put);
    let desc = Desc {
        pmid: Pmid::from_bits(black_box(1)),
        kind: Type(black_box(1)),
        indom: InDom::from_bits(black_box(1)),
        semantics: Semantics(black_box(1)),
        units: Units::from_bits(black_box(1)),
    };
    if let (Some(naming), Some(kind)) = (export::Naming::parse(name), export::kind(&desc)) {
        let mark = Some(export::mark(name, black_box(1)));
        export::name(naming, name, kind, desc.units, mark, &mut put);
        export::unit(naming, kind, desc.units, &mut put);
        let factor = export::factor(naming, desc.units);
        factor.signed(black_box(1), &mut put);
        factor.unsigned(black_box(1), &mut put);
        factor.single(f32::from_bits(black_box(1)), &mut put);
        factor.double(f64::from_bits(black_box(1)), &mut put);
        export::pcp_line(name, &desc, &mut put);
    }
    black_box(w.written());
}

/// Writes a page of whatever a store holds.
pub(crate) fn every_family<S: Storage>(store: &Store<S>, text: &str, output: &mut [u8]) {
    let mut page = Page::new(Format::negotiate(Some(text)), black_box(Ticket::default()));
    let view = store.view();
    let select = |view: View<'_>, metric: &Metric| black_box(view.name(metric) == text.as_bytes());
    while !page.is_done() {
        black_box(page.write(view, None, black_box(output)));
        black_box(page.write(view, Some(&select), black_box(output)));
    }
    black_box((view.source_named(text), view.source_ids().count()));
}
