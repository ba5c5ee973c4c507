"""One definition of a connection: what `%%connect` describes, or what can be opened by name (`saved`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowfile_nb.connections.file_paths import anchored, located
from flowfile_nb.connections.outline import Outline, outline_of, shown
from flowfile_nb.connections.spec import UrlSpec, read_spec

if TYPE_CHECKING:
    from flowfile_nb.backend import FlowfileConnection, TeamConnection


class Definition:
    """
    A connection that can be opened by name.

    Args:
        name: The name.
        description: What `open_connection` takes; empty for Flowfile's.
        origin: The path of the project's file that holds it; empty for a saved one.
        flowfiles: What Flowfile has saved, where it is one of its own.
        team: What a team's broker tells of it, where it is kept there.
    """

    __slots__ = ("description", "flowfiles", "name", "origin", "team")

    def __init__(
        self,
        name: str,
        description: str | Mapping[str, Any],
        origin: str = "",
        flowfiles: FlowfileConnection | None = None,
        team: TeamConnection | None = None,
    ) -> None:
        self.name = name
        self.description = description
        self.origin = origin
        self.flowfiles = flowfiles
        self.team = team

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Definition):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    # A description may be a mapping.
    __hash__ = None  # type: ignore[assignment]

    @property
    def shared(self) -> bool:
        """Whether it is somebody else's, and is opened at the broker."""
        return self.team is not None and not self.team.own

    @property
    def located(self) -> Definition:
        """The same with paths that begin at the root: those of a project's file are relative to that."""
        if not self.origin or self.outline.problem:
            return self
        path = Path(self.origin)
        return Definition(self.name, anchored(self.description, path.parent), self.origin, self.flowfiles, self.team)

    @property
    def outline(self) -> Outline:
        """What can be told of it."""
        if self.flowfiles is not None:
            from flowfile_nb.connections import flowfile

            secrets = tuple(dict.fromkeys(filter(None, self.flowfiles.secrets.values())))
            return Outline(shown(flowfile.scheme_of(self.flowfiles)), shown(flowfile.target_of(self.flowfiles)), secrets)
        if self.team is not None and self.shared:
            return Outline(shown(self.team.kind), shown(self.team.target), self.team.secrets)
        return outline_of(self.description)

    @property
    def text(self) -> str:
        """The body of a `%%connect` cell that says the same."""
        if isinstance(self.description, str):
            return self.description
        # Imported here, as below: a cell says it as text, and needs no digest.
        from flowfile_nb.connections.toml_text import toml_text

        return toml_text(self.description).rstrip("\n")

    @property
    def digest(self) -> str:
        """What differs when it says anything else; empty for a saved one, which nobody else has written."""
        if not self.origin:
            return ""
        import hashlib
        import json

        said = json.dumps(self.description, sort_keys=True, default=str)
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


def said_by(definition: Definition, folder: Path) -> object:
    """
    Return what is another where a definition says something else; a comment is nothing.

    Args:
        definition: Any.
        folder: Where the relative paths begin of one that is not saved.

    Raises:
        ConnectionSpecError: If it cannot be understood.
    """
    if definition.flowfiles is not None:
        return definition.flowfiles
    if definition.shared:
        outline = definition.outline
        return outline.kind, outline.target, outline.secrets
    spec = located(read_spec(definition.located.description), folder)
    return spec.marked.restore(spec.marked.text) if isinstance(spec, UrlSpec) else spec.parts
