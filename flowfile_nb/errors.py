"""
Every exception this package raises on purpose.

    FlowfileNbError                 message + hint; shown in a notebook as two lines
    ├── UsageError                  the line or the call is not of the right form
    │   ├── ValueOnLineError        a value was typed where only names belong
    │   ├── ValueInCellError        a cell holds a stored value in clear, and the setting refuses that
    │   ├── InvalidNameError        a name no secret may have
    │   ├── InvalidValueError       a value no secret may have
    │   ├── SecretFormatError       a Secret was put into text: f"{pw}", "…" + pw
    │   └── NoSuchAttributeError    (also an AttributeError) secrets.prod_pw, or prod_pw.value
    ├── NoSuchSecretError           (also a KeyError) no secret of that name
    ├── SecretExistsError           the name is taken, and --replace was not said
    ├── NoPromptError               a value is needed and nobody can be asked
    ├── StoreError                  the files on disk
    │   ├── UnsafePermissionsError  a key file that others can read
    │   ├── MasterKeyError          the key is missing, damaged or not a key
    │   ├── WrongKeyError           the key is fine, but the store was written with another
    │   └── DamagedSecretError      one row that no key opens
    ├── NothingToUndoError          no previous value is kept of that secret
    ├── BackupError                 the file of a backup
    │   ├── ForeignBackupError      it is something else
    │   ├── DamagedBackupError      it was cut short or altered
    │   ├── NewerBackupError        a newer version wrote it
    │   └── WrongPassphraseError    it is whole, and the passphrase is not its own
    ├── ConnectionSpecError         the body of %%connect
    │   ├── ReferenceSyntaxError    a `%secret` or `${secret:…}` that cannot be read
    │   ├── LiteralPasswordError    a password in clear
    │   └── UnknownSchemeError      no family of connections for that URL or type
    ├── ImportSourceError           what `%secret import` was pointed at cannot be read, understood or rewritten
    ├── MissingDriverError          (also an ImportError) what to install
    ├── ConnectionFailedError       the other side said no, or said nothing
    ├── BrokerError                 the team's broker does not answer, or cannot do its work
    ├── NotAllowedError             the broker knows who calls, and refuses; or does not know who calls
    │   ├── SharedSecretError       the value of a shared secret is not shown to those it is shared with
    │   ├── WriteShareError         sharing for writing needs a clear yes
    │   ├── BindingError            a credential was asked for a target that its owner has not fixed
    │   └── RevokedError            what was allowed is not any more; a running query was ended
    ├── NoSuchConnectionError       (also a KeyError) no connection of that name that you may use
    ├── NoSuchGroupError            (also a KeyError) no group of that name that you may see
    ├── GroupError                  a change that a group's rules do not allow: its last owner, a name twice
    ├── LimitError                  more memory, time, rows, sessions or room than the broker gives
    ├── QueryError                  the database did not accept a statement, or the broker does not
    ├── StorageError                (also an OSError) a storage, or the broker before it, did not do it
    │   ├── NoSuchObjectError       (also a FileNotFoundError) there is nothing of that name
    │   └── ObjectRefusedError      (also a PermissionError) not within what is shared, or not for writing
    └── UnsupportedPlatformError    browser-only Python

No message and no hint ever holds a value, a key, a token or a DSN.
"""

from __future__ import annotations


class FlowfileNbError(Exception):
    """
    Base of all errors here: what happened, and what to do next.

    Args:
        message: What happened, one line.
        hint: The next move, one line; may be empty.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook prints: the two lines, no frames, no locals (IPython's protocol)."""
        # As one item: what IPython puts between items depends on %xmode.
        return [f"{type(self).__name__}: {self}"]


class UsageError(FlowfileNbError):
    """The line or the call is not of the right form."""


class ValueOnLineError(UsageError):
    """A value was typed on a magic line; it was not stored and not used."""


class ValueInCellError(UsageError):
    """A cell holds the value of a stored secret in clear; it was not run."""


class InvalidNameError(UsageError, ValueError):
    """A name no secret may have: empty, or with control characters."""


class InvalidValueError(UsageError, ValueError):
    """A value no secret may have: empty, too long, with a NUL or not text."""


class SecretFormatError(UsageError, TypeError):
    """A Secret was put into text, where it would have become a silently wrong string."""


class NoSuchAttributeError(UsageError, AttributeError):
    """Neither the package, nor its `secrets`, nor a Secret has an attribute of that name."""


