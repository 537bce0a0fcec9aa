"""A grade in Chinese: what each kind of finding is called, says and asks for.

The English sentence of a finding carries its details; the Chinese one is made from the
finding's own fields (tag, rows, share), so that both pages say the same figures.
"""

from __future__ import annotations

from typing import NamedTuple

from tundish.data.grade.report import Finding, percent


class Phrase(NamedTuple):
    """One kind of finding: its name, what it says and how to mend it.

    ``{rows}`` is the number of rows (or labels) and ``{share}`` their share.
    """

    name: str
    what: str
    mend: str


PHRASES: dict[str, Phrase] = {
    "leak": Phrase(
        "数据泄漏",
        "共 {rows} 行（{share}）含有预测时不可能知道的信息，或同时用于训练与评判。",
        "删除该列，或重新划分数据，使每行只属于一个部分。",
    ),
    "secret": Phrase(
        "密码或密钥",
        "{rows} 个单元格含有密码、密钥或令牌。",
        "删除该列，并立即更换该密码或密钥。",
    ),
    "person": Phrase(
        "个人信息",
        "{rows} 个单元格可以直接识别个人。",
        "删除该列，或用另行保管的编号代替每个人。",
    ),
    "person-code": Phrase(
        "人员编号或配方列",
        "{rows} 个单元格可能与其他列一起识别个人，或属于配方。",
        "任务不需要时不要使用该列，或重新编号。",
    ),
    "undeclared-synthetic": Phrase(
        "未声明的合成数据",
        "{rows} 行（{share}）被标记为生成数据，而数据卡声明为实测。",
        "在数据卡中注明 generated_share，或删除这些行。",
    ),
    "near-target": Phrase(
        "与目标几乎相同",
        "该列与目标几乎完全一致，涉及 {rows} 行。",
        "若预测时尚不可知，请删除该列；若由独立仪表及时测得，则可保留。",
    ),
    "label-constant": Phrase(
        "标注恒定",
        "{rows} 个标注连续取同一个值。",
        "向实验室核实这些数值，删除抄写的值。",
    ),
    "outside-fit": Phrase(
        "超出训练范围",
        "{rows} 个标注（{share}）位于训练数据的范围之外。",
        "在该范围内补充训练样本；在此之前让模型在该处放弃回答。",
    ),
    "contradicts-others": Phrase(
        "与其他来源矛盾",
        "某一来源的 {rows} 个标注与其他所有来源中最相近的行相矛盾，远多于其他来源。",
        "查明这些标注由谁填写；在此之前不要使用这些行。",
    ),
    "label-doubt": Phrase(
        "可疑标注",
        "{rows} 个标注（{share}）与其信号不符，或远离其他所有标注。",
        "请第二人复测或复核；未经核实不要删除。",
    ),
    "mode-missing": Phrase(
        "工况缺失",
        "有 {rows} 个声明的工况（{share}）在数据中未出现。",
        "补采这些工况；在此之前让模型在该处放弃回答。",
    ),
    "rare-class": Phrase(
        "类别样本过少",
        "样本过少的类别共有 {rows} 行，既无法学习也无法评判。",
        "补采这些类别，或与相近的类别合并。",
    ),
    "shift": Phrase(
        "分布漂移",
        "后半段 {rows} 行的中位数偏移达到通常波动的三倍以上。",
        "查明当时的变化（产品、季节、传感器），并用最新数据一起训练。",
    ),
    "copy-tag": Phrase(
        "重复的测点",
        "该测点的每一步都跟随另一测点，没有自己的信息。",
        "只保留其中之一：实测的，而不是计算的。",
    ),
    "dead-spectrum": Phrase(
        "光谱无信号",
        "{rows} 条光谱没有任何起伏。",
        "删除这些光谱；光源可能关闭或探头已取出。",
    ),
    "impossible": Phrase(
        "物理上不可能的值",
        "{rows} 个读数低于绝对零度等物理极限，是传感器断线的标志。",
        "将这些读数置空，并检查传感器接线。",
    ),
    "out-of-range": Phrase(
        "超出量程",
        "{rows} 个读数超出约定范围。",
        "将其置空；若数值属实，请更正场景中的范围。",
    ),
    "code-value": Phrase(
        "代码值", "{rows} 个读数是表示“无数值”的代码。", "导出时将该代码写成空单元格。"
    ),
    "stuck": Phrase(
        "传感器卡滞",
        "数值连续 {rows} 行保持不变（{share}），而其他信号仍在变化。",
        "将该时段置空，并检查仪表或其传输。",
    ),
    "frozen-together": Phrase(
        "同时冻结",
        "多个信号同时停止变化，共 {rows} 行。",
        "检查数据采集；若为停机，请用 --running 说明。",
    ),
    "clock-change": Phrase(
        "夏令时造成的重复",
        "夏令时切换使 {rows} 行与其他行的时间相同。",
        "以 UTC 导出时间。",
    ),
    "clock-change-gap": Phrase(
        "夏令时造成的缺口", "夏令时切换处缺 {rows} 行。", "以 UTC 导出时间。"
    ),
    "duplicate-time": Phrase(
        "时间重复",
        "{rows} 行与前一行时间相同。",
        "若一张表含多台设备，请用 --unit 指定该列；否则每个时间只保留一行。",
    ),
    "backward-time": Phrase(
        "时间倒退",
        "时间倒退 {rows} 次。",
        "按时间排序；若只在秋季出现，请以 UTC 导出。",
    ),
    "impossible-time": Phrase(
        "不可能的时间",
        "{rows} 行的时间不可能属实。",
        "校准记录仪的时钟，更正或删除这些行。",
    ),
    "duplicate-row": Phrase(
        "重复行",
        "{rows} 行（{share}）与其他行完全相同。",
        "删除重复行，并查明由哪次导出产生。",
    ),
    "clipped": Phrase(
        "饱和或截断",
        "{rows} 个数值恰好停在量程端点。",
        "检查变送器量程；将这些值标记为“至少”或“至多”。",
    ),
    "at-stop": Phrase(
        "处于行程端点",
        "{rows} 个数值恰好停在 0 % 或 100 %：阀门或控制器已到端点，不再起调节作用。",
        "若是阀门且工况如此要求，无需处理；否则检查量程。",
    ),
    "drift": Phrase(
        "缓慢漂移",
        "自此 {rows} 行起，该点逐渐偏离与其相关测点所预示的数值。",
        "请校准；若是装置本身变化（结垢、磨损），请注明。在此之前剔除该时段或该测点。",
    ),
    "noise-change": Phrase(
        "噪声改变",
        "自此 {rows} 行起，行间噪声与之前明显不同，而水平和其他测点不变。",
        "检查接线、接地和附近的干扰源；噪声变小时查明是否设置了滤波。",
    ),
    "unit-switch": Phrase(
        "计量单位改变",
        "自此 {rows} 行起，数值像是换了计量单位，其他测点不变。",
        "将该时段换算回原单位，并查明是谁改动了变送器或导出。",
    ),
    "swapped": Phrase(
        "两个测点互换",
        "自此 {rows} 行起，两个测点互换了数值，其他测点不变。",
        "接线或导出的列序弄反了：自此将两者换回。",
    ),
    "copied-stretch": Phrase(
        "整段复制",
        "{rows} 行在另一时间逐值重复了先前的一段。",
        "真实信号不会逐值重复：查明哪一段是真的，删除另一段。",
    ),
    "text-state": Phrase(
        "数字列中的文字",
        "{rows} 个单元格是文字而不是数字。",
        "将状态另存一列；此处按缺失处理。",
    ),
    "censored": Phrase(
        "超出检测限",
        "{rows} 个数值只给出检测限（如 <0.01），按缺失处理。",
        "将检测限另存一列；其余数值的均值因此偏高或偏低。",
    ),
    "bad-quality": Phrase(
        "质量标记不良",
        "{rows} 个数值的质量标记为不良或不确定，已按缺失处理。",
        "查明仪表或通信在这些时段的状态；不要恢复这些数值。",
    ),
    "ragged": Phrase(
        "列数不符",
        "{rows} 行的字段数与其他行不同，已略去。",
        "将含分隔符的文字放入双引号后重新导出。",
    ),
    "outlier": Phrase(
        "离群值",
        "{rows} 个数值远离通常范围。",
        "逐一查看：真实事件请标记，传输故障请删除。",
    ),
    "spike": Phrase(
        "单点尖峰",
        "{rows} 个单行尖峰，前后两行一致。",
        "用三行中值滤除，并检查信号屏蔽。",
    ),
    "odd-spectrum": Phrase(
        "异常光谱",
        "{rows} 条光谱的水平或起伏与其他光谱相差很大。",
        "逐一查看，删除在空气中或关灯时采集的光谱。",
    ),
    "gap": Phrase(
        "时间缺口", "共缺 {rows} 行（{share}）。", "向历史数据库补取这些时段。"
    ),
    "silent": Phrase(
        "记录中断", "{rows} 行没有任何数值。", "向历史数据库补取，或确认设备当时停机。"
    ),
    "missing": Phrase(
        "缺失值", "{rows} 行为空（{share}）。", "先补最长的缺失段，或不使用该信号。"
    ),
    "unlabelled": Phrase(
        "缺少标注", "{rows} 个标注没有对应的信号。", "导出取样时刻附近的信号。"
    ),
    "stops": Phrase(
        "停机",
        "{rows} 行中多个信号同时停在零附近，装置似乎停机。",
        "若确为停机，请用 --running 说明运行条件。",
    ),
    "retest": Phrase(
        "复检至合格",
        "{rows} 个样品不合格后重复检验，直到合格为止；最后一次结果偏好。",
        "使用第一次结果，或保留全部结果。",
    ),
    "repeat-test": Phrase(
        "平行检验",
        "{rows} 个样品被检验多次，其差别给出化验的重复性。",
        "取平均值，并把重复性作为误差的下限。",
    ),
    "unjoined": Phrase(
        "未能关联",
        "{rows} 个结果没有对应的过程数据。",
        "检查批号写法、时间与滞后 (--lag)，或补导过程数据。",
    ),
    "campaign": Phrase(
        "生产批次组",
        "同一批次组内的数值相似，随机划分会在近邻上评判。",
        "按批次组划分数据 (--unit)。",
    ),
    "rate": Phrase(
        "变化过快",
        "{rows} 行的变化超过约定的速率上限。",
        "检查仪表与传输，或修正速率上限。",
    ),
    "balance": Phrase(
        "平衡不闭合",
        "{rows} 行的平衡残差超出允许误差。",
        "将平衡中的仪表相互核对。",
    ),
    "clock-lag": Phrase(
        "时钟不同步",
        "两个来源的同一信号在时间上错开。",
        "用同一时间服务器校时，并移动其中一个来源。",
    ),
    "interpolated": Phrase(
        "插值或保持的数据",
        "大部分行由其他行插值得到或重复前值，真实信息量远少于行数。",
        "从历史数据库导出原始归档值，或按真实采样率训练。",
    ),
    # pictures
    "unreadable": Phrase(
        "图片无法读取",
        "{rows} 张图片无法读取。",
        "重新复制这些文件；拍摄失败的请删除。",
    ),
    "wrong-ending": Phrase(
        "扩展名不符", "{rows} 张图片的扩展名与格式不符。", "按真实格式重命名。"
    ),
    "written-otherwise": Phrase(
        "文件头泄漏类别",
        "仅凭文件头（格式、编码、尺寸等）即可区分 {rows} 张图片的类别。",
        "用同一程序以相同设置重新保存所有图片，再重新训练。",
    ),
    "same-part": Phrase(
        "同一零件出现在两边",
        "{rows} 张图片的零件编号同时出现在两个类别或两个部分中。",
        "按零件编号划分数据，并核实其类别。",
    ),
    "label-conflict": Phrase(
        "标注矛盾",
        "{rows} 张相同的图片被标为不同类别。",
        "请第二人复核这些图片的类别。",
    ),
    "copy": Phrase("重复图片", "{rows} 张图片的像素完全相同。", "每张只保留一份。"),
    "near-copy": Phrase(
        "近似重复", "{rows} 张图片几乎相同。", "每组只保留一张，或放入同一部分。"
    ),
    "blank": Phrase(
        "空白图片", "{rows} 张图片只有一个灰度。", "删除，并检查相机与光源。"
    ),
    "dark-or-bright": Phrase(
        "亮度异常",
        "{rows} 张图片比其他图片暗得多或亮得多。",
        "检查光源与曝光，重新拍摄。",
    ),
    "blurred": Phrase(
        "模糊", "{rows} 张图片比其他图片模糊得多。", "检查对焦与运动，重新拍摄。"
    ),
    "noisy": Phrase(
        "噪声", "{rows} 张图片的噪声比其他图片大得多。", "检查增益与光源。"
    ),
    "overexposed": Phrase("过曝", "{rows} 张图片大面积过曝。", "缩短曝光时间。"),
    "odd-size": Phrase(
        "尺寸不一", "{rows} 张图片的尺寸与其他不同。", "统一裁剪或缩放方式。"
    ),
    "too-small": Phrase(
        "分辨率过低", "{rows} 张图片小得看不清缺陷。", "以更高分辨率拍摄。"
    ),
    "box-outside": Phrase("框超出图片", "{rows} 个标注框超出图片。", "更正坐标。"),
    "box-empty": Phrase("空框", "{rows} 个标注框没有面积。", "更正或删除。"),
    "box-copied": Phrase("重复框", "{rows} 个标注框重复。", "每个只保留一份。"),
    "mask-size": Phrase(
        "掩膜尺寸不符", "{rows} 个掩膜与图片尺寸不同。", "按图片尺寸重新导出掩膜。"
    ),
    "mask-empty": Phrase("空掩膜", "{rows} 个掩膜没有标记任何像素。", "核实是否漏标。"),
    "imbalance": Phrase(
        "类别不均衡", "最少的类别远少于最多的类别。", "补充稀有类别的样本。"
    ),
    # texts
    "empty-text": Phrase("空文本", "{rows} 条文本为空。", "补齐或删除。"),
    "garbled": Phrase(
        "乱码", "{rows} 条文本含乱码或残留标记。", "以正确编码重新导出。"
    ),
    "repetition": Phrase("重复片段", "{rows} 条文本大量重复自身。", "删除或改写。"),
    "odd-length": Phrase("长度异常", "{rows} 条文本的长度远离其他文本。", "逐一查看。"),
    "odd-script": Phrase(
        "文字种类不同", "{rows} 条文本使用其他文字。", "分开存放，或说明语言。"
    ),
    "answer-missing": Phrase(
        "答案不在选项中", "{rows} 道题的答案不在选项中。", "更正答案或选项。"
    ),
    "answer-told": Phrase("题中含答案", "{rows} 道题的题干中已含答案。", "改写题干。"),
    "answer-place": Phrase("答案位置偏倚", "正确答案多在同一位置。", "打乱选项顺序。"),
    "answer-length": Phrase(
        "答案长度偏倚", "仅凭长度即可猜中答案。", "使选项长度相近。"
    ),
    "option-copied": Phrase(
        "选项重复", "{rows} 道题含相同的选项。", "更换重复的选项。"
    ),
    "file-copied": Phrase(
        "文件重复", "一个文件包含另一个文件的 {rows} 条记录。", "只保留其中之一。"
    ),
    # process events
    "event-incomplete": Phrase(
        "事件不完整", "{rows} 个事件缺少案例、活动或时间。", "在源系统中补齐。"
    ),
    "no-time-of-day": Phrase(
        "缺少时刻", "{rows} 个事件只有日期没有时刻。", "导出完整时间戳。"
    ),
    "end-before-start": Phrase(
        "先完后始", "{rows} 个事件的结束早于开始。", "核实两个时钟。"
    ),
    "order-unknown": Phrase(
        "次序不明", "{rows} 个事件与同案例的其他事件时间相同。", "导出更精细的时间。"
    ),
    "duplicate-event": Phrase("重复事件", "{rows} 个事件重复。", "每个只保留一份。"),
    "case-cut": Phrase(
        "案例被截断",
        "{rows} 个案例在日志的起点或终点被截断。",
        "扩大导出范围，或不使用这些案例。",
    ),
    "spelling": Phrase(
        "写法不一", "同一活动有多种写法，涉及 {rows} 个事件。", "统一名称。"
    ),
    "unpaired": Phrase(
        "始终不成对", "{rows} 个开始没有结束，或相反。", "在源系统中补齐。"
    ),
    "no-resource": Phrase(
        "缺少资源", "{rows} 个事件没有写明由谁或哪台设备执行。", "导出资源列。"
    ),
    "twin-event": Phrase(
        "成对的重复事件", "{rows} 个事件除编号外完全相同。", "核实是否登记了两次。"
    ),
    "cut-event": Phrase(
        "事件被截断", "{rows} 个事件在日界处被截断。", "合并后再计算时长。"
    ),
    "variants": Phrase(
        "流程变体过多", "大多数案例各走各的路径。", "合并活动或按产品分开，再学习流程。"
    ),
    "overload": Phrase(
        "同时过多", "同一资源同时执行的事件多得不可能。", "核实资源列与时间。"
    ),
    "idle": Phrase("静止", "信号有 {rows} 行静止。", "若为停机，请用 --running 说明。"),
    "constant": Phrase(
        "恒定信号", "信号从不变化。", "在此无信息：不使用，或检查是否接入。"
    ),
}

