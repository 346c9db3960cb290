"""Answers as rows of sorted codes, one row a learner: code = 2·item + (1 if right)."""

import numpy as np

from seedtest.irt.kernels.cache import compiled

SHORT = 64
"""Rows up to this length are sorted by insertion."""


@compiled
def row_starts(group, item, start):
    """Fill `start`, (n_groups + 1,), with where each group's row starts; items below 0 do not count."""
    start[:] = 0
    for j in range(group.size):
        start[group[j] + 1] += item[j] >= 0
    for row in range(1, start.size):
        start[row] += start[row - 1]


@compiled
def fill_rows(group, item, correct, at, code):
    """Put each answer into its group's row; `at` holds where the next one goes, and is used up."""
    for j in range(group.size):
        if item[j] >= 0:
            row = group[j]
            code[at[row]] = 2 * item[j] + correct[j]
            at[row] += 1


@compiled
def sort_rows(start, code, first, last):
    """Sort each row of `first` … `last` − 1."""
    for row in range(first, last):
        low, high = start[row], start[row + 1]
        in_order = True
        for j in range(low + 1, high):
            in_order &= code[j - 1] <= code[j]
        if in_order:
            continue
        if high - low > SHORT:
            code[low:high] = np.sort(code[low:high])
            continue
        for j in range(low + 1, high):
            value = code[j]
            k = j
            while k > low and code[k - 1] > value:
                code[k] = code[k - 1]
                k -= 1
            code[k] = value


@compiled
def item_counts(code, counts):
    """Add wrong and right answers to `counts`, (2·n_items,)."""
    for j in range(code.size):
        counts[code[j]] += 1


@compiled
def mark_accompanied(start, code, considered, accompanied):
    """Mark items whose learner answered another of the items considered as well; rows are sorted."""
    unmarked = accompanied.size - np.count_nonzero(accompanied)
    for row in range(start.size - 1):
        if unmarked == 0:
            return
        breadth, previous = 0, -1
        for j in range(start[row], start[row + 1]):
            item = code[j] >> 1
            if considered[item] and item != previous:
                breadth += 1
                previous = item
        if breadth > 1:
            for j in range(start[row], start[row + 1]):
                unmarked -= not accompanied[code[j] >> 1]
                accompanied[code[j] >> 1] = True


@compiled
def join_blocks(start, code, parent):
    """Union–find over items: two items with a common learner are in one block, (n_items,) in place."""
    n_blocks = 0
    for item in range(parent.size):
        n_blocks += parent[item] == item
    for row in range(start.size - 1):
        # Nearly always all items are one block long before the last row.
        if n_blocks == 1:
            break
        root = -1
        for j in range(start[row], start[row + 1]):
            other = code[j] >> 1
            while parent[other] != other:
                parent[other] = parent[parent[other]]
                other = parent[other]
            if root < 0:
                root = other
            elif other != root:
                low, high = min(root, other), max(root, other)
                parent[high] = low
                root = low
                n_blocks -= 1
    for item in range(parent.size):
        root = item
        while parent[root] != root:
            root = parent[root]
        parent[item] = root


@compiled
def kept_codes(start, code, new_item, row_of, kept_start, kept):
    """Copy the answers to items with a new number ≥ 0; `row_of` holds learners' new rows, −1 for none."""
    at = 0
    for row in range(start.size - 1):
        for j in range(start[row], start[row + 1]):
            item = new_item[code[j] >> 1]
            if item >= 0:
                kept[at] = 2 * item + (code[j] & 1)
                at += 1
        if row_of[row] >= 0:
            kept_start[row_of[row] + 1] = at


@compiled
def kept_lengths(start, code, new_item, lengths):
    """Count each learner's answers to items with a new number ≥ 0, (n_users,)."""
    for row in range(start.size - 1):
        n = 0
        for j in range(start[row], start[row + 1]):
            n += new_item[code[j] >> 1] >= 0
        lengths[row] = n


@compiled
def rename(user, code, user_rank, item_rank):
    """Put ranks in the place of the numbers of learners and items, in place."""
    for j in range(user.size):
        user[j] = user_rank[user[j]]
        code[j] = 2 * item_rank[code[j] >> 1] + (code[j] & 1)


@compiled
def add_lengths(user, start):
    """Count answers of learner u in start[u + 1]."""
    for j in range(user.size):
        start[user[j] + 1] += 1


@compiled
def place(user, code, at, rows):
    """Put each answer into its learner's row; `at` holds where the next one goes."""
    for j in range(user.size):
        rows[at[user[j]]] = code[j]
        at[user[j]] += 1
