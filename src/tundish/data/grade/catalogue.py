"""The indicators: names, thresholds and the reason for each threshold.

Ids are this project's (Q01-Q30); codes name the items of TC609-5-2025-04 and the
measures of ISO/IEC 5259-2 that they answer to, as known from open implementations.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class IndicatorSpec:
    """What is fixed about an indicator; fields as in ``report.Indicator``."""

    id: str
    name_en: str
    name_zh: str
    unit: str
    threshold: float
    floor: float
    why: str
    codes: tuple[str, ...]
    raise_by: str


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
        id="Q14",
        name_en="labels inside the fitted range",
        name_zh="工况覆盖度",
        unit="labels",
        threshold=0.9,
        floor=0.5,
        why="outside the range of its fit a model extrapolates; one estimate in ten may abstain, not every second",
        codes=("TC609-04 0301", "ISO 5259-2 Rep-ML-1"),
        raise_by="prepare fitting samples over the whole range that the run visits",
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
)

BY_ID: dict[str, IndicatorSpec] = {spec.id: spec for spec in SPECS}
