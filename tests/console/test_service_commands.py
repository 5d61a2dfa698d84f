"""settle service and settle deposit, up to the final statement."""

from __future__ import annotations

from pathlib import Path

from tests.console.test_commands import Settle, settle

__all__ = ["settle"]

EXAMPLE = str(Path(__file__).parents[2] / "docs/examples/entry-and-exit.jsonl")


def test_a_service_is_entered_and_left_from_the_command_line(settle: Settle) -> None:
    assert "recorded 11  duplicate 0  suspended 1" in settle("ingest", EXAMPLE).out
    (shown,) = settle("service", "list", "--partner", "P-entry", "--json").json
    assert (shown["state"], shown["open"]) == (
        "live",
        [["trial", "2026-10-05", "2026-10-15"], ["live", "2026-10-15", None]],
    )
    # 30% of 100 on trial and 50% of 200 live, held for 40 days.
    (held,) = settle("statement", "C-entry", "2026-10", "--json").json["balances"]
    assert held["amount"] == "130"
    for command in (
        "apply S-more --contract C-entry --name More --product game",
        "review S-more --reject --by Wu --reason none",
        "propose-suspension S-entry --by Li --reason veto --cause agents@2026-10",
        "reject-suspension S-entry --by Wu --reason mended",
        "suspend S-entry --day 2026-11-04 --by Wu --reason again",
        "resume S-entry --day 2026-11-06 --by Wu",
        "request-exit S-entry --day 2026-11-12 --by Wu --reason sold",
        "clear S-entry --day 2026-11-15 --by Wu",
    ):
        ran = settle("service", *command.split(), "--time", "2026-11-20T09:00:00Z")
        assert ran.status == 0, (command, ran.err)
    refused = settle("service", "trial", "S-entry", "--day", "2026-11-20", "--by", "Wu")
    assert refused.status == 1
    assert "is clearing, so service.trial_started does not apply; from there service.exited is possible" in refused.err
    assert settle("deposit", "return", "C-entry", "100", "--currency", "CNY", "--by", "Wu").status == 0
    assert settle("service", "exit", "S-entry", "--day", "2026-11-20", "--by", "Wu").status == 0
    assert settle("deposit", "show", "C-entry", "--json").json["held"] == "400"
    final = settle("statement", "C-entry", "2026-11")
    assert "final: the last service was left on 2026-11-20" in final.out
    # 130 of October, 50% of the 80 of 3 November, and what is left of the deposit.
    assert "570.00 CNY" in final.out
    assert (
        "there is no service S-none" in settle("service", "launch", "S-none", "--day", "2026-11-20", "--by", "Wu").err
    )
    assert "contract C-none is not signed" in settle("deposit", "pay", "C-none", "1", "--currency", "CNY").err
    over = settle("service", "launch", "S-entry", "--day", "2026-12-01", "--by", "Wu")
    assert "nothing can follow from there" in over.err
