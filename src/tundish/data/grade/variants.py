"""What the indicators mean for pictures, texts and event logs.

The thirty indicators are the same for every kind of data; what is counted, the reason
of a threshold and the way to raise a value are not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from tundish.data.grade.catalogue import SPECS, IndicatorSpec
from tundish.data.grade.tally import Tally

Kind = Literal["images", "texts", "events"]

NO_MEASURE = {
    "images": "no measure of single pictures",
    "texts": "no measure of texts",
    "events": "no measure of event logs",
}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What an indicator means for one kind of data; ``None`` leaves the fixed value."""

    name_en: str | None = None
    name_zh: str | None = None
    unit: str | None = None
    threshold: float | None = None
    floor: float | None = None
    why: str | None = None
    codes: tuple[str, ...] | None = None
    raise_by: str | None = None


def specs_of(kind: Kind) -> tuple[IndicatorSpec, ...]:
    """Return the thirty indicators as they are meant for a kind of data."""
    variants = VARIANTS[kind]
    return tuple(_meant(spec, variants.get(spec.id, Variant())) for spec in SPECS)


def _meant(spec: IndicatorSpec, told: Variant) -> IndicatorSpec:
    return replace(
        spec,
        name_en=told.name_en or spec.name_en,
        name_zh=told.name_zh or spec.name_zh,
        unit=told.unit or spec.unit,
        threshold=spec.threshold if told.threshold is None else told.threshold,
        floor=spec.floor if told.floor is None else told.floor,
        why=told.why or spec.why,
        codes=told.codes or spec.codes,
        raise_by=told.raise_by or spec.raise_by,
    )


def absent(kind: Kind, measured: Iterable[Tally]) -> list[Tally]:
    """Return empty tallies that say why the other indicators were not measured."""
    there = {tally.id for tally in measured}
    return [
        Tally(id=spec.id, bad=0, of=0, detail=NO_MEASURE[kind])
        for spec in SPECS
        if spec.id not in there
    ]


