"""Roles in a process: what a member may do with its mail. Each may do what those before it may, but for the first."""

from enum import Enum


class Role(Enum):
    """What a membership says; compare by `>=`."""

    HANDS_IN = "hands in"  # may hand mail to the process, and reads none of it
    READS = "reads"
    WORKS = "works"  # on its tickets
    SENDS = "sends"  # from its addresses
    MANAGES = "owner"  # its members, bindings and rules

    @property
    def rank(self) -> int:
        """Its place among them."""
        return list(Role).index(self)

    def __ge__(self, other: "Role") -> bool:
        return self.rank >= other.rank
