"""The indicators: names, thresholds and the reason for each threshold.

Ids are this project's (Q01-Q30); codes name the items of TC609-5-2025-04 and the
measures of ISO/IEC 5259-2 that they answer to, as known from open implementations.
"""

from __future__ import annotations

from dataclasses import dataclass

from tundish.data.grade.report import Letter


@dataclass(frozen=True, kw_only=True)
class IndicatorSpec:
    """What is fixed about an indicator; fields as in ``report.Indicator``.

    Attributes:
        least: The worst letter it can cause: ``B`` if it advises only.
        sure: True if the lower end of the interval must be above the floor.
    """

    id: str
    name_en: str
    name_zh: str
    unit: str
    threshold: float
    floor: float
    why: str
    codes: tuple[str, ...]
    raise_by: str
    least: Letter = "C"
    sure: bool = False


SPECS: tuple[IndicatorSpec, ...] = (
    IndicatorSpec(
        id="Q01",
        name_en="cells that can be read",
        name_zh="格式符合性",
        unit="cells",
        threshold=0.999,
        floor=0.95,
        why="one cell in a thousand is a slip; one in twenty is an export that went wrong",
        codes=("TC609-04 0201", "ISO 5259-2 Acc-ML syntactic"),
        raise_by="export numbers only, and states (such as Bad Input) in a column of their own",
    ),
    IndicatorSpec(
        id="Q02",
        name_en="completeness of values",
        name_zh="数值完整性",
        unit="cells",
        threshold=0.99,
        floor=0.9,
        why="one window in a hundred is lost unnoticed; beyond one in ten a model learns from what happens to be there",
        codes=("TC609-04 0204", "ISO 5259-2 Com-ML-1"),
        raise_by="close the longest stretches without data first; ask the historian for them again",
    ),
    IndicatorSpec(
        id="Q03",
        name_en="completeness of labels",
        name_zh="标注完整性",
        unit="labels",
        threshold=0.95,
        floor=0.5,
        why="a label that cannot be joined to signals was paid for and teaches nothing",
        codes=("TC609-04 0203", "ISO 5259-2 Com-ML-5"),
        raise_by="export the signals around the times of the laboratory's samples",
    ),
    IndicatorSpec(
        id="Q04",
        name_en="values within their range",
        name_zh="量程符合性",
        unit="cells",
        threshold=0.9999,
        floor=0.99,
        why="an impossible value is a broken sensor; scaling spreads even one in ten thousand over all others",
        codes=("TC609-04 0206", "ISO 25024 Acc-I-7"),
        raise_by="turn impossible values into empty cells at the source",
    ),
    IndicatorSpec(
        id="Q05",
        name_en="values without outliers",
        name_zh="离群值风险",
        unit="cells",
        threshold=0.999,
        floor=0.95,
        why="values far outside the usual spread draw least-squares models towards them; one in a thousand is borne by robust scaling, one in twenty is a second state of the plant that nobody named",
        codes=("TC609-04 0206", "ISO 5259-2 Acc-ML-4"),
        raise_by="look at each: a real event is marked, a spike of the transmission removed",
    ),
    IndicatorSpec(
        id="Q06",
        name_en="rows that are no copies",
        name_zh="重复率",
        unit="rows",
        threshold=0.99,
        floor=0.9,
        why="a copied row counts twice in training and may stand in the judged part as well",
        codes=("TC609-04 0208", "ISO 5259-2 Con-ML-1"),
        raise_by="remove the copies, and find out which export wrote them",
    ),
    IndicatorSpec(
        id="Q07",
        name_en="regularity of time",
        name_zh="采样时间规律性",
        unit="steps",
        threshold=0.99,
        floor=0.9,
        why="windows are cut at each irregular step; one in a hundred costs little, one in ten cuts most long windows",
        codes=("TC609-04 0208 (sensor data, proposed)", "ISO 5259-2 Tml-ML"),
        raise_by="store times in UTC, and fill gaps from the historian",
    ),
    IndicatorSpec(
        id="Q08",
        name_en="values of sensors that live",
        name_zh="卡滞传感器",
        unit="cells",
        threshold=0.999,
        floor=0.95,
        why="a sensor that stands still while the plant moves teaches a wrong relation without any alarm",
        codes=("TC609-04 0208 (sensor data, proposed)", "ISO 5259-2 Acc-ML"),
        raise_by="empty the stretches named, and have the instrument checked",
    ),
    IndicatorSpec(
        id="Q09",
        name_en="values that are not clipped",
        name_zh="饱和与截断",
        unit="cells",
        threshold=0.99,
        floor=0.9,
        why="a value at the end of the scale says only 'at least' or 'at most'; one in a hundred hardly bends a model",
        codes=("TC609-04 0208 (sensor data, proposed)", "ISO 5259-2 Acc-ML-7"),
        raise_by="widen the transmitter's range, or mark the values as censored",
    ),
    IndicatorSpec(
        id="Q10",
        name_en="signals free of drift and of noise that hides them",
        name_zh="信号质量——漂移、噪声与混叠",
        unit="cells",
        threshold=0.99,
        floor=0.9,
        why="a drifting sensor moves every later estimate with it; one cell in a hundred is corrected between two calibrations",
        codes=(
            "TC609-04 0208 (sensor data, proposed)",
            "ISO 5259-2 Acc-ML",
        ),
        raise_by="calibrate the sensors named, and filter before sampling",
    ),
    IndicatorSpec(
        id="Q11",
        name_en="rows that keep limits of rate and balance",
        name_zh="机理约束符合性",
        unit="rows",
        threshold=0.99,
        floor=0.9,
        why="mass and energy do not appear: a balance that does not close shows a wrong meter, whichever it is",
        codes=(
            "TC609-04 0206",
            "ISO 5259-2 Con-ML semantic",
        ),
        raise_by="check the meters of the balance named against each other",
    ),
    IndicatorSpec(
        id="Q12",
        name_en="units are known",
        name_zh="计量单位完备性",
        unit="tags",
        threshold=1.0,
        floor=0.0,
        why="a tag without a unit cannot be checked against physics, nor moved to another site",
        codes=("TC609-04 0101", "ISO 25012 traceability"),
        raise_by="write units into the header, such as 'Flow [l/s]', or give a site profile",
    ),
    IndicatorSpec(
        id="Q13",
        name_en="clocks of sources that agree",
        name_zh="时钟同步与对齐",
        unit="sources",
        threshold=1.0,
        floor=0.5,
        why="a source whose clock is wrong by more than one row joins causes to the wrong effects",
        codes=(
            "TC609-04 0208 (sensor data, proposed)",
            "ISO 5259-2 Tml-ML-1",
        ),
        raise_by="set all loggers by one time server, and shift the source named",
    ),
    IndicatorSpec(
        id="Q14",
        name_en="operating modes covered",
        name_zh="工况覆盖度",
        unit="modes",
        threshold=0.9,
        floor=0.5,
        why="outside what it was fitted on a model extrapolates; one part in ten may abstain, not every second",
        codes=("TC609-04 0301", "ISO 5259-2 Rep-ML-1"),
        raise_by="collect the modes named: that load, product, season or label range",
    ),
    IndicatorSpec(
        id="Q15",
        name_en="balance of classes",
        name_zh="类别均衡度",
        unit="classes",
        threshold=0.5,
        floor=0.2,
        why="normalised entropy of the class counts; below one half a model that always names the commonest class looks good; faults are rare by nature, so this advises and the model gain decides",
        codes=(
            "TC609-04 0102",
            "ISO 5259-2 Bal-ML",
        ),
        raise_by="collect more of the rare classes; do not copy the few there are",
        least="B",
    ),
    IndicatorSpec(
        id="Q16",
        name_en="diversity of machines and batches",
        name_zh="设备与批次多样性",
        unit="units",
        threshold=0.5,
        floor=0.1,
        why="share of units that count in effect (inverse Simpson): a model of one machine is no model of its type; it advises, for a plant may have one machine",
        codes=(
            "TC609-04 0301",
            "ISO 5259-2 Div-ML",
        ),
        raise_by="collect the units that are rare here",
        least="B",
    ),
    IndicatorSpec(
        id="Q17",
        name_en="judged rows that were not fitted",
        name_zh="数据泄漏",
        unit="rows",
        threshold=1.0,
        floor=0.99,
        why="a judged row that was fitted is no test; this one is a hard gate as well",
        codes=("TC609-04 0206", "ISO 5259-2 Sim-ML-3"),
        raise_by="split by time or by batch, and remove copies first",
    ),
    IndicatorSpec(
        id="Q18",
        name_en="labels that the signals bear out",
        name_zh="标注准确性估计",
        unit="labels",
        threshold=0.98,
        floor=0.9,
        why="labels in which a model fitted on the other rows firmly sees another value; beyond one in ten the labels limit the model",
        codes=(
            "TC609-04 0304",
            "ISO 5259-2 Acc-ML-2",
        ),
        raise_by="have the labels named looked at by a second person",
    ),
    IndicatorSpec(
        id="Q19",
        name_en="tags that say something of their own",
        name_zh="特征相关性与冗余",
        unit="tags",
        threshold=0.5,
        floor=0.1,
        why="a tag that is a copy of another, or that tells nothing of the target, costs effort on the line and gives nothing; it harms no model, so this advises",
        codes=(
            "TC609-04 0102",
            "ISO 5259-2 Rel-ML-1",
        ),
        raise_by="leave the copies out; keep the tag that is measured, not computed",
        least="B",
    ),
    IndicatorSpec(
        id="Q20",
        name_en="tags whose distribution holds over time",
        name_zh="分布漂移",
        unit="tags",
        threshold=0.8,
        floor=0.3,
        why="share of tags whose population stability index between early and late rows is below 0.25, the usual alarm level; every plant with seasons or campaigns shifts, so this advises",
        codes=(
            "TC609-04 0206",
            "ISO 5259-2 Con-ML-2",
        ),
        raise_by="fit on the newest rows as well, or fit each campaign apart",
        least="B",
    ),
    IndicatorSpec(
        id="Q21",
        name_en="reach of the learning curve",
        name_zh="规模充分性——学习曲线",
        unit="score",
        threshold=0.9,
        floor=0.6,
        why="share of the skill that the extrapolated learning curve expects from four times the data; below it more data pays; it advises, for the data at hand may do",
        codes=(
            "TC609-04 0302",
            "ISO 5259-2 Eft-ML",
        ),
        raise_by="collect more units of the same kind; the curve says how many",
        least="B",
    ),
    IndicatorSpec(
        id="Q22",
        name_en="model gain over the plain baseline",
        name_zh="模型增益与置信区间",
        unit="score",
        threshold=0.3,
        floor=0.0,
        why="skill of a simple model on held-out rows against the plain baseline; 0.3 means that the error falls by a third; if chance alone could give the gain (lower end of the interval at or below 0), the data was not shown to help the task, and no letter above C is honest",
        codes=(
            "TC609-04 0305",
            "ISO 5259-2 Acc-ML model",
        ),
        raise_by="look for the missing cause: a tag, a delay, a laboratory value",
        sure=True,
    ),
    IndicatorSpec(
        id="Q23",
        name_en="times that can be true",
        name_zh="数据时间范围",
        unit="rows",
        threshold=1.0,
        floor=0.99,
        why="a row from 1970 or from the future shows a clock that was not set",
        codes=("TC609-04 0303", "ISO 5259-2 Cur-ML-1"),
        raise_by="set the logger's clock, and correct or drop the rows named",
    ),
    IndicatorSpec(
        id="Q24",
        name_en="origin is known",
        name_zh="来源可追溯性",
        unit="facts",
        threshold=1.0,
        floor=0.0,
        why="source, digest, licence, time and method: a set whose origin nobody knows cannot be defended in an audit; paper alone never costs more than letter A",
        codes=(
            "TC609-04 0205",
            "ISO 5259-2 Aud-ML-1",
        ),
        raise_by="write a card: tundish data card FILE --template",
    ),
    IndicatorSpec(
        id="Q25",
        name_en="generated data is marked",
        name_zh="合成数据标识",
        unit="rows",
        threshold=1.0,
        floor=0.95,
        why="rows that were computed and not measured must say so; a model of a model learns the first one",
        codes=(
            "TC609-04 0205",
            "labelling rule",
        ),
        raise_by="state the generated share in the card, or take the generated rows out",
    ),
    IndicatorSpec(
        id="Q26",
        name_en="cells free of persons and secrets",
        name_zh="个人信息与秘密",
        unit="columns",
        threshold=1.0,
        floor=0.9,
        why="one name or key is one too many; this is a hard gate as well",
        codes=(
            "TC609-04 0202",
            "ISO 5259-2 Idn-ML",
        ),
        raise_by="drop or pseudonymise the columns named before the set leaves the plant",
    ),
    IndicatorSpec(
        id="Q27",
        name_en="licence is known",
        name_zh="许可合规",
        unit="sets",
        threshold=1.0,
        floor=0.0,
        why="data whose terms nobody knows cannot be used in a product",
        codes=("TC609-04 0104",),
        raise_by="state the terms (--licence), or ask the data's owner",
    ),
    IndicatorSpec(
        id="Q28",
        name_en="documentation is complete",
        name_zh="文档完整性",
        unit="fields",
        threshold=0.9,
        floor=0.0,
        why="whoever gets the set in two years has only the card; nine in ten of the fields it must have is the usual rule; paper alone never costs more than letter A",
        codes=(
            "TC609-04 0101-0104",
            "ISO 5259-2 Und-ML",
        ),
        raise_by="fill in the card: tundish data card FILE --template writes it with every key explained",
    ),
    IndicatorSpec(
        id="Q29",
        name_en="no sign of poisoning",
        name_zh="投毒嫌疑",
        unit="rows",
        threshold=1.0,
        floor=0.99,
        why="rows of one source whose labels contradict their nearest neighbours of all other sources",
        codes=(
            "TC609-04 0206",
            "ISO 5259-2 Cre-ML",
        ),
        raise_by="find out who wrote the rows named, and leave them out until then",
    ),
    IndicatorSpec(
        id="Q30",
        name_en="data-security grade is recorded",
        name_zh="数据安全分级",
        unit="sets",
        threshold=1.0,
        floor=0.0,
        why="general, important or core data: the law asks for the grade, and the handling follows from it",
        codes=(
            "TC609-04 0202",
            "data security grading",
        ),
        raise_by="state the grade in the card (security_grade)",
    ),
)

BY_ID: dict[str, IndicatorSpec] = {spec.id: spec for spec in SPECS}
