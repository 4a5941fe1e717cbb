"""Applying the members of a layer to the tree of the layers below: OCI image-spec, `layer.md`. Pure.

Names are resolved as `umoci unpack` resolves them on a disk, but in the tree: an entry whose parent is a symbolic link
goes where that points inside the root, `..` in a link stops at the root, and directories that are missing are made. The
last component is never followed. Then:

- An entry replaces what is at its place, a directory and all below it too; only a directory over a directory keeps the
  children and changes the attributes. The same name twice in a layer is two entries after each other.
- `.wh.NAME` hides NAME, and `.wh..wh..opq` everything in its directory, as far as it is of lower layers, wherever the
  whiteout stands among the entries. A directory of a lower layer that this layer only passed through begins anew.
- A hard link is another name of what is at its target at that moment, from whichever layer, be it a symbolic link.

Refused are `..` in a name; what makes no sense (`.wh.` before more of a path, a whiteout of nothing, of `.`, of `..` or
of a whiteout, a root that is not a directory, a link to itself or to a directory); what lies below a file; and a
whiteout of a symbolic link that an earlier entry of the layer went through: the order would decide where that entry is.
"""

from __future__ import annotations

import stat
from typing import Final

from banger.disk.members import check_link
from banger.disk.paths import DEPTH_LIMIT, FOLLOW_LIMIT, NAME_LIMIT, PATH_LIMIT, reversed_parts, shown, split_path
from banger.disk.tree import ROOT, Node, Tree, Unusable

WHITEOUT: Final = b".wh."
OPAQUE: Final = b".wh..wh..opq"
# How an entry was met by the layer that is being applied: the layer's number is in the bits above.
_PASSED, _PUT, _FOLLOWED = 1, 2, 3
_KINDS: Final = 4
_KNOWN_LIMIT: Final = 1024


def make_directory() -> Node:
    """A directory that no layer describes."""
    return Node(mode=stat.S_IFDIR | 0o755)


class _NoDirectory(Unusable):
    """There is no directory at a path, and none can be made."""