GATES = {
    "leakage": "数据泄漏",
    "licence": "许可",
    "readable": "可读性",
    "labels": "标注",
    "contract": "数据契约",
    "secrets": "个人信息与秘密",
    "card": "数据卡",
}
STATES = {"passed": "通过", "failed": "未通过", "open": "待定"}
RULE = (
    "任何硬性门槛未通过则为 D。否则由最差的指标决定：所有指标达到阈值、没有待定的门槛且没有确定的"
    "缺陷为 A；所有指标至少达到下限为 B；有指标低于下限为 C。文档类指标没有下限，最多使评级失去 A。模型增益以其区间的"
    "下端计；类别均衡、设备多样性、冗余、漂移与学习曲线只作建议，最低为 B。任何数值都不做平均。"
)


def name(kind: str) -> str:
    """Return the Chinese name of a kind of finding."""
    phrase = PHRASES.get(kind)
    return phrase.name if phrase else kind


def what(finding: Finding) -> str:
    """Return what a finding says, from its fields."""
    phrase = PHRASES.get(finding.kind)
    if phrase is None:
        return finding.what
    return phrase.what.format(
        rows=f"{finding.rows:,}", share=percent(finding.cost_share)
    )


def mend(finding: Finding) -> str:
    """Return how to mend it."""
    phrase = PHRASES.get(finding.kind)
    return phrase.mend if phrase else finding.mend
