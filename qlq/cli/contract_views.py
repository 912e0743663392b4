"""How documents of contracts look to people."""

from __future__ import annotations

import json
from typing import Any

from qlq.cli import console, purse

NAMES_WIDTH = 24
TEXT_WIDTH = 60
ID_WIDTH = 20
"""Characters of an id within a line of values; documents have all of it."""


def show_outcome(told: dict[str, Any]) -> None:
    """What came of a deploy or a call, one field a line; events after it."""
    shown = {
        name: value
        for name, value in purse.for_people(told).items()
        if name not in ("events", "failure") and value is not None
    }
    if "return" in shown and not isinstance(shown["return"], str):
        shown["return"] = json.dumps(shown["return"])
    console.table(shown)
    for event in told["events"]:
        console.out().print(event_line(event), markup=False)


def failure_lines(told: dict[str, Any]) -> str:
    """Why something failed, its line, and the values there."""
    why = told["failure"]
    place = ""
    if why["line"] is not None:
        function = f".{why['function']}" if why["function"] else ""
        place = f" in {why['contract']}{function}, line {why['line']}"
    lines = [f"error: {told['status']}{place}: {why['message']}"]
    if why["text"]:
        lines.append(f"    {why['text']}")
    lines += [f"    {name} = {_value(value)}" for name, value in why["values"].items()]
    if told["tx_id"] is None:
        lines.append("nothing was sent")
    else:
        lines.append(
            f"it is in block {told['height']} and has changed nothing but its sender's nonce and "
            f"fee: qlq contract replay {told['tx_id']}"
        )
    return "\n".join(lines)


def show_check(found: dict[str, Any]) -> None:
    """The compiler's errors as it prints them, or what a source compiles to."""
    for error in found["errors"]:
        console.out().print(error["text"], markup=False)
    for remark in found["remarks"]:
        place = f"{found['file']}:{remark['line']}:{remark['column']}"
        console.out().print(f"{place}: remark: {remark['message']}", markup=False)
    if found["valid"]:
        console.out().print(
            f"{found['name']}: {found['source_bytes']} bytes of source, "
            f"{found['wasm_bytes']} bytes of WebAssembly, code hash {found['code_hash']}"
        )


def show_events(found: dict[str, Any]) -> None:
    """One event a line."""
    if not found["events"]:
        console.out().print("No events.")
    for event in found["events"]:
        line = f"{event['height']:>8}  {event['tx_id'][:16]}  {event_line(event)}"
        console.out().print(line, markup=False)


def event_line(event: dict[str, Any]) -> str:
    """An event with its values, as in a source."""
    if event["values"] is None:
        return f"{event['name']} {event['data']}"
    values = ", ".join(f"{name}={_value(value)}" for name, value in event["values"].items())
    return f"{event['name']}({values})"


def show_replay(found: dict[str, Any]) -> None:
    """Each statement with the gas that it took, its line, and the values before it."""
    out = console.out()
    for call in found["calls"]:
        arguments = ", ".join(f"{k}={_value(v)}" for k, v in call["arguments"].items())
        out.print(f"{call['name']}.{call['method']}({arguments})", markup=False)
        steps = call["steps"]
        left = [step["gas_left"] for step in steps] + [call["gas_limit"] - call["gas_used"]]
        for step, after in zip(steps, left[1:], strict=True):
            out.print(_step_line(step, step["gas_left"] - after), markup=False)
        if call["steps_left_out"]:
            out.print(f"  … {call['steps_left_out']} statements before the last one are left out")
        result = "" if call["return"] is None else f" returns {_value(call['return'])}"
        verdict = "both back-ends agree" if call["agrees"] else "THE BACK-ENDS DISAGREE"
        out.print(f"{call['status']}{result}, gas {call['gas_used']}; {verdict}", markup=False)
        if call["failure"] is not None:
            out.print(f"{call['failure']['reason']}: {call['failure']['message']}", markup=False)
    receipt = "the block's" if found["receipt_matches"] else "NOT THE BLOCK'S"
    out.print(f"block {found['height']}, transaction {found['index']}: the receipt is {receipt}")


def _step_line(step: dict[str, Any], gas: int) -> str:
    place = f"{step['contract']}.{step['function']}:{step['line']}"
    values = ", ".join(f"{name}={_short(value)}" for name, value in step["values"].items())
    text = (step["text"] or "")[:TEXT_WIDTH]
    return f"  {gas:>8}  {place:{NAMES_WIDTH}}  {text:{TEXT_WIDTH}}  {values}".rstrip()


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _short(value: Any) -> str:
    text = _value(value)
    is_id = isinstance(value, str) and len(text) > ID_WIDTH
    return f"{text[:ID_WIDTH]}…" if is_id else text
