"""Q06: texts that stand twice, word for word or nearly so, within their file."""

from __future__ import annotations

from tundish.data.grade.tally import Tally
from tundish.data.grade.texts.corpus import Corpus, examples, identity, places, quoted
from tundish.data.grade.texts.questions import copied_files
from tundish.data.texts.items import Item
from tundish.data.texts.near import near_pairs

MOST_ITEMS = 300_000


def copies(corpus: Corpus) -> Tally:
    """Count texts beyond the first of each, file by file.

    A file that as a whole stands in another one too (the same set with other fields) is
    said, and not counted: it is not an error of its texts.
    """
    remarks = corpus.remarks("Q06")
    total = sum(len(file.items) for file in corpus.files)
    exact: list[Item] = []
    near: list[Item] = []
    pair = ""
    unchecked = 0
    for file in corpus.files:
        firsts: dict[str, Item] = {}
        said = [item for item in file.items if item.text.strip()]
        exact += [i for i in said if firsts.setdefault(identity(i), i) is not i]
        texts = list(firsts)
        if len(texts) > MOST_ITEMS:
            unchecked += len(texts)
            continue
        for a, b in near_pairs(texts):
            near.append(firsts[texts[b]])
            one, other = firsts[texts[a]], firsts[texts[b]]
            pair = pair or f"{quoted(one.text, 90)} and {quoted(other.text, 90)}"
    near = list({id(item): item for item in near}.values())
    if exact:
        remarks.add(
            "copy",
            f"{len(exact):,} texts repeat an earlier one of their file word for word: "
            f"{examples(exact)}, {quoted(exact[0].text)}.",
            "Keep one of each; find out which step wrote them twice.",
            names=places(exact),
            of=total,
        )
    if near:
        remarks.add(
            "near-copy",
            f"{len(near):,} texts differ from another only in spelling or small words: {pair}.",
            "Keep one wording, or keep all wordings in one part of the split.",
            names=places(near),
            of=total,
        )
    for name, second, both, of in copied_files(corpus):
        remarks.add(
            "file-copied",
            f"{both:,} of {of:,} texts of {name} stand in {second} too.",
            "Use one of the two files; never one to fit and the other to judge.",
            names=[name, second],
            bad=both,
            of=total,
        )
    detail = f"{unchecked:,} texts were not compared for nearness" if unchecked else ""
    return remarks.tally(len(exact) + len(near), total, detail)
