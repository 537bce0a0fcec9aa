"""The published schema of Sparkplug B in the real protobuf runtime, to hold ours against."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_TYPES = {
    "double": 1, "float": 2, "uint64": 4, "bool": 8, "string": 9, "bytes": 12,
    "uint32": 13,
}  # fmt: skip
_MESSAGES: dict[str, list[tuple[int, str, str]]] = {
    "Payload": [
        (1, "uint64", "timestamp"), (2, "*Metric", "metrics"), (3, "uint64", "seq"),
        (4, "string", "uuid"), (5, "bytes", "body"),
    ],
    "MetaData": [(1, "bool", "is_multi_part"), (8, "string", "description")],
    "PropertyValue": [
        (1, "uint32", "type"), (2, "bool", "is_null"), (3, "uint32", "int_value"),
        (4, "uint64", "long_value"), (8, "string", "string_value"),
        (9, "PropertySet", "propertyset_value"),
    ],
    "PropertySet": [(1, "*string", "keys"), (2, "*PropertyValue", "values")],
    "Template": [(1, "string", "version"), (2, "*Metric", "metrics")],
    "Metric": [
        (1, "string", "name"), (2, "uint64", "alias"), (3, "uint64", "timestamp"),
        (4, "uint32", "datatype"), (5, "bool", "is_historical"),
        (6, "bool", "is_transient"), (7, "bool", "is_null"), (8, "MetaData", "metadata"),
        (9, "PropertySet", "properties"), (10, "uint32", "int_value"),
        (11, "uint64", "long_value"), (12, "float", "float_value"),
        (13, "double", "double_value"), (14, "bool", "boolean_value"),
        (15, "string", "string_value"), (16, "bytes", "bytes_value"),
        (18, "Template", "template_value"),
    ],
}  # fmt: skip


def _pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(
        name="sparkplug_b.proto", package="sparkplug", syntax="proto2"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, said, field in fields:
            label = 3 if said.startswith("*") else 1
            kind = said.removeprefix("*")
            if kind in _TYPES:
                message.field.add(
                    name=field, number=number, label=label, type=_TYPES[kind]
                )
            else:
                message.field.add(
                    name=field, number=number, label=label, type=11,
                    type_name=f".sparkplug.{kind}",
                )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


_DESCRIPTOR = _pool().FindMessageTypeByName("sparkplug.Payload")
RealPayload: Any = message_factory.GetMessageClass(_DESCRIPTOR)
