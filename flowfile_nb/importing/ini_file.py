"""Sections of an ini file, such as JupySQL's `connections.ini`, as configparser reads them."""

from __future__ import annotations

import configparser
import re

from flowfile_nb.importing.fields import Document, Field, Place, SyntaxAtError, is_key

_SECTION = re.compile(r"\[(?P<name>.+)\]")
_OPTION = re.compile(r"(?P<key>[^=:\n]*?)[ \t]*[=:][ \t]*(?P<value>[^\n]*)")
# No section can be called that; so `[DEFAULT]` is read as one like the others.
_NO_DEFAULT = "\n"


def read_ini(text: str) -> Document:
    """
    Return the options of each section; `[DEFAULT]` is a section of its own.

    JupySQL reads with interpolation: `%%` is one `%`. A value with a single `%` (which JupySQL refuses) or with `%(name)s`
    stays as it is written.

    Raises:
        SyntaxAtError: If configparser refuses the text.
    """
    parser = configparser.ConfigParser(interpolation=None, default_section=_NO_DEFAULT)
    try:
        parser.read_string(text)
    except configparser.MissingSectionHeaderError as error:
        raise SyntaxAtError(error.lineno, "a section such as [prod] has to come first") from None
    except configparser.ParsingError as error:
        raise SyntaxAtError(error.errors[0][0]) from None
    except (configparser.DuplicateSectionError, configparser.DuplicateOptionError) as error:
        raise SyntaxAtError(error.lineno, "a section or a key of it stands there for the second time") from None
    except AttributeError:
        # CPython before 3.13 fails on a continued value below a key that is none.
        raise SyntaxAtError(None) from None
    located = _located(text, parser)
    document = Document([], [])
    torn = False
    for section in parser.sections():
        for key, written in parser.items(section):
            line, place = located.get((section, key), (0, None))
            ends = "-----END " in written or "-----END " in key
            if torn or not is_key(key):
                torn = torn and not ends
                document.unread.append(line)
                continue
            torn = written.startswith("-----BEGIN ") and not ends
            if torn:
                document.unread.append(line)
            elif written:
                document.fields.append(Field((section, key), _unescaped(written), line, place))
    return document


def _unescaped(written: str) -> str:
    return written.replace("%%", "%") if re.fullmatch(r"(?:[^%]|%%)*", written) else written


def _escape(value: str) -> str:
    return value.replace("%", "%%")


def _located(text: str, parser: configparser.ConfigParser) -> dict[tuple[str, str], tuple[int, Place | None]]:
    """Return line and place of each option; no place where that is not surely what configparser took for the value."""
    found: dict[tuple[str, str], tuple[int, Place | None]] = {}
    section = ""
    at: tuple[str, str] | None = None
    key_indent, offset, start, number = 0, 0, 0, 0
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        indent = len(line) - len(line.lstrip())
        if stripped and not stripped.startswith(("#", ";")):
            header, option = _SECTION.match(stripped), _OPTION.match(stripped)
            if at is not None and indent > key_indent:
                found[at] = (found[at][0], Place(start, offset + len(line.rstrip()), _escape))
            elif header:
                section, at, key_indent = header["name"], None, indent
            elif option:
                at, key_indent = (section, parser.optionxform(option["key"].rstrip())), indent
                start = offset + indent + option.start("value")
                found[at] = (number, Place(start, offset + len(line.rstrip()), _escape))
        offset += len(line) + 1
    return {at: (line, place if _agrees(text, place, parser, at) else None) for at, (line, place) in found.items()}


def _agrees(text: str, place: Place | None, parser: configparser.ConfigParser, at: tuple[str, str]) -> bool:
    if place is None or not parser.has_option(*at):
        return False
    lines = [line.strip() for line in text[place.start : place.stop].split("\n")]
    return [line for line in lines if line and not line.startswith(("#", ";"))] == [
        line for line in parser.get(*at).split("\n") if line
    ]
