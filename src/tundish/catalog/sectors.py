"""Sectors: the 31 manufacturing divisions of GB/T 4754-2017 (C13-C43), bilingual.

Utilities (D44-D46) may be named by a scenario and are not counted among the 31.
"""

from __future__ import annotations

DIVISIONS: dict[str, tuple[str, str]] = {
    "C13": ("agricultural & sideline food processing", "农副食品加工业"),
    "C14": ("food manufacturing", "食品制造业"),
    "C15": ("liquor, beverage, refined tea", "酒、饮料和精制茶制造业"),
    "C16": ("tobacco", "烟草制品业"),
    "C17": ("textiles", "纺织业"),
    "C18": ("apparel", "纺织服装、服饰业"),
    "C19": ("leather, fur, feather, footwear", "皮革、毛皮、羽毛及其制品和制鞋业"),
    "C20": ("wood, bamboo, rattan products", "木材加工和木、竹、藤、棕、草制品业"),
    "C21": ("furniture", "家具制造业"),
    "C22": ("paper", "造纸和纸制品业"),
    "C23": ("printing, media reproduction", "印刷和记录媒介复制业"),
    "C24": ("culture, craft, sport, toys", "文教、工美、体育和娱乐用品制造业"),
    "C25": ("petroleum, coal, other fuels", "石油、煤炭及其他燃料加工业"),
    "C26": ("chemicals", "化学原料和化学制品制造业"),
    "C27": ("pharmaceuticals", "医药制造业"),
    "C28": ("man-made fibres", "化学纤维制造业"),
    "C29": ("rubber & plastics", "橡胶和塑料制品业"),
    "C30": ("non-metallic minerals", "非金属矿物制品业"),
    "C31": ("ferrous smelting & rolling", "黑色金属冶炼和压延加工业"),
    "C32": ("non-ferrous smelting & rolling", "有色金属冶炼和压延加工业"),
    "C33": ("metal products", "金属制品业"),
    "C34": ("general-purpose machinery", "通用设备制造业"),
    "C35": ("special-purpose machinery", "专用设备制造业"),
    "C36": ("motor vehicles", "汽车制造业"),
    "C37": (
        "rail, ship, aerospace, other transport",
        "铁路、船舶、航空航天和其他运输设备",
    ),
    "C38": ("electrical machinery", "电气机械和器材制造业"),
    "C39": (
        "computers, communication, electronics",
        "计算机、通信和其他电子设备制造业",
    ),
    "C40": ("instruments & meters", "仪器仪表制造业"),
    "C41": ("other manufacturing", "其他制造业"),
    "C42": ("waste-resource utilisation", "废弃资源综合利用业"),
    "C43": ("repair", "金属制品、机械和设备修理业"),
}

UTILITIES: dict[str, tuple[str, str]] = {
    "D44": ("electricity and heat supply", "电力、热力生产和供应业"),
    "D45": ("gas supply", "燃气生产和供应业"),
    "D46": ("water supply", "水的生产和供应业"),
}


def sector_name(code: str) -> tuple[str, str]:
    """Return the English and the Chinese name of a sector code.

    Raises:
        KeyError: if the code is neither a division nor a utility.
    """
    return (DIVISIONS | UTILITIES)[code]