class NoSuchSecretError(FlowfileNbError, KeyError):
    """No secret of that name, neither your own nor shared with you."""

    # KeyError's __str__ shows the repr of its argument.
    __str__ = FlowfileNbError.__str__


class SecretExistsError(FlowfileNbError):
    """The name is taken; replacing must be said."""


class NoPromptError(FlowfileNbError):
    """A value is needed, and there is nobody to ask: a headless run."""


class StoreError(FlowfileNbError):
    """The files on disk cannot be read or written as they should."""


class UnsafePermissionsError(StoreError):
    """A key file that other users of this machine can read."""


class MasterKeyError(StoreError):
    """The master key is missing, damaged or not a Fernet key. It was not replaced."""


class WrongKeyError(StoreError):
    """The master key is a key, but not the one this store was written with."""


class DamagedSecretError(StoreError):
    """One row of the store cannot be decrypted, although the key is the right one."""


class NothingToUndoError(FlowfileNbError):
    """No previous value is kept of a secret: it was not replaced here, or too long ago, or that was undone."""


class BackupError(FlowfileNbError):
    """A backup cannot be made or read."""


class ForeignBackupError(BackupError):
    """A file that is no backup of ours."""


class DamagedBackupError(BackupError):
    """A backup that was cut short or altered."""


class NewerBackupError(BackupError):
    """A backup that a newer version of this package wrote."""


class WrongPassphraseError(BackupError):
    """The backup is whole, and this passphrase does not open it."""


class ConnectionSpecError(FlowfileNbError):
    """The description of a connection cannot be understood."""


class ReferenceSyntaxError(ConnectionSpecError):
    """A `%secret` or `${secret:…}` that cannot be read."""


class LiteralPasswordError(ConnectionSpecError):
    """The description of a connection holds a password in clear."""


class UnknownSchemeError(ConnectionSpecError):
    """No family of connections for this URL scheme or `type`."""


class ImportSourceError(FlowfileNbError):
    """What `%secret import` was pointed at cannot be read, understood or rewritten."""


class MissingDriverError(FlowfileNbError, ImportError):
    """A library that is needed here is not installed."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        FlowfileNbError.__init__(self, message, hint=hint)


class ConnectionFailedError(FlowfileNbError):
    """
    The other side refused, or did not answer.

    Args:
        driver: The driver's own error with known values masked; only where `--debug` asked for it.
    """

    def __init__(self, message: str, *, hint: str = "", driver: str = "") -> None:
        super().__init__(message, hint=hint)
        self.driver = driver

    def __str__(self) -> str:
        return f"{super().__str__()}\ndriver: {self.driver}" if self.driver else super().__str__()


class UnsupportedPlatformError(FlowfileNbError):
    """Browser-only Python: credentials are not stored there."""


class BrokerError(FlowfileNbError):
    """The team's broker does not answer, or cannot do its work: no key, no store, no audit."""


class NotAllowedError(FlowfileNbError):
    """The broker refuses: the caller is unknown to it, or may not do that."""


class SharedSecretError(NotAllowedError):
    """The value of a shared secret was asked for; it is used by the broker, and shown to its owner alone."""


class WriteShareError(NotAllowedError):
    """A credential would be shared for writing, and nobody has said yes to what that means."""


class BindingError(NotAllowedError):
    """A credential was asked for a target that its owner has not fixed, or what fixes it does not fit the stored row."""


class RevokedError(NotAllowedError):
    """What was allowed when it began is not allowed any more."""


class NoSuchConnectionError(FlowfileNbError, KeyError):
    """No connection of that name, neither your own nor shared with you; or no credential that you may use for it."""

    __str__ = FlowfileNbError.__str__


class NoSuchGroupError(FlowfileNbError, KeyError):
    """No group of that name in which you are."""

    __str__ = FlowfileNbError.__str__


class GroupError(FlowfileNbError):
    """A change that the rules of groups do not allow: the last owner goes, a name is taken, somebody is in it already."""


class LimitError(FlowfileNbError):
    """More was asked of the broker than it gives: memory, time, rows, sessions at once, or room in its store."""


class QueryError(FlowfileNbError):
    """A statement was not accepted, by the database or by the broker before it."""


class StorageError(FlowfileNbError, OSError):
    """A storage did not do what was asked, or the broker that signs for it. As an `OSError`, since that is what files raise."""

    __str__ = FlowfileNbError.__str__


class NoSuchObjectError(StorageError, FileNotFoundError):
    """There is nothing of that name in the storage."""


class ObjectRefusedError(StorageError, PermissionError):
    """An object is not within what is shared, a share is not for writing, or the storage refuses."""
