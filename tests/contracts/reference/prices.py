"""What a statement costs: docs/contracts-language.md, "When it is charged", "Units"."""

from __future__ import annotations

import ast

from reference.kinds import BOOL, U64, Kind, words
from reference.types_and_costs import SIMPLE, Fit, Typing, arithmetic, dotted


class Prices(Typing):
    """Prices of the statements of one method."""

    def price(self, node: ast.stmt) -> int:
        """Units of a statement, without what its blocks cost."""
        if node not in self.file.prices:
            self.file.prices[node] = self._price(node)
        return self.file.prices[node]

    def _price(self, node: ast.stmt) -> int:
        if isinstance(node, ast.AnnAssign):
            if node.value is None:
                return 0
            return self._assigning(self.fit(node.value, self.declared(node)))
        if isinstance(node, ast.Assign):
            return self._price_of_assignment(node.targets[0], node.value)
        if isinstance(node, ast.AugAssign):
            return self._price_of_change(node)
        if isinstance(node, ast.Delete):
            return sum(self._price_of_deletion(target) for target in node.targets)
        if isinstance(node, ast.If | ast.Assert):
            return SIMPLE + self.cost(self.fit(node.test, BOOL))
        if isinstance(node, ast.For):
            return self._price_of_loop(node)
        if isinstance(node, ast.Return):
            if node.value is None:
                return SIMPLE
            return self._assigning(self.fit(node.value, self.method.result))  # type: ignore[arg-type]
        if isinstance(node, ast.Break | ast.Continue):
            return SIMPLE
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            name = dotted(node.value.func)
            if name.removeprefix("self.") in self.file.events and name.startswith("self."):
                fits = self.arguments(node.value)
                return SIMPLE + self.copies(fits) + self.costs(fits)
            return self.cost(Fit(node.value, None, None, None))
        return 0  # while, pass

    def declared(self, node: ast.AnnAssign) -> Kind:
        return self.file.kind(node.annotation)

    def _assigning(self, fit: Fit) -> int:
        return SIMPLE + words(fit.to) + self.cost(fit)  # type: ignore[arg-type]

    def target(self, node: ast.expr) -> tuple[str, list[ast.expr] | None, list[str], Kind]:
        """Variable or field, keys (None: a variable), parts of the struct, type of the part."""
        parts: list[str] = []
        while self.entry(node) is None and isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        entry = self.entry(node)
        if entry is None:
            assert isinstance(node, ast.Name)
            kind = self.variables[node.id]
        else:
            kind = self.file.fields[entry[0]][1]
        for part in parts:
            kind = dict(kind[2])[part]
        if entry is None:
            return node.id, None, parts, kind  # type: ignore[union-attr]
        return entry[0], entry[1], parts, kind

    def _is_at_hand(self, fit: Fit) -> bool:
        """A literal, a variable or what the call knows: no temporary is needed."""
        if fit.kind != fit.to and not self.is_known(fit.node):
            return False
        node = fit.node
        if isinstance(node, ast.Call):
            kept = self.arguments(node, fit.expected)
            name = dotted(node.func)
            is_type = isinstance(node.func, ast.Subscript) or name in self.file.types
            if is_type and not kept:
                return True
            kind = self.kind(node, fit.expected)
            return bool(
                is_type
                and kind
                and kind[0] != "struct"
                and kept[0].kind == kind
                and self._is_at_hand(kept[0].__class__(kept[0].node, kind, kind, kept[0].expected))
            )
        return isinstance(node, ast.Constant) or self._is_leaf(node)

    def _holding(self, fit: Fit) -> tuple[int, int]:
        """Price of holding a value in a temporary, and of reading it from then on."""
        if self._is_at_hand(fit):
            return 0, self.cost(fit)
        return self._assigning(fit), SIMPLE

    def _price_of_assignment(self, target: ast.expr, value: ast.expr) -> int:
        name, keys, parts, kind = self.target(target)
        fit = self.fit(value, kind)
        if keys is None:
            return self._assigning(fit)
        fits = self.keys(name, keys)
        if not parts:
            return self._assigning(fit) + self.copies(fits) + self.costs(fits)
        held, again = self._holding(fit)
        whole = self.file.fields[name][1]
        return held + self._rewriting(fits, whole, SIMPLE + words(kind) + again)

    def _rewriting(self, fits: list[Fit], whole: Kind, change: int) -> int:
        """Keys held, the entry read into a temporary, a part changed, the entry written."""
        holding = [self._holding(fit) for fit in fits]
        keys = sum(again for _, again in holding) + self.copies(fits)
        read = SIMPLE + words(whole) + SIMPLE + words(whole) + keys
        write = SIMPLE + words(whole) + SIMPLE + keys
        return sum(held for held, _ in holding) + read + change + write

    def _price_of_change(self, node: ast.AugAssign) -> int:
        name, keys, parts, kind = self.target(node.target)
        fit = self.fit(node.value, kind)
        operation = self._operation_cost(node, kind) + self.cost(fit)
        if keys is None:
            return SIMPLE + words(kind) + operation + SIMPLE * (1 + len(parts))
        fits = self.keys(name, keys)
        whole = self.file.fields[name][1]
        if parts:
            change = SIMPLE + words(kind) + operation + SIMPLE * (1 + len(parts))
            return self._rewriting(fits, whole, change)
        holding = [self._holding(one) for one in fits]
        keys_again = sum(again for _, again in holding) + self.copies(fits)
        load = SIMPLE + words(kind) + keys_again
        store = SIMPLE + words(kind) + keys_again
        return sum(held for held, _ in holding) + load + operation + store

    def _operation_cost(self, node: ast.AugAssign, kind: Kind) -> int:
        """Of the operation alone: that of two variables, without the variables."""
        return arithmetic(kind, node.op)

    def _price_of_deletion(self, target: ast.expr) -> int:
        name, keys, _, kind = self.target(target)
        fits = self.keys(name, keys or [])
        return SIMPLE + words(kind) + SIMPLE + self.copies(fits) + self.costs(fits)

    def page(self, node: ast.For) -> tuple[str, list[ast.expr]]:
        """The map of `self.name[key]....items(...)`, and its keys but the last."""
        found: ast.expr = node.iter.func.value  # type: ignore[attr-defined]
        keys: list[ast.expr] = []
        while isinstance(found, ast.Subscript):
            keys.insert(0, found.slice)
            found = found.value
        return found.attr, keys  # type: ignore[attr-defined]

    def _price_of_loop(self, node: ast.For) -> int:
        assert isinstance(node.iter, ast.Call)
        if dotted(node.iter.func) == "range":
            fits = [self.fit(one, U64) for one in node.iter.args]
            return SIMPLE + self.costs(fits) + (SIMPLE if len(fits) == 1 else 0)
        name, keys = self.page(node)
        of = self.file.fields[name][0]
        fits = [*self.keys(name, keys), self.fit(node.iter.args[0], of[-1])]
        return SIMPLE + self.copies(fits) + self.costs(fits)
