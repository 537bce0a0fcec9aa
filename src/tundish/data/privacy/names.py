"""Columns about people: told by their title and by what stands in them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PERSON = (
    r"operator|employee|worker|inspector|technician|supervisor|foreman|staff|personnel|"
    r"driver|welder|assembler|assembled[ _-]?by|checked[ _-]?by|approved[ _-]?by|"
    r"signed[ _-]?by|mechanic|bediener|mitarbeiter|pr(?:ü|ue)fer|maschinenf(?:ü|ue)hrer|"
    r"schichtf(?:ü|ue)hrer|op(?:é|e)rateur|operario|operador|empleado"
)
_CODE = r"id|ids|no|nr|num|number|code|badge|card|nummer|personalnummer"
_PERSON_TITLE = re.compile(rf"^(the[ _-]?)?({_PERSON})([ _-]?names?)?$", re.IGNORECASE)
_NAME_TITLE = re.compile(
    r"^((first|last|full|given|family|middle|person|user|customer|contact)[ _-]?name|"
    r"surname|forename|vorname|nachname|pr(é|e)nom|apellidos?|"
    rf"({_PERSON})[ _-]?names?)$|姓名|操作员|操作工|检验员|质检员|员工姓名|负责人|班长",
    re.IGNORECASE,
)
_CODE_TITLE = re.compile(
    rf"^({_PERSON})[ _.-]?({_CODE})$|^(badge|personnel|staff|payroll)[ _-]?({_CODE})$|"
    r"^(personalnummer|matricule|org:resource)$|工号|员工编号|人员编号",
    re.IGNORECASE,
)
_MAY_NAME_TITLE = re.compile(
    r"^(names?|users?|author|responsible|contact|owner|assignee|signature|sign|initials|"
    r"(reported|created|entered|assigned|done|measured|released|verified)[ _-]?(by|to)|"
    r"verantwortlich|unterschrift|ersteller|responsable|firma del operador)$|签名|记录人",
    re.IGNORECASE,
)
_PHONE_TITLE = re.compile(
    r"^(tele)?phone([ _-]?(no|nr|number))?$|^mobile([ _-]?(phone|no|nr|number))?$|^(cell|tel|telefon|handy)(nummer)?$|"
    r"手机|电话",
    re.IGNORECASE,
)
_SECRET_TITLE = re.compile(
    r"^(password|passwd|pwd|passphrase|(api|secret|access|private)[ _-]?key|kennwort|passwort)$|"
    r"密码|口令",
    re.IGNORECASE,
)
_ATTRIBUTE_TITLE = re.compile(
    r"^(age|gender|sex|birth ?(date|day|year)?|date[ _-]?of[ _-]?birth|dob|zip([ _-]?code)?|"
    r"post ?code|plz|nationality|department|dept|abteilung|job([ _-]?title)?|position title|"
    r"seniority|shift|team|crew|schicht)$|性别|年龄|出生|部门|班组|班次|籍贯|民族",
    re.IGNORECASE,
)
_WESTERN = re.compile(
    r"^[^\W\d_][^\W\d_.'\u2019-]*[.'\u2019-]?[^\W\d_]*,?( [^\W\d_][^\W\d_.'\u2019-]*[.'\u2019-]?[^\W\d_]*\.?){1,3}$"
)
_CHINESE = re.compile(r"^[\u4e00-\u9fff]{2,4}$")
_CODE_CELL = re.compile(r"^[\w.#/ -]{1,20}$")
_NO_NAMES = frozenset(
    [
        "shift",
        "team",
        "crew",
        "group",
        "line",
        "machine",
        "operator",
        "worker",
        "employee",
        "auto",
        "automatic",
        "manual",
        "day",
        "night",
        "early",
        "late",
        "station",
        "robot",
        "cell",
        "plant",
        "unit",
        "system",
        "none",
        "unknown",
        "test",
        "default",
        "user",
        "left",
        "right",
        "gmbh",
        "ltd",
        "inc",
        "llc",
        "corp",
        "company",
        "energy",
        "power",
        "green",
        "wind",
        "green",
    ]
)
_SURNAMES = frozenset(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程"
    "苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵"
    "万钱严覃武戴莫孔向汤"
)
_GIVEN = frozenset(
    [
        "john",
        "james",
        "robert",
        "michael",
        "william",
        "david",
        "richard",
        "joseph",
        "thomas",
        "charles",
        "christopher",
        "daniel",
        "matthew",
        "anthony",
        "mark",
        "donald",
        "steven",
        "paul",
        "andrew",
        "joshua",
        "kenneth",
        "kevin",
        "brian",
        "george",
        "edward",
        "ronald",
        "timothy",
        "jason",
        "jeffrey",
        "ryan",
        "jacob",
        "gary",
        "nicholas",
        "eric",
        "jonathan",
        "stephen",
        "larry",
        "justin",
        "scott",
        "brandon",
        "benjamin",
        "samuel",
        "frank",
        "gregory",
        "raymond",
        "alexander",
        "patrick",
        "jack",
        "dennis",
        "jerry",
        "mary",
        "patricia",
        "jennifer",
        "linda",
        "elizabeth",
        "barbara",
        "susan",
        "jessica",
        "sarah",
        "karen",
        "nancy",
        "lisa",
        "betty",
        "margaret",
        "sandra",
        "ashley",
        "kimberly",
        "emily",
        "donna",
        "michelle",
        "carol",
        "amanda",
        "dorothy",
        "melissa",
        "deborah",
        "stephanie",
        "rebecca",
        "laura",
        "sharon",
        "cynthia",
        "kathleen",
        "amy",
        "angela",
        "anna",
        "ruth",
        "nicole",
        "helen",
        "maria",
        "hans",
        "peter",
        "wolfgang",
        "klaus",
        "juergen",
        "jürgen",
        "dieter",
        "manfred",
        "uwe",
        "günter",
        "guenter",
        "horst",
        "bernd",
        "frank",
        "andreas",
        "stefan",
        "thorsten",
        "torsten",
        "markus",
        "martin",
        "matthias",
        "sabine",
        "petra",
        "monika",
        "ursula",
        "claudia",
        "birgit",
        "andrea",
        "gabriele",
        "heike",
        "ute",
        "anja",
        "katrin",
        "jan",
        "lars",
        "sven",
        "jens",
        "felix",
        "lukas",
        "jonas",
        "jean",
        "pierre",
        "michel",
        "philippe",
        "alain",
        "jacques",
        "marie",
        "nathalie",
        "isabelle",
        "sophie",
        "luc",
        "marc",
        "antoine",
        "jose",
        "josé",
        "juan",
        "carlos",
        "luis",
        "antonio",
        "manuel",
        "francisco",
        "javier",
        "miguel",
        "carmen",
        "ana",
        "lucia",
        "lucía",
        "giovanni",
        "giuseppe",
        "marco",
        "luca",
        "francesco",
        "paolo",
        "mario",
        "giulia",
        "chiara",
        "luigi",
        "roberto",
        "anders",
        "erik",
        "karl",
        "ole",
        "bjorn",
        "björn",
        "ivan",
        "sergey",
        "sergei",
        "dmitry",
        "alexey",
        "nikolai",
        "natalia",
        "olga",
        "tatiana",
        "svetlana",
        "piotr",
        "krzysztof",
        "andrzej",
        "pawel",
        "paweł",
        "katarzyna",
        "agnieszka",
        "raj",
        "ravi",
        "sanjay",
        "vijay",
        "suresh",
        "ramesh",
        "rajesh",
        "amit",
        "anil",
        "sunil",
        "priya",
        "anita",
        "mohammed",
        "mohamed",
        "muhammad",
        "ahmed",
        "ali",
        "hassan",
        "fatima",
        "omar",
        "wei",
        "fang",
        "jing",
        "yan",
        "ming",
        "hong",
        "lei",
        "jun",
        "ping",
        "qiang",
        "hui",
        "xin",
        "yong",
        "tao",
        "chen",
        "wang",
        "zhang",
        "liu",
        "yang",
        "huang",
        "zhao",
        "zhou",
        "sun",
        "zhu",
        "guo",
        "lin",
        "luo",
        "zheng",
        "liang",
        "takashi",
        "hiroshi",
        "kenji",
        "yuki",
    ]
)


def about_person(title: str) -> bool:
    """Tell whether a title names a role of people, such as ``Operator``."""
    return bool(_PERSON_TITLE.match(title.strip()))


def says_name(title: str) -> bool:
    """Tell whether a title says that names of people stand below it."""
    return bool(_NAME_TITLE.search(title.strip()))


def may_name(title: str) -> bool:
    """Tell whether names of people may stand below a title, such as ``Reported by``."""
    return bool(_MAY_NAME_TITLE.search(title.strip()))


def says_code(title: str) -> bool:
    """Tell whether a title says that numbers of people stand below it."""
    return bool(_CODE_TITLE.search(title.strip()))


def says_phone(title: str) -> bool:
    """Tell whether a title says telephone."""
    return bool(_PHONE_TITLE.search(title.strip()))


def says_secret(title: str) -> bool:
    """Tell whether a title says password or key."""
    return bool(_SECRET_TITLE.search(title.strip()))


def says_attribute(title: str) -> bool:
    """Tell whether a title is something about a person: age, department, shift."""
    return bool(_ATTRIBUTE_TITLE.search(title.strip()))


def are_names(values: Sequence[str], *, announced: bool) -> bool:
    """Tell whether different cells of a column are names of people.

    Args:
        values: Different texts, at least one.
        announced: True if the title says names: then their shape is enough. Otherwise
            three in ten must hold a common given name or a Chinese surname.
    """
    shaped = [value for value in values if _shaped(value, announced=announced)]
    if len(shaped) < 0.6 * len(values) or (not announced and len(shaped) < 3):
        return False
    return announced or sum(map(_known, shaped)) >= 0.3 * len(shaped)


def are_codes(values: Sequence[str]) -> bool:
    """Tell whether different cells can be numbers or short marks of people."""
    fit = [v for v in values if _CODE_CELL.match(v) and any(c.isalnum() for c in v)]
    return len(values) >= 2 and len(fit) >= 0.8 * len(values)


def _shaped(value: str, *, announced: bool) -> bool:
    text = value.strip()
    if _CHINESE.match(text):
        return text[0] in _SURNAMES
    words = {word.strip(".,").lower() for word in text.split()}
    if words & _NO_NAMES or len(text) > 40:
        return False
    if announced and len(words) == 1:
        return text.isalpha() and text[:1].isupper() and len(text) >= 3
    return bool(_WESTERN.match(text)) and text[:1].isupper()


def _known(value: str) -> bool:
    if _CHINESE.match(value):
        return True
    return any(part.strip(".,").lower() in _GIVEN for part in value.split())