VARIANTS: dict[Kind, dict[str, Variant]] = {
    "images": {
        "Q01": Variant(
            name_en="pictures that can be read",
            name_zh="图像可读性",
            unit="pictures",
            why="one file in a thousand is a slip; one in twenty is a copy that went wrong",
            raise_by="copy the files again from the camera's computer",
        ),
        "Q03": Variant(
            why="a picture without class, box or mask teaches nothing of defects",
            raise_by="label the pictures named, or keep them apart",
        ),
        "Q04": Variant(
            name_en="boxes and masks that fit their picture",
            name_zh="标注框与掩膜合规性",
            unit="boxes and masks",
            threshold=0.999,
            floor=0.95,
            why="a box outside its picture shows that pictures were scaled after labelling; then all boxes are wrong",
            codes=("TC609-04 0203", "ISO 5259-2 Acc-ML-2"),
            raise_by="export labels and pictures from the same project once more",
        ),
        "Q05": Variant(
            name_en="pictures lit like the others",
            name_zh="亮度与对比度一致性",
            unit="pictures",
            threshold=0.99,
            floor=0.9,
            why="one picture in a hundred is a lamp that flickered; one in ten a second light that nobody named",
            codes=("TC609-04 0208 image-03", "ISO 5259-2 Bal-ML-1"),
            raise_by="check lamp and exposure at the times of the pictures named",
        ),
        "Q06": Variant(
            name_en="pictures that are no copies",
            name_zh="图像重复率",
            unit="pictures",
            why="a picture that stands twice counts twice in training, and may stand in the judged part as well",
            codes=("TC609-04 0208 image-02", "ISO 5259-2 Con-ML-1, Sim-ML-1"),
            raise_by="keep one file of each shot; make variants after the split",
        ),
        "Q07": Variant(
            name_en="pictures of one resolution",
            name_zh="图像分辨率一致性",
            unit="pictures",
            why="a picture of another size shows defects at another scale; one in a hundred hardly matters",
            codes=("TC609-04 0208 image-01", "ISO 5259-2 Bal-ML-2"),
            raise_by="export all pictures at the camera's own size",
        ),
        "Q08": Variant(
            name_en="pictures that show something",
            name_zh="空白图像",
            unit="pictures",
            why="an even grey picture is a shutter or a lamp that failed; as a good part it teaches that nothing is good",
            codes=("TC609-04 0208 image-03",),
            raise_by="take the pictures named out of the set",
        ),
        "Q09": Variant(
            name_en="pictures without burnt-out areas",
            name_zh="曝光截断",
            unit="pictures",
            why="pixels at pure black or white hold no surface any more; one picture in a hundred hardly bends a model",
            codes=("TC609-04 0208 image-03", "ISO 5259-2 Acc-ML-7"),
            raise_by="lower exposure or lamp, and use polarised light on bright metal",
        ),
        "Q10": Variant(
            name_en="pictures that are sharp and free of noise",
            name_zh="清晰度与信噪比",
            unit="pictures",
            why="in a blurred picture a fine crack is gone though the label says it is there",
            codes=("TC609-04 0208 image-03, image-04", "ISO 5259-2 Acc-ML"),
            raise_by="check focus, shutter and gain; take the pictures named again",
        ),
        "Q15": Variant(
            name_zh="类别与标注框均衡度",
            codes=("TC609-04 0102", "ISO 5259-2 Bal-ML-3, Bal-ML-4"),
        ),
        "Q17": Variant(
            name_en="pictures whose class is told by the part alone",
            name_zh="图像数据泄漏",
            unit="pictures",
            why="what a file header, another program or a second picture of the same part tells is learned in place of the defect; this one is a hard gate as well",
            raise_by="take and save all pictures in one way; split by part number",
        ),
        "Q26": Variant(
            name_en="pictures without personal facts in the header",
            unit="pictures",
            raise_by="strip place, author and owner from the headers of the pictures",
        ),
    },
    "texts": {
        "Q01": Variant(
            name_en="records that can be read",
            name_zh="记录可读性",
            unit="records",
            why="one record in a thousand is a slip; one in twenty is an export that went wrong",
            raise_by="write one JSON object per line, or a CSV with quoted texts",
        ),
        "Q02": Variant(
            name_en="texts that say something",
            name_zh="文本完整性",
            unit="texts",
            codes=("TC609-04 0208 text-04, text-05", "ISO 5259-2 Com-ML-1"),
            why="an empty question or answer teaches to say nothing; one in a hundred is lost unnoticed",
            raise_by="fill in or drop the records named",
        ),
        "Q03": Variant(
            why="a question without an answer is no example and no test",
            raise_by="have the questions named answered by someone who knows",
        ),
        "Q04": Variant(
            name_en="questions whose answer can be right",
            name_zh="问答有效性",
            unit="questions",
            threshold=0.999,
            floor=0.95,
            why="an answer that is none of the options, or two equal options, cannot be scored",
            codes=("TC609-04 0203, 0206", "ISO 5259-2 Con-ML semantic"),
            raise_by="mend the questions named; then run every question through a check of its form",
        ),
        "Q05": Variant(
            name_en="texts of usual length and script",
            name_zh="文本长度与语种一致性",
            unit="texts",
            threshold=0.99,
            floor=0.9,
            why="a text ten times longer than the others is a page pasted by mistake, or a second kind of document",
            codes=("TC609-04 0206, 0208 text-07",),
            raise_by="look at the texts named: cut, move or drop them",
        ),
        "Q06": Variant(
            name_en="texts that are no copies",
            name_zh="文本重复率",
            unit="texts",
            threshold=0.98,
            floor=0.9,
            why="a text that stands twice counts twice, and may stand in the judged part as well",
            codes=("TC609-04 0208 text-03", "ISO 5259-2 Con-ML-1, Sim-ML-1"),
            raise_by="keep one of each; keep the wordings of one fact in one part of the split",
        ),
        "Q10": Variant(
            name_en="texts free of garbage",
            name_zh="文本纯净度",
            unit="texts",
            why="wrong encodings, tags and control characters are learned and given back",
            codes=("TC609-04 0208 text-06",),
            raise_by="read the source in its true encoding and strip the markup",
        ),
        "Q11": Variant(
            name_en="texts without repetition inside",
            name_zh="文内重复",
            unit="texts",
            why="a text that says the same phrase over and over is a form's filler or a machine's loop",
            codes=("TC609-04 0208 text-03",),
            raise_by="cut the repetition, or drop the texts named",
        ),
        "Q17": Variant(
            name_en="questions that must be understood to be answered",
            name_zh="文本数据泄漏",
            unit="questions",
            why="a question that was trained on, tells its answer or always has it at one place tests nothing; this one is a hard gate as well",
            raise_by="remove shared questions from the fitted part, and shuffle the options",
        ),
    },
    "events": {
        "Q01": Variant(
            unit="events",
            name_en="events that can be read",
            name_zh="事件可读性",
            raise_by="export case, activity and time of every event as plain columns",
        ),
        "Q02": Variant(
            name_en="events with case, activity and time",
            name_zh="事件完整性",
            unit="events",
            why="an event without case, activity or time cannot be placed; one in a hundred breaks many cases",
            codes=("TC609-04 0204", "ISO 5259-2 Com-ML-1, Com-ML-4"),
            raise_by="fill in from the MES, or drop the cases concerned as a whole",
        ),
        "Q05": Variant(
            name_en="cases that run a usual way",
            name_zh="流程变体",
            unit="cases",
            threshold=0.5,
            floor=0.0,
            why="if every case has a way of its own, the log shows hand work or wrong case numbers and no process can be read from it",
            codes=("TC609-04 0206", "ISO 5259-2 Acc-ML-4"),
            raise_by="check the case number; merge activity names that mean the same",
        ),
        "Q06": Variant(
            name_en="events that are no copies",
            name_zh="事件重复率",
            unit="events",
            why="an event that stands twice makes rework that never was",
            raise_by="remove the copies, and find out which export wrote them",
        ),
        "Q07": Variant(
            name_en="events whose order is known",
            name_zh="事件顺序",
            unit="events",
            threshold=0.95,
            floor=0.7,
            why="events of one case at one time, or at midnight for want of an hour, have no order; one in twenty is borne",
            codes=("TC609-04 0208 (event logs, proposed)", "ISO 5259-2 Tml-ML"),
            raise_by="export times with hour, minute and second",
        ),
        "Q09": Variant(
            name_en="cases that are whole",
            name_zh="流程完整性",
            unit="cases",
            threshold=0.9,
            floor=0.6,
            why="a case cut off at the edge of the export looks shorter than it was; one in ten is usual for a window",
            codes=("TC609-04 0204", "ISO 5259-2 Com-ML-4"),
            raise_by="export by cases that ended in the window, not by events",
        ),
        "Q11": Variant(
            name_en="events that the shop can have done",
            name_zh="资源与时间可行性",
            unit="events",
            why="an end before its start, or one machine at twenty orders at once, was booked and not measured",
            codes=("TC609-04 0206", "ISO 5259-2 Con-ML semantic"),
            raise_by="book start and end at the machine, not at the end of the shift",
        ),
        "Q12": Variant(
            name_en="events with a resource",
            name_zh="资源信息完备性",
            unit="events",
            threshold=0.9,
            floor=0.0,
            why="without machine or person no bottleneck can be found",
            codes=("TC609-04 0101", "ISO 25012 traceability"),
            raise_by="export the machine or work place with each event",
        ),
        "Q13": Variant(
            name_en="activities with one name each",
            name_zh="活动名称一致性",
            unit="events",
            threshold=0.99,
            floor=0.9,
            why="one activity under two spellings is two activities to every program",
            codes=("TC609-04 0206", "ISO 5259-2 Con-ML-3"),
            raise_by="choose one spelling per activity, and lock the list in the MES",
        ),
        "Q23": Variant(
            unit="events",
            why="an event from 1970 or from the future shows a clock that was not set",
        ),
    },
}
