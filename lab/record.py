#!/usr/bin/env python3
"""Runs commands at a terminal and draws what was on it, as an SVG that moves: record.py PICTURE COMMAND...
A question is answered with yes. Waiting is shortened, nothing else is changed."""

import codecs
import fcntl
import html
import os
import pty
import re
import select
import struct
import sys
import termios
import time

COLUMNS, ROWS = 104, 30
WIDTH, HEIGHT, MARGIN = 7.8, 17, 14
FRAME = 0.12  # what happens within it is one picture
LONGEST_WAIT, AFTER_COMMAND, AT_THE_END = 0.8, 2.2, 5.0
SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])")
COLOURS = {"31": "r", "32": "g", "33": "y", "34": "b", "35": "m", "36": "c", "90": "d"}


class Screen:
    """As much of a terminal as the program uses: colours, moving the cursor, erasing, scrolling."""

    def __init__(self):
        self.lines, self.row, self.column, self.style, self.rest = [[]], 0, 0, (), ""

    def feed(self, text):
        text, self.rest = self.rest + text, ""
        while text:
            if text[0] == "\x1b":
                match = SEQUENCE.match(text)
                if not match:
                    if len(text) < 20:
                        self.rest = text
                        return
                    text = text[1:]
                    continue
                self.control(match[1], match[2])
                text = text[match.end() :]
                continue
            if text[0] == "\n":
                self.row += 1
            elif text[0] == "\r":
                self.column = 0
            elif text[0] == "\b":
                self.column = max(0, self.column - 1)
            elif text[0] >= " ":
                if self.column >= COLUMNS:
                    self.row, self.column = self.row + 1, 0
                line = self.line()
                line += [(" ", ())] * (self.column + 1 - len(line))
                line[self.column] = (text[0], self.style)
                self.column += 1
            text = text[1:]

    def line(self):
        while len(self.lines) <= self.row:
            self.lines.append([])
        return self.lines[self.row]

    def control(self, parameters, letter):
        numbers = [int(n) for n in parameters.split(";") if n.isdigit()]
        first = numbers[0] if numbers else 0
        if letter == "m":
            for n in parameters.split(";"):
                if n in ("", "0"):
                    self.style = ()
                elif n == "1":
                    self.style += ("s",)
                elif n == "2":
                    self.style += ("d",)
                elif n in COLOURS:
                    self.style += (COLOURS[n],)
                elif n in ("39", "22"):
                    self.style = ()
        elif letter == "A":
            self.row = max(0, self.row - (first or 1))
        elif letter == "B":
            self.row += first or 1
        elif letter == "C":
            self.column += first or 1
        elif letter == "D":
            self.column = max(0, self.column - (first or 1))
        elif letter == "G":
            self.column = max(0, (first or 1) - 1)
        elif letter == "K":
            line = self.line()
            del line[0 if first in (1, 2) else self.column :]
        elif letter == "J":
            del self.line()[self.column :]
            del self.lines[self.row + 1 :]

    def picture(self):
        """The rows that can be seen, each as runs of one style."""
        self.line()
        last = max(self.row, max((i for i, line in enumerate(self.lines) if line), default=0))
        shown = self.lines[max(0, last + 1 - ROWS) : last + 1]
        return [runs(line) for line in shown] + [()] * (ROWS - len(shown))


def runs(line):
    found = []
    for character, style in line:
        if found and found[-1][1] == style:
            found[-1][0].append(character)
        else:
            found.append(([character], style))
    found = [("".join(text), style) for text, style in found]
    while found and not found[-1][0].strip():
        found.pop()
    if found:
        found[-1] = (found[-1][0].rstrip(), found[-1][1])
    return tuple(found)


def record(commands):
    """[(second, picture)]: of all commands, one after the other on one screen."""
    frames, clock, screen = [], 0.0, Screen()

    def show(wait):
        nonlocal clock
        frames.append((clock, screen.picture()))
        clock += wait

    for command in commands:
        screen.feed("\x1b[1;32m$\x1b[0m ")
        show(0.5)
        for word in command.split(" "):
            screen.feed(word + " ")
            show(0.15)
        screen.feed("\r\n")
        for wait, text in typed(command):
            clock += min(wait, LONGEST_WAIT)
            screen.feed(text)
            frames.append((clock, screen.picture()))
        show(AFTER_COMMAND)
    return frames, clock + AT_THE_END


def typed(command):
    """What a command writes to its terminal: (seconds since the last, text)."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execvp("sh", ["sh", "-c", command])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    last, seen, answered = time.monotonic(), "", 0
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        ready, _, _ = select.select([terminal], [], [], 60)
        if not ready:
            sys.exit(f"{command}: nothing for a minute")
        time.sleep(FRAME)
        try:
            read = os.read(terminal, 1 << 20)
        except OSError:
            break
        text = decoder.decode(read)
        now = time.monotonic()
        yield now - last, text
        last, seen = now, seen + text
        if seen.count("[y/N]") > answered:
            answered += 1
            time.sleep(1)
            os.write(terminal, b"y\n")
    _, status = os.waitpid(pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 10, 11):
        sys.exit(f"{command} failed:\n{seen}")


def draw(frames, end):
    """Each row is drawn once for as long as it stays the same."""
    rows, shown = [], [((), 0.0)] * ROWS
    for at, picture in frames + [(end, [None] * ROWS)]:
        for i, row in enumerate(picture):
            before, since = shown[i]
            if row != before:
                if before and at > since:
                    rows.append((i, before, since, at))
                shown[i] = (row, at)
    width, height = COLUMNS * WIDTH + 2 * MARGIN, ROWS * HEIGHT + 2 * MARGIN
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" font-size="13" '
        'font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,DejaVu Sans Mono,monospace">',
        "<title>quorate, recorded in the lab</title><style>text{fill:#d8dee9;white-space:pre;visibility:hidden}.s{font-weight:bold}"
        ".d{fill:#7b8494}.r{fill:#f2777a}.g{fill:#8fc98f}.y{fill:#e5c07b}.b{fill:#6fb3e0}.m{fill:#c792ea}.c{fill:#62c4c3}</style>",
        f'<rect width="100%" height="100%" rx="8" fill="#1b2029"><animate id="t" attributeName="opacity" from="1" to="1" '
        f'begin="0;t.end" dur="{end:.1f}s"/></rect>',
    ]
    for i, row, since, until in rows:
        spans, column = "", 0
        for text, style in row:
            inside = html.escape(text, quote=False)
            kind = f' class="{" ".join(dict.fromkeys(style))}"' if style else ""
            spans += f'<tspan x="{MARGIN + column * WIDTH:.1f}"{kind}>{inside}</tspan>'
            column += len(text)
        out.append(
            f'<text y="{MARGIN + (i + 1) * HEIGHT - 4}">{spans}<set attributeName="visibility" to="visible" '
            f'begin="t.begin+{since:.2f}s" dur="{until - since:.2f}s"/></text>'
        )
    out.append("</svg>\n")
    return "\n".join(out)


def main():
    picture, commands = sys.argv[1], sys.argv[2:]
    frames, end = record(commands)
    with open(picture, "w", encoding="utf-8") as file:
        file.write(draw(frames, end))


main()