class LayerMembers:
    """Applies layers, one after the other, each from `begin` on."""

    def __init__(self, tree: Tree, *, steps_limit: int) -> None:
        """`steps_limit` bounds work that a small layer could ask for without end, through links to links.

        It counts looked-up names and entries that whiteouts visit; a real image has a few for each entry.
        """
        self._tree = tree
        self._entries = tree.entries
        self._mark = 0
        self._steps = 0
        self._steps_limit = steps_limit
        # Where directories that were found lately are: inode and depth. Nothing that is only added changes that.
        self._known: dict[bytes, tuple[int, int]] = {}

    def begin(self) -> None:
        """Start the next layer: everything so far belongs to lower layers."""
        self._mark += _KINDS
        self._known = {b"": (ROOT, 0)}

    def put(self, path: bytes, node: Node) -> None:
        """Put an entry, or a whiteout of any type."""
        tree = self._tree
        parent, name = self._split(path)
        if not name:
            if not node.is_directory:
                raise Unusable("replaces the root with something that is not a directory")
            tree.set_attributes(ROOT, node)
            return
        if name.startswith(WHITEOUT):
            self._white_out(parent, name)
            return
        if node.is_symlink:
            node.mode = stat.S_IFLNK | 0o777  # what Linux has for all of them
        directory = self._open(parent)
        present = self._entries.find(directory, name)
        if present and node.is_directory and tree.is_directory(self._entries.inode[present]):
            tree.set_attributes(self._entries.inode[present], node)
            self._entries.mark[present] = self._mark + _PUT
        else:
            self._place(directory, name, tree.add_inode(node), present)

    def link(self, path: bytes, target: bytes) -> None:
        """A hard link; a whiteout may be one too."""
        parent, name = self._split(path)
        if name.startswith(WHITEOUT):
            self._white_out(parent, name)
            return
        check_link(target)
        target_parent, target_name = self._split(target)
        directory = self._open(parent)
        present = self._entries.find(directory, name) if name else 0
        if present and self._tree.is_directory(self._entries.inode[present]):
            self._remove(present)
            present = 0
        found = self._find(target_parent, target_name)
        if not name or not found or self._tree.is_directory(self._entries.inode[found]):
            raise Unusable(f"is a hard link to {shown(target)}, which is nothing that can be linked")
        if found == present:
            raise Unusable("is a hard link to itself")
        self._place(directory, name, self._entries.inode[found], present)

    def _split(self, path: bytes) -> tuple[bytes, bytes]:
        """Parent and last component; both empty for the root."""
        if len(path) <= PATH_LIMIT and path.count(b"/") < DEPTH_LIMIT:
            parent, _, name = path.rstrip(b"/").rpartition(b"/")
            if _is_plain(name):
                above, _, last = parent.rpartition(b"/")
                if parent in self._known or (
                    above in self._known and _is_plain(last) and not last.startswith(WHITEOUT)
                ):
                    return parent, name
        *parents, name = split_path(path) or (b"",)
        if any(part.startswith(WHITEOUT) for part in parents):
            raise Unusable("lies below the name of a whiteout")
        return b"/".join(parents), name

    def _open(self, parent: bytes) -> int:
        """The directory at a path, made where it is missing. It and those above it count as this layer's."""
        known = self._known.get(parent)
        if known is not None:
            return known[0]
        directory, depth, missing = self._resolve(parent)
        for name in missing:
            if len(name) > NAME_LIMIT:
                raise Unusable("lies below a symbolic link to a name that no file can have")
            entry = self._tree.add(directory, name, self._tree.add_inode(make_directory()))
            directory = self._entries.inode[entry]
        self._pass(directory)
        if len(self._known) >= _KNOWN_LIMIT:
            self._known = {b"": (ROOT, 0)}
        self._known[parent] = directory, depth + len(missing)
        return directory

    def _find(self, parent: bytes, name: bytes) -> int:
        """The entry at a path whose last component is not followed, or 0."""
        directory, _, missing = self._resolve(parent)
        return 0 if missing else self._entries.find(directory, name)

    def _resolve(self, parent: bytes) -> tuple[int, int, list[bytes]]:
        """How far a path leads through directories, how deep that is, and the names after it that do not exist."""
        if parent in self._known:
            return *self._known[parent], []
        above, _, last = parent.rpartition(b"/")
        if above in self._known:
            directory, depth = self._known[above]
            entry = self._entries.find(directory, last)
            if entry and depth + 1 < DEPTH_LIMIT and self._tree.is_directory(self._entries.inode[entry]):
                return self._entries.inode[entry], depth + 1, []
        stack, missing = self._walk(parent)
        if len(stack) + len(missing) > DEPTH_LIMIT:
            raise _NoDirectory("lies too deep")
        return stack[-1], len(stack) - 1, missing

    def _walk(self, parent: bytes) -> tuple[list[int], list[bytes]]:
        """The directories that a path leads through, from the root, and the names after them that do not exist."""
        entries, tree = self._entries, self._tree
        pending = reversed_parts(parent)
        stack = [ROOT]
        missing: list[bytes] = []
        followed = 0
        while pending:
            self._step()
            part = pending.pop()
            if part == b"..":
                if missing:
                    missing.pop()
                elif len(stack) > 1:
                    stack.pop()
                continue
            entry = 0 if missing else entries.find(stack[-1], part)
            if not entry:
                missing.append(part)
                continue
            inode = entries.inode[entry]
            if tree.is_directory(inode):
                stack.append(inode)
            elif tree.is_symlink(inode):
                followed += 1
                if followed > FOLLOW_LIMIT:
                    raise _NoDirectory(f"lies below more than {FOLLOW_LIMIT} symbolic links")
                if not self._is_own(entry):
                    entries.mark[entry] = self._mark + _FOLLOWED
                target = tree.target(inode)
                if target.startswith(b"/"):
                    del stack[1:]
                pending += reversed_parts(target)
            else:
                raise _NoDirectory("lies below something that is not a directory")
        return stack, missing

    def _place(self, directory: int, name: bytes, inode: int, present: int) -> None:
        """Put an inode where something may be, which goes with all that is below it."""
        inodes = self._entries.inode
        if present and (self._tree.is_directory(inodes[present]) or self._tree.is_symlink(inodes[present])):
            self._remove(present)
            present = 0
        if present:
            self._tree.replace(present, inode)
        else:
            present = self._tree.add(directory, name, inode)
        self._entries.mark[present] = self._mark + _PUT

    def _remove(self, entry: int) -> None:
        self._tree.remove(entry)
        self._known = {b"": (ROOT, 0)}

    def _pass(self, directory: int) -> None:
        """Mark the way to a directory as this layer's, from the directory upwards until it is marked already."""
        marks = self._entries.mark
        while directory != ROOT:
            entry = self._tree.entry_of(directory)
            if self._is_own(entry):
                break
            marks[entry] = self._mark + _PASSED
            directory = self._entries.directory[entry]

    def _is_own(self, entry: int) -> bool:
        """Whether the layer that is being applied has put the entry, or something below it."""
        return self._mark < self._entries.mark[entry] < self._mark + _FOLLOWED

    def _white_out(self, parent: bytes, name: bytes) -> None:
        hidden = name[len(WHITEOUT) :]
        if name != OPAQUE and (hidden in (b"", b".", b"..") or hidden.startswith(WHITEOUT)):
            raise Unusable("is not a whiteout of anything")
        try:
            directory, _, missing = self._resolve(parent)
        except _NoDirectory:
            return  # nothing is below what is not a directory
        if missing or self._mark == _KINDS:
            return  # neither is anything below the lowest layer
        if name == OPAQUE:
            self._hide(list(self._entries.children(directory)))
        elif entry := self._entries.find(directory, hidden):
            self._hide([entry])

    def _hide(self, pending: list[int]) -> None:
        """Remove what lower layers have at these entries; keep what this layer put there."""
        tree, entries = self._tree, self._entries
        while pending:
            self._step()
            entry = pending.pop()
            inode = entries.inode[entry]
            if not self._is_own(entry):
                self._check_unfollowed(entry)
                self._remove(entry)
            elif tree.is_directory(inode):
                if entries.mark[entry] == self._mark + _PASSED:
                    tree.set_attributes(inode, make_directory())
                pending += entries.children(inode)

    def _check_unfollowed(self, entry: int) -> None:
        """Refuse to remove a link that an entry of the same layer went through."""
        pending = [entry]
        while pending:
            self._step()
            entry = pending.pop()
            if self._entries.mark[entry] == self._mark + _FOLLOWED:
                raise Unusable("hides a symbolic link that an earlier entry of the layer goes through")
            if self._tree.is_directory(self._entries.inode[entry]):
                pending += self._entries.children(self._entries.inode[entry])

    def _step(self) -> None:
        self._steps += 1
        if self._steps > self._steps_limit:
            raise Unusable(
                f"is behind more than {self._steps_limit} directories and links, with those of all before it"
            )


def _is_plain(name: bytes) -> bool:
    return name not in (b"", b".", b"..") and len(name) <= NAME_LIMIT and b"\0" not in name
