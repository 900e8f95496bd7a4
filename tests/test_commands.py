"""The command table, compared with a second copy of the PROTOCOL document's."""

from dataclasses import FrozenInstanceError

import pytest

from gearman.commands import (
    COMMAND_LIMIT,
    COMMANDS,
    FIRST_EXTENSION,
    STANDARD_LIMIT,
    Command,
    Row,
    Sender,
)

# Number, name, who may send it, arguments.
PROTOCOL = """
 1 CAN_DO                        W  function
 2 CANT_DO                       W  function
 3 RESET_ABILITIES               W
 4 PRE_SLEEP                     W
 6 NOOP                          J
 7 SUBMIT_JOB                    C  function unique workload
 8 JOB_CREATED                   J  handle
 9 GRAB_JOB                      W
10 NO_JOB                        J
11 JOB_ASSIGN                    J  handle function workload
12 WORK_STATUS                   WJ handle numerator denominator
13 WORK_COMPLETE                 WJ handle result
14 WORK_FAIL                     WJ handle
15 GET_STATUS                    C  handle
16 ECHO_REQ                      CW data
17 ECHO_RES                      J  data
18 SUBMIT_JOB_BG                 C  function unique workload
19 ERROR                         J  code text
20 STATUS_RES                    J  handle known running numerator denominator
21 SUBMIT_JOB_HIGH               C  function unique workload
22 SET_CLIENT_ID                 W  client_id
23 CAN_DO_TIMEOUT                W  function timeout
24 ALL_YOURS                     W
25 WORK_EXCEPTION                WJ handle data
26 OPTION_REQ                    CW option
27 OPTION_RES                    J  option
28 WORK_DATA                     WJ handle data
29 WORK_WARNING                  WJ handle data
30 GRAB_JOB_UNIQ                 W
31 JOB_ASSIGN_UNIQ               J  handle function unique workload
32 SUBMIT_JOB_HIGH_BG            C  function unique workload
33 SUBMIT_JOB_LOW                C  function unique workload
34 SUBMIT_JOB_LOW_BG             C  function unique workload
35 SUBMIT_JOB_SCHED              C  function unique minute hour day month weekday workload
36 SUBMIT_JOB_EPOCH              C  function unique epoch workload
37 SUBMIT_REDUCE_JOB             C  function unique reducer aggregator workload
38 SUBMIT_REDUCE_JOB_BACKGROUND  C  function unique reducer aggregator workload
39 GRAB_JOB_ALL                  W
40 JOB_ASSIGN_ALL                J  handle function unique reducer workload
41 GET_STATUS_UNIQUE             C  unique
42 STATUS_RES_UNIQUE             J  unique known running numerator denominator clients
256 SUBMIT_JOB_WITH              C  function unique options workload
257 GET_RESULT                   C  handle
258 RESULT_RES                   J  handle state data
259 WATCH_JOB                    C  handle
260 WORK_RETRY                   W  handle seconds reason
261 WORK_CANCEL                  J  handle
262 AUTH_REQ                     L  mechanism data
263 AUTH_RES                     L  state data
264 GRAB_JOBS                    L  function count ahead
265 JOB_TRACE                    J  handle trace
266 LINK_HELLO                   L  cluster id epoch address nonce version
267 LINK_JOB                     L  handle function unique reducer fields workload
268 LINK_READY                   L  function count unmet
269 LINK_PING                    L  counter
270 LINK_PONG                    L  counter
273 LINK_RUNNING                 L  shards
274 LINK_RUNS                    L  handles
276 LINK_SETTING                 L  kind record
277 LINK_TOKENS                  L  function running starts
278 LINK_GRANT                   L  function running starts
279 LINK_LEAVE                   L  handle
280 LINK_SUBMIT                  L  token function unique fields reducer options workload
281 LINK_CREATED                 L  token handle
282 LINK_REFUSED                 L  token code text
283 LINK_STARTED                 L  handle
284 LINK_ASK                     L  token what key
285 LINK_TELL                    L  token known data
286 LINK_BACK                    L  handle why
287 LINK_ADOPT                   L  handle
"""  # noqa: E501
SENDERS = {
    "C": Sender.CLIENT,
    "W": Sender.WORKER,
    "J": Sender.SERVER,
    "L": Sender.LINK,
}


def rows() -> dict[int, Row]:
    table = {}
    for line in PROTOCOL.strip().splitlines():
        number, name, letters, *arguments = line.split()
        senders = Sender(0)
        for letter in letters:
            senders |= SENDERS[letter]
        table[int(number)] = Row(Command[name], tuple(arguments), senders)
    return table


def test_the_table_is_that_of_the_protocol() -> None:
    assert rows() == COMMANDS


@pytest.mark.parametrize("row", COMMANDS.values(), ids=lambda row: row.command.name)
def test_a_row_is_found_by_its_number(row: Row) -> None:
    assert COMMANDS[row.command] is row


def test_every_command_but_text_has_a_row() -> None:
    assert set(Command) - {Command.TEXT} == set(COMMANDS)


def test_numbers_from_43_are_no_packet_types_but_for_our_own() -> None:
    assert (STANDARD_LIMIT, FIRST_EXTENSION, COMMAND_LIMIT) == (43, 256, 288)


def test_a_row_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        COMMANDS[1].arguments = ()  # type: ignore[misc]
