"""Which test shows what a plant does to a line, by protocol, or why it cannot happen.

``python -m tests.line.chaos_matrix`` writes the table into docs/explain/line-chaos.md;
``test_chaos_matrix.py`` holds that each test exists and that the page is as it should be.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explain/line-chaos.md"
BEGIN, END = "<!-- matrix: tests/line/chaos_matrix.py -->", "<!-- end of matrix -->"
PROTOCOLS: Final = (
    "OPC UA",
    "MQTT 3.1.1",
    "MQTT 5",
    "Sparkplug B",
    "Modbus TCP",
    "files",
    "HTTP, asked",
    "HTTP, posted",
    "Kafka",
)

_UA, _MQTT, _BUS = "test_ua_chaos.py", "test_mqtt_chaos.py", "test_modbus_chaos.py"
_HTTP, _POST = "test_http_chaos.py", "test_http_receive.py"
_KAFKA = "test_kafka_chaos.py"
_NO_LINK = "a folder has no link of its own; one that goes away is the row above"
_OF_THE_DISK = "the disk's own matter"


def _mqtt(name: str) -> tuple[str, str, str]:
    return (f"{_MQTT}::{name}",) * 3


CASES: Final[dict[str, tuple[str, ...]]] = {
    "server or broker restarts": (
        f"{_UA}::test_a_server_that_restarts_is_read_on_and_the_time_without_it_is_a_gap",
        *_mqtt("test_a_broker_that_restarts_is_read_on"),
        f"{_BUS}::test_a_device_that_is_killed_and_starts_again_is_read_on_with_a_gap",
        "test_files.py::test_a_folder_that_goes_away_is_a_lost_link_and_is_found_again",
        f"{_HTTP}::test_a_server_that_restarts_is_read_on",
        "the server is the line: the last row of this table",
        f"{_KAFKA}::test_a_broker_that_restarts_is_read_on",
    ),
    "cable out for ten minutes": (
        f"{_UA}::test_a_cable_out_for_long_loses_nothing_that_history_has",
        *_mqtt("test_a_cable_out_for_long_loses_nothing_that_the_broker_keeps"),
        f"{_BUS}::test_a_cable_out_for_long_is_a_gap_and_nothing_is_invented",
        _NO_LINK,
        f"{_HTTP}::test_a_cable_out_for_longer_than_an_answer_reaches_back_is_a_gap",
        f"{_HTTP}::test_a_cable_out_loses_nothing_that_the_device_keeps",
        f"{_KAFKA}::test_a_cable_out_for_long_loses_nothing_that_the_brokers_keep",
    ),
    "5 % loss, 20 ms of delay": (
        f"{_UA}::test_five_percent_loss_and_delay_lose_nothing",
        *_mqtt("test_five_percent_of_packets_lost_and_delay_lose_nothing"),
        f"{_BUS}::test_five_percent_of_packets_lost_and_delay_invent_nothing",
        _NO_LINK,
        f"{_HTTP}::test_five_percent_of_packets_lost_and_delay_lose_nothing",
        "the same TCP; a door opens on loopback only without a certificate",
        "not tried: the brokers here tell addresses of loopback only",
    ),
    "half-open link": (
        f"{_UA}::test_a_half_open_link_turns_red_and_is_left",
        *_mqtt("test_a_half_open_link_turns_red_and_is_left"),
        f"{_BUS}::test_a_half_open_link_turns_red_and_is_left",
        _NO_LINK,
        f"{_HTTP}::test_a_half_open_link_turns_red_and_is_left",
        f"{_HTTP}::test_answers_that_do_not_come_back_double_nothing",
        f"{_KAFKA}::test_a_half_open_link_turns_red_and_is_left",
    ),
    "connections dropped eight times": (
        f"{_UA}::test_connections_dropped_again_and_again_lose_nothing",
        *_mqtt("test_connections_dropped_again_and_again_lose_nothing"),
        f"{_BUS}::test_connections_dropped_again_and_again_give_gaps_and_no_wrong_number",
        _NO_LINK,
        f"{_HTTP}::test_connections_dropped_again_and_again_lose_nothing",
        f"{_HTTP}::test_connections_dropped_again_and_again_lose_nothing_that_was_posted",
        f"{_KAFKA}::test_connections_dropped_again_and_again_lose_nothing",
    ),
    "our clock jumps": (
        "test_clocks.py::test_the_clock_that_jumped_is_the_one_that_is_told",
        *_mqtt("test_our_clock_that_jumps_is_shown_and_loses_nothing"),
        f"{_BUS}::test_our_clock_set_forward_and_back_is_a_gap_and_never_an_older_answer",
        "test_files.py::test_files_come_in_the_order_asked_for_and_times_rise",
        f"{_HTTP}::test_our_clock_that_jumps_is_shown_and_loses_nothing",
        f"{_HTTP}::test_our_clock_that_jumps_is_shown_and_loses_nothing",
        f"{_KAFKA}::test_our_clock_that_jumps_is_shown_and_loses_nothing",
    ),
    "the source's clock jumps": (
        f"{_UA}::test_a_clock_that_jumps_is_told_and_the_state_is_true",
        "not yet tried in real time",
        "not yet tried in real time",
        "test_sparkplug_edge.py::test_without_a_believable_time_the_receipt_counts_and_the_value_is_uncertain",
        "Modbus has no time of its own",
        "not yet tried",
        f"{_HTTP}::test_a_source_whose_clock_is_set_back_is_stale_and_doubles_nothing",
        f"{_HTTP}::test_a_source_whose_clock_is_set_back_is_stale_and_doubles_nothing",
        "not yet tried",
    ),
    "bad status": (
        f"{_UA}::test_a_value_that_is_none_never_becomes_a_number",
        f"{_MQTT}::test_a_value_that_is_none_never_becomes_a_number",
        f"{_MQTT}::test_a_value_that_is_none_never_becomes_a_number",
        "test_sparkplug_edge.py::test_the_quality_property_counts",
        f"{_BUS}::test_a_register_that_is_refused_is_bad_by_itself_and_heals",
        "test_files.py::test_what_cannot_be_used_is_a_bad_sample_and_is_put_aside",
        f"{_HTTP}::test_an_answer_without_rows_is_bad_at_once_and_then_stale",
        f"{_HTTP}::test_a_posted_value_that_is_none_never_becomes_a_number",
        f"{_KAFKA}::test_a_value_that_is_none_never_becomes_a_number",
    ),
    "tag missing": (
        f"{_UA}::test_a_node_that_vanishes_is_bad_by_itself_and_heals_by_itself",
        *_mqtt("test_a_tag_that_is_not_sent_any_more_turns_stale_and_heals_by_itself"),
        f"{_BUS}::test_a_register_that_is_refused_is_bad_by_itself_and_heals",
        "test_files.py::test_a_cell_that_is_no_number_is_a_bad_sample_and_the_row_goes_on",
        f"{_HTTP}::test_a_value_that_is_none_never_becomes_a_number",
        f"{_HTTP}::test_a_posted_value_that_is_none_never_becomes_a_number",
        f"{_KAFKA}::test_a_tag_that_is_not_sent_any_more_turns_stale_and_heals_by_itself",
    ),
    "type changes": (
        f"{_UA}::test_a_value_that_is_none_never_becomes_a_number",
        *_mqtt("test_a_value_that_is_none_never_becomes_a_number"),
        "registers have no type: any 16 bits are a number",
        "test_files.py::test_texts_are_never_turned_into_numbers",
        f"{_HTTP}::test_a_value_that_is_none_never_becomes_a_number",
        f"{_HTTP}::test_a_posted_value_that_is_none_never_becomes_a_number",
        f"{_KAFKA}::test_a_value_that_is_none_never_becomes_a_number",
    ),
    "5,000 tags": (
        f"{_UA}::test_thousands_of_tags_come_through_a_server_that_takes_few_at_once",
        "the wire of MQTT 5 but for CONNECT",
        f"{_MQTT}::test_five_thousand_tags_come",
        f"{_MQTT}::test_five_thousand_tags_come",
        f"{_BUS}::test_five_thousand_tags_come",
        "not yet tried",
        f"{_HTTP}::test_five_thousand_tags_come",
        f"{_HTTP}::test_five_thousand_tags_come",
        f"{_KAFKA}::test_five_thousand_tags_come",
    ),
    "encrypted session": (
        f"{_UA}::test_a_secured_link_that_is_cut_is_secured_again",
        "test_mqtt_security.py::test_samples_come_over_tls",
        "test_mqtt_security.py::test_samples_come_over_tls",
        "the link of MQTT 5",
        "test_modbus.py::test_over_tls_both_sides_show_who_they_are",
        _OF_THE_DISK,
        "test_http.py::test_over_tls_only_the_pinned_authority_counts",
        f"{_POST}::test_over_tls_both_sides_show_who_they_are",
        "test_kafka_security.py::test_over_tls_both_sides_show_who_they_are",
    ),
    "disk full": (
        f"{_UA}::test_a_full_disk_ends_the_line_and_the_next_start_goes_on",
        *(f"{_MQTT}::test_a_disk_that_is_really_full_ends_the_line_and_the_next_start_goes_on",) * 2,
        "the engine's matter, not the source's",
        "the engine's matter, not the source's",
        "test_files.py::test_a_disk_that_runs_full_makes_the_tags_uncertain",
        f"{_HTTP}::test_a_disk_that_is_really_full_ends_the_line_and_the_next_start_goes_on",
        f"{_HTTP}::test_a_disk_that_is_really_full_ends_the_line_and_the_next_start_goes_on",
        f"{_KAFKA}::test_a_disk_that_is_really_full_ends_the_line_and_the_next_start_goes_on",
    ),
    "kill -9 at random moments": (
        "test_ua_kill.py::test_a_line_killed_at_random_moments_loses_nothing_and_doubles_nothing",
        "the session of MQTT 5 but for its expiry",
        "test_mqtt_kill.py::test_a_line_killed_at_random_moments_goes_on_where_it_was",
        "test_chaos_kill.py::test_a_line_killed_at_random_moments_invents_and_doubles_nothing",
        "test_chaos_kill.py::test_a_line_killed_at_random_moments_invents_and_doubles_nothing",
        "test_files.py::test_kill_9_at_random_moments_neither_loses_nor_doubles_a_file",
        "nothing is acknowledged: the next answer is read as the first",
        "test_http_kill.py::test_a_line_killed_while_posts_arrive_keeps_each_row_it_acknowledged_once",
        "test_kafka_kill.py::test_a_line_killed_at_random_moments_goes_on_where_it_was",
    ),
}  # fmt: skip


def named_in(row: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return file and name of each test in a row, once."""
    found = [tuple(one.split("::")) for one in row if "::" in one]
    return list(dict.fromkeys((file, name) for file, name in found))


def table() -> str:
    """Return the page's part: a sentence that counts, and the table."""
    held = sum("::" in one for row in CASES.values() for one in row)
    lines = [
        BEGIN,
        f"{held} of {len(CASES) * len(PROTOCOLS)} places are held by a test; in the others stands why not.",
        "",
        f"| what happens | {' | '.join(PROTOCOLS)} |",
        f"|{'---|' * (len(PROTOCOLS) + 1)}",
    ]
    lines += [
        f"| {case} | {' | '.join(_cell(one) for one in row)} |"
        for case, row in CASES.items()
    ]
    return "\n".join([*lines, END])


def written(page: str) -> str:
    """Return the page with the present table in it."""
    pattern = f"{re.escape(BEGIN)}.*{re.escape(END)}"
    return re.sub(pattern, lambda _: table(), page, flags=re.DOTALL)


def _cell(one: str) -> str:
    if "::" not in one:
        return one
    file, name = one.split("::")
    return f'[test](../../tests/line/{file} "{name}")'


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
