"""Keys by their names, as the DevTools protocol wants them struck.

In: "a", "Enter", "ArrowLeft", "Control+Shift+k". Out: the commands for pressing and letting go. Names are those of
KeyboardEvent.key; a plain character stands for itself.
"""

from __future__ import annotations

from typing import Any

from artifactscoder.errors import UserError

MODIFIERS = {"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}
NAMED = {
    "Backspace": 8, "Tab": 9, "Enter": 13, "Escape": 27, "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36,
    "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Insert": 45, "Delete": 46,
    **{f"F{number}": 111 + number for number in range(1, 13)},
    "Shift": 16, "Control": 17, "Alt": 18, "Meta": 91,
}  # fmt: skip
CODES = {" ": "Space", "Shift": "ShiftLeft", "Control": "ControlLeft", "Alt": "AltLeft", "Meta": "MetaLeft"}

Stroke = list[tuple[str, dict[str, Any]]]
"""Method and parameters of each command."""


def stroke(name: str) -> Stroke:
    """The commands for one key with its modifiers; UserError for a key that there is not."""
    *held, key = name.split("+") if len(name) > 1 and not name.endswith("+") else [name]
    if name.endswith("++"):
        held, key = name[:-2].split("+"), "+"
    key = {"Space": " ", "\n": "Enter", "\t": "Tab"}.get(key, key)
    unknown = [word for word in held if word not in MODIFIERS]
    if unknown or (key not in NAMED and len(key) != 1):
        raise UserError(
            f"There is no key {name!r}: use a character or one of {', '.join(NAMED)}, after Control+, Shift+, Alt+ "
            "or Meta+ if need be"
        )
    bits = sum(MODIFIERS[word] for word in set(held))
    if len(key) == 1 and not key.isascii():
        return [("Input.insertText", {"text": key})]
    event: dict[str, Any] = {"key": key, "code": _code(key), "windowsVirtualKeyCode": _number(key), "modifiers": bits}
    text = "\r" if key == "Enter" else key if len(key) == 1 else ""
    if text and not bits & ~MODIFIERS["Shift"]:
        event["text"] = text.upper() if bits else text
    return [
        ("Input.dispatchKeyEvent", {"type": "keyDown" if "text" in event else "rawKeyDown", **event}),
        ("Input.dispatchKeyEvent", {"type": "keyUp", **{k: v for k, v in event.items() if k != "text"}}),
    ]


def _code(key: str) -> str:
    """Where the key is on a keyboard of the United States."""
    if key.isalpha() and len(key) == 1:
        return f"Key{key.upper()}"
    return f"Digit{key}" if key.isdigit() else CODES.get(key, key if len(key) > 1 else "")


def _number(key: str) -> int:
    if key in NAMED:
        return NAMED[key]
    return ord(key.upper()) if key.isalnum() or key == " " else 0
